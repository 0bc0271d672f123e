import { setTimeout as after } from 'node:timers/promises';
import { RequestError } from 'got';
import type { Disturbance, Ledger } from './ledger.ts';
import type { Random } from './random.ts';

/** User or program that acts step by step, with pauses. */
export abstract class Worker {
  /** Begin of the last step that succeeded. */
  lastGood = Number.NEGATIVE_INFINITY;
  protected readonly ledger: Ledger;
  protected readonly random: Random;

  constructor(ledger: Ledger, random: Random) {
    this.ledger = ledger;
    this.random = random;
  }

  abstract readonly name: string;

  /** @returns true when the step succeeded; failures are in the ledger */
  protected abstract act(): Promise<boolean>;

  /** Returns the disturbances that explain a broken connection to this address. */
  protected abstract needsFor(url: URL | undefined): readonly Disturbance[];

  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begun = performance.now();
      try {
        if (await this.act()) {
          this.lastGood = begun;
          this.ledger.good();
        }
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        const url = error.options.url instanceof URL ? error.options.url : undefined;
        const what = `${this.name}: ${error.code} at ${url?.host}${url?.pathname}`;
        this.ledger.failure(this.needsFor(url), `connection, ${error.code}`, begun, what);
      }
      await after(this.random.integer(80, 350));
    }
  }
}
