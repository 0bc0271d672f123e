import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import type { AppName } from './apps/index.ts';
import type { AppOptions } from './apps/make-app.ts';
import type { Reading } from './target.ts';

/** Audience of every token. */
export const AUDIENCE = 'https://contacts.example.com/api';

const CONNECTIONS = 8;

/** App in its own process, with the cost of requests to it. */
export class Target {
  readonly name: AppName;
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(name: AppName, child: ChildProcess, port: number) {
    this.name = name;
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(name: AppName, options: AppOptions): Promise<Target> {
    const main = fileURLToPath(new URL('target.js', import.meta.url));
    const env = { ...process.env, NODE_ENV: 'production' };
    const child = fork(main, [name, JSON.stringify(options)], { execArgv: [], env });
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new Target(name, child, port);
  }

  async read(): Promise<Reading> {
    this.#child.send('read');
    const [reading] = (await once(this.#child, 'message')) as [Reading];
    return reading;
  }

  /**
   * Requests a path once with each token. Each connection sends a part of them.
   *
   * @param headers headers that carry a token
   * @returns microseconds of the app's CPU time per request
   * @throws when an answer isn't the expected one
   */
  async cost(
    tokens: readonly string[],
    expected: 200 | 401,
    path = '/',
    headers: (token: string) => Record<string, string> = bearer,
  ): Promise<number> {
    const before = await this.read();
    let connection = 0;
    const result = await autocannon({
      url: this.url + path,
      connections: CONNECTIONS,
      amount: tokens.length,
      // The end is only detected at the end of a sample.
      sampleInt: 20,
      setupClient(client) {
        const part = tokens.filter((_, index) => index % CONNECTIONS === connection % CONNECTIONS);
        connection += 1;
        client.setRequests(part.map((token) => ({ headers: headers(token) })));
      },
    });
    const after = await this.read();
    const asExpected = expected === 200 ? result['2xx'] : result['4xx'];
    if (asExpected !== tokens.length) {
      const { '2xx': ok, '4xx': refused, '5xx': failed, errors } = result;
      throw new Error(
        `${this.name}: of ${tokens.length} answers ${ok} were 2xx, ${refused} 4xx, ${failed} 5xx, ${errors} none`,
      );
    }
    return (after.cpu - before.cpu) / tokens.length;
  }

  stop(): void {
    this.#child.disconnect();
  }
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

/** Reverses every other round, so that other load of the machine affects all equally. */
export function inTurn<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed();
}

/** Returns the median of the ratios of two measurements of the same round. */
export function medianRatio(values: readonly number[], base: readonly number[]): number {
  return median(values.map((value, round) => value / (base[round] ?? Number.NaN)));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
