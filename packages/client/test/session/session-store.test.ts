import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf } from '../../../../test/support/properties.ts';
import { type SessionStore, storeCall } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { postgresStore } from '../../src/session/stores/postgres.ts';
import { redisStore } from '../../src/session/stores/redis.ts';
import { sqliteStore } from '../../src/session/stores/sqlite.ts';
import { type MakeSessionStore, testSessionStore } from '../../src/testing.ts';
import { dropTables, newTablePrefix, POSTGRES_URL, whyNoPostgres } from '../support/postgres.ts';
import { dropKeys, newPrefix, REDIS_URL, whyNoRedis } from '../support/redis.ts';
import { type Deed, liveTogether } from '../support/session-store-life.ts';

const folder = mkdtempSync(join(tmpdir(), 'sessions-'));
const prefix = newPrefix();
const tables = newTablePrefix();
const [noRedis, noPostgres] = await Promise.all([whyNoRedis(), whyNoPostgres()]);

afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!noRedis) await dropKeys(prefix);
  if (!noPostgres) await dropTables(tables);
});

const stores: [name: string, make: MakeSessionStore, shared: boolean, missing?: string][] = [
  ['memory', (clock) => memoryStore(clock), false],
  ['SQLite', ({ now }) => sqliteStore({ path: join(folder, 'sessions.db'), now }), true],
  ['Redis', ({ now }) => redisStore({ url: REDIS_URL, prefix, now }), true, noRedis],
  [
    'PostgreSQL',
    ({ now }) => postgresStore({ url: POSTGRES_URL, prefix: tables, now }),
    true,
    noPostgres,
  ],
];

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Deed>('append') },
  { weight: 3, arbitrary: fc.constant<Deed>('append under the lease') },
  { weight: 1, arbitrary: fc.constant<Deed>('touch') },
  { weight: 1, arbitrary: fc.constant<Deed>('create') },
  { weight: 1, arbitrary: fc.constant<Deed>('destroy') },
);
const lives = fc.array(fc.array(deed, { minLength: 1, maxLength: 6 }), {
  minLength: 2,
  maxLength: 4,
});

for (const [name, make, shared, missing] of stores) {
  const title = missing ? `${name}: ${missing}` : name;
  const run = missing ? test.skip : test;
  describe(title, () => {
    testSessionStore(make, { name: title, shared, test: run, describe });

    run('loses no update that it acknowledged, and brings nothing back, in any order', async () => {
      const clock = { now: Date.now, monotonicNow: Date.now };
      const one = await make(clock);
      const other: SessionStore = shared ? await make(clock) : one;
      try {
        await fc.assert(
          fc.asyncProperty(lives, (each) => liveTogether([one, other], each)),
          { numRuns: casesOf(200) },
        );
      } finally {
        await one.close();
        if (shared) await other.close();
      }
    });
  });
}

describe('calls of a store', () => {
  test('what the store answers comes through', async () => {
    expect(await storeCall(async () => 5)).toBe(5);
  });

  test('a store that does not answer is a 503 after two seconds', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    const refused = expect(storeCall(() => new Promise(() => {}))).rejects.toMatchObject({
      code: 'ERR_SESSION_STORE',
      status: 503,
      detail: 'the session store failed: ETIMEDOUT',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    jest.useRealTimers();
  });

  test.each<[string, unknown, string]>([
    ['with a code', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), ': ECONNREFUSED'],
    ['with text for a code', Object.assign(new Error('x'), { code: 'of sesame' }), ''],
    ['without one', new Error('sesame'), ''],
    ['that is no error', 'sesame', ''],
  ])('its failure %s is a 503', async (_name, cause, told) => {
    await expect(storeCall(() => Promise.reject(cause))).rejects.toMatchObject({
      code: 'ERR_SESSION_STORE',
      status: 503,
      detail: `the session store failed${told}`,
      cause,
    });
  });
});

describe('the store in memory', () => {
  const START = 1_700_000_000;

  const session = { sealed: '', about: '', expiresAt: START + 10, startedAt: START, terms: [] };

  test('makes room by dropping what was unused for longest, and its terms', async () => {
    const store = memoryStore({ now: () => START * 1000, maxSessions: 3 });
    const terms = ['user'];
    for (const key of ['a', 'b', 'c']) await store.create(key, { ...session, terms });
    await store.read('a');
    await store.create('d', { ...session, terms });
    await store.touch('c', START + 20);
    await store.create('e', { ...session, terms });
    expect((await store.list('user')).map(({ key }) => key)).toEqual(['c', 'd', 'e']);
    expect(await store.read('a')).toBeUndefined();
  });

  test('what has expired makes room first', async () => {
    let now = START * 1000;
    const store = memoryStore({ now: () => now, monotonicNow: () => now, maxSessions: 2 });
    await store.create('a', { ...session, expiresAt: START + 100 });
    await store.create('b', session);
    now += 10_000;
    await store.create('c', { ...session, expiresAt: START + 100 });
    expect(await store.read('a')).toBeDefined();
  });

  test('the sign-ins of one user leave the sessions of others', async () => {
    const store = memoryStore({ now: () => START * 1000, maxSessions: 1000 });
    await store.create('victim', { ...session, terms: ['victim'] });
    for (let i = 0; i < 5000; i += 1) await store.create(`${i}`, { ...session, terms: ['user'] });
    expect(await store.list('user')).toHaveLength(100);
    expect(await store.read('victim')).toBeDefined();
  });

  test('keeps a bounded number of used values: the one that expires first goes', async () => {
    const store = memoryStore({ now: () => START * 1000 });
    await store.once('late', START + 20);
    await store.once('first', START + 9);
    for (let i = 0; i < 99_998; i += 1) await store.once(`${i}`, START + 10);
    expect(await store.once('first', START + 9)).toBe(false);
    expect(await store.once('new', START + 10)).toBe(true);
    expect(await store.once('late', START + 20)).toBe(false);
    expect(await store.once('0', START + 10)).toBe(false);
    expect(await store.once('first', START + 9)).toBe(true);
  });
});
