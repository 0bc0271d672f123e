import { describe, expect, test } from '@jest/globals';
import type { NewSession, SessionStore } from '../src/session/session-store.ts';
import { memoryStore } from '../src/session/stores/memory.ts';
import { testSessionStore } from '../src/testing.ts';
import { storeWith } from './support/store-with.ts';

type Make = (good: SessionStore, clock: { now: () => number }) => Partial<SessionStore>;

/** @returns the names of the tests that a store fails */
async function failuresOf(make: Make): Promise<string[]> {
  const tests: [string, () => Promise<void>][] = [];
  testSessionStore(
    (clock) => {
      const good = memoryStore(clock);
      return storeWith(good, make(good, clock));
    },
    { shared: false, test: (name, run) => tests.push([name, run]) },
  );
  const failed: string[] = [];
  for (const [name, run] of tests) await run().catch(() => failed.push(name));
  return failed;
}

const open = new Map<string, NewSession>();

const faults: [name: string, make: Make, failed: string][] = [
  [
    'an update that looks at no version',
    (good) => ({
      async update(key, _version, session, fence) {
        const { version = 0 } = (await good.read(key)) ?? {};
        return good.update(key, version, session, fence);
      },
    }),
    'updates what has not changed since it was read',
  ],
  [
    'an update that looks at no fence',
    (good) => ({ update: (key, version, session) => good.update(key, version, session) }),
    'an update with a fence is written if no other caller got the lease',
  ],
  [
    'a touch that brings back',
    (good) => ({
      async create(key, session) {
        open.set(key, session);
        return good.create(key, session);
      },
      async touch(key, expiresAt) {
        const session = open.get(key);
        if (!(await good.read(key)) && session) await good.create(key, { ...session, expiresAt });
        else await good.touch(key, expiresAt);
      },
    }),
    'neither update nor touch restores an ended session',
  ],
  [
    'a create that overwrites',
    (good) => ({
      async create(key, session) {
        await good.destroy(key);
        return good.create(key, session);
      },
    }),
    'creates nothing over an existing session',
  ],
  [
    'a lease for everybody',
    () => {
      let fence = 0;
      return {
        async acquire() {
          fence += 1;
          return fence;
        },
      };
    },
    'one of many calls that acquire a lease gets it',
  ],
  [
    'a lease that anyone gives back',
    (good) => ({
      async release(key) {
        for (let fence = 1; fence < 5; fence += 1) await good.release(key, fence);
      },
    }),
    'a released lease can be acquired, with a higher fence',
  ],
  ['a clock of its own', () => memoryStore(), 'an expired session is gone for all'],
  [
    'a list that is empty',
    () => ({ list: async () => [] }),
    'lists the sessions that have a term, and no others',
  ],
  [
    'a value that is always new',
    () => ({ once: async () => true }),
    'a value can be used once until it expires',
  ],
];

describe('testSessionStore', () => {
  test('passes a store that keeps to the contract', async () => {
    expect(await failuresOf(() => ({}))).toEqual([]);
  });

  test.each(faults)('fails %s', async (_name, make, failed) => {
    expect(await failuresOf(make)).toContain(failed);
  });

  test('names the group after the store', () => {
    const groups: string[] = [];
    testSessionStore(memoryStore, { name: 'mine', test, describe: (name) => groups.push(name) });
    expect(groups).toEqual(['mine: the contract of SessionStore']);
  });
});
