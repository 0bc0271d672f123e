import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf } from '../../../../test/support/properties.ts';
import { REDIS_URL, whyNoRedis } from '../../../../test/support/redis.ts';
import { type SessionStore, storeCall } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { postgresStore } from '../../src/session/stores/postgres.ts';
import { redisStore } from '../../src/session/stores/redis.ts';
import { sqliteStore } from '../../src/session/stores/sqlite.ts';
import { type MakeSessionStore, testSessionStore } from '../../src/testing.ts';
import { IS_LONG } from '../support/every-store.ts';
import { dropTables, newTablePrefix, POSTGRES_URL, whyNoPostgres } from '../support/postgres.ts';
import { dropKeys, newPrefix } from '../support/redis.ts';
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

type Kind = [name: string, make: MakeSessionStore, shared: boolean, missing?: string];

const stores: Kind[] = IS_LONG
  ? [
      ['Redis', ({ now }) => redisStore({ url: REDIS_URL, prefix, now }), true, noRedis],
      [
        'PostgreSQL',
        ({ now }) => postgresStore({ url: POSTGRES_URL, prefix: tables, now }),
        true,
        noPostgres,
      ],
    ]
  : [
      ['memory', (clock) => memoryStore(clock), false],
      ['SQLite', ({ now }) => sqliteStore({ path: join(folder, 'sessions.db'), now }), true],
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

    run('an answer that arrived while the process was busy for two seconds counts', async () => {
      const store = await make({ now: Date.now, monotonicNow: Date.now });
      await store.read('busy');
      jest.useFakeTimers({
        doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance', 'Date'],
      });
      try {
        const answer = storeCall(() => store.read('busy'));
        await new Promise((resolve) => setImmediate(resolve));
        // The answer arrives, and is read after the timers.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
        jest.advanceTimersByTime(2000);
        expect(await answer).toBeUndefined();
      } finally {
        jest.useRealTimers();
        await store.close();
      }
    });
  });
}
