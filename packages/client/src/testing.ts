import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionStore } from './session/session-store.ts';
import { CONTRACT, type ContractRun } from './session/session-store-contract.ts';
import { TERMS_CONTRACT } from './session/session-terms-contract.ts';

/** Options of `testSessionStore`: the test runner, and what the store can't do. */
export interface SessionStoreTestOptions {
  /** Function of the test runner that defines a test: jest's, vitest's, `node:test`'s. */
  test: (name: string, run: () => Promise<void>) => unknown;
  /** Function of the test runner that groups tests. Default: none, they stand by themselves. */
  describe?: ((name: string, define: () => void) => unknown) | undefined;
  /** Name of the store in that of the group. Default: `session store` */
  name?: string | undefined;
  /**
   * True when two stores that `make` made hold the same sessions, as those of two processes with one
   * database do. Default: true
   */
  shared?: boolean | undefined;
  /**
   * True when the store uses the clock that `make` gets. If false, the tests wait some seconds each for
   * sessions to expire. Default: true
   */
  takesClock?: boolean | undefined;
}

/** Makes a store that holds what the others before it hold, if they are `shared`. */
export type MakeSessionStore = (options: {
  /** The clock: milliseconds since 1970. */
  now: () => number;
  /** The same clock, for a store that measures leases by a monotonic one. */
  monotonicNow: () => number;
}) => SessionStore | Promise<SessionStore>;

/**
 * Defines the tests of the `SessionStore` contract for a store. Each uses keys of its own, so the store
 * need not be empty, and what they leave expires.
 *
 * @param make makes a store; each test makes two, which hold the same sessions unless `shared` is false
 * @example
 * import { describe, test } from 'node:test';
 * import { testSessionStore } from '@koa-oauth/client/testing';
 *
 * testSessionStore(({ now }) => myStore({ url: TEST_DATABASE_URL, now }), { test, describe });
 */
export function testSessionStore(make: MakeSessionStore, options: SessionStoreTestOptions): void {
  const { test, describe = (_name, define) => define(), name = 'session store' } = options;
  describe(`${name}: the contract of SessionStore`, () => {
    for (const [title, judge] of Object.entries({ ...CONTRACT, ...TERMS_CONTRACT })) {
      test(title, () => runOne(make, options, judge));
    }
  });
}

async function runOne(
  make: MakeSessionStore,
  { shared = true, takesClock = true }: SessionStoreTestOptions,
  judge: (run: ContractRun) => Promise<void>,
): Promise<void> {
  const start = Date.now();
  let passed = 0;
  const now = takesClock ? () => start + passed : Date.now;
  const lifetime = takesClock ? 100 : 3;
  const clock = { now, monotonicNow: now };
  const store = await make(clock);
  const other = shared ? await make(clock) : store;
  try {
    await judge({
      store,
      other,
      key: `key-${randomUUID()}`,
      term: `term-${randomUUID()}`,
      later: Math.floor(now() / 1000) + lifetime,
      lease: takesClock ? 30_000 : 1500,
      async expire() {
        passed += lifetime * 1000;
        if (!takesClock) await sleep(lifetime * 1000);
      },
    });
  } finally {
    await store.close();
    if (shared) await other.close();
  }
}
