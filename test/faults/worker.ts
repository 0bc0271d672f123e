import { setTimeout as after } from 'node:timers/promises';
import { RequestError } from 'got';
import type { Disturbance, Ledger } from './ledger.ts';
import type { Random } from './random.ts';

/** Somebody at work: one thing after the other, with pauses. */
export abstract class Worker {
  /** When the newest thing that went well was begun. */
  lastGood = Number.NEGATIVE_INFINITY;
  protected readonly ledger: Ledger;
  protected readonly random: Random;

  constructor(ledger: Ledger, random: Random) {
    this.ledger = ledger;
    this.random = random;
  }

  abstract readonly name: string;

  /** @returns whether all went as it should; what did not is in the ledger */
  protected abstract act(): Promise<boolean>;

  /** What a connection to this address that breaks takes. */
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
