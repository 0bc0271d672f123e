import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { REDIS_URL, whyNoRedis } from '../../../../test/support/redis.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { postgresStore } from '../../src/session/stores/postgres.ts';
import { redisStore } from '../../src/session/stores/redis.ts';
import { sqliteStore } from '../../src/session/stores/sqlite.ts';
import { dropTables, newTablePrefix, POSTGRES_URL, whyNoPostgres } from './postgres.ts';
import { dropKeys, newPrefix } from './redis.ts';

/** Two stores on the same sessions, as two processes have them; one, if it is not shared. */
export interface StorePair {
  readonly store: SessionStore;
  readonly other: SessionStore;
  close(): Promise<void>;
}

/** A kind of store, for tests of what is built on it. */
export interface KindOfStore {
  /** Names it, and says why its tests are skipped. */
  readonly name: string;
  readonly testIt: typeof test | typeof test.skip;
  /** Opens an empty one. @param now milliseconds since 1970 */
  open(now: () => number): StorePair;
}

const folder = mkdtempSync(join(tmpdir(), 'stores-'));
const prefix = newPrefix();
const tables = newTablePrefix();
const [noRedis, noPostgres] = await Promise.all([whyNoRedis(), whyNoPostgres()]);
let opened = 0;

afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!noRedis) await dropKeys(prefix);
  if (noPostgres) return;
  for (let i = 1; i <= opened; i += 1) await dropTables(`${tables}${i}_`);
});

/** @param make returns the same sessions for the same number */
function shared(
  name: string,
  missing: string | undefined,
  make: (number: number, now: () => number) => SessionStore,
): KindOfStore {
  return {
    name: missing ? `${name}: ${missing}` : name,
    testIt: missing ? test.skip : test,
    open(now) {
      opened += 1;
      const [store, other] = [make(opened, now), make(opened, now)];
      const close = async () => void (await Promise.all([store.close(), other.close()]));
      return { store, other, close };
    },
  };
}

const memory: KindOfStore = {
  name: 'memory',
  testIt: test,
  open(now) {
    const store = memoryStore({ now });
    return { store, other: store, close: () => store.close() };
  },
};

/** True in a suite of `npm run test:long`. */
export const IS_LONG = expect.getState().testPath?.endsWith('.long.test.ts') ?? false;

/** Kinds of stores of this run: those within the process, in a long suite those on a server. */
export const STORES: readonly KindOfStore[] = IS_LONG
  ? [
      shared('Redis', noRedis, (n, now) =>
        redisStore({ url: REDIS_URL, prefix: `${prefix}${n}:`, now }),
      ),
      shared('PostgreSQL', noPostgres, (n, now) =>
        postgresStore({ url: POSTGRES_URL, prefix: `${tables}${n}_`, now }),
      ),
    ]
  : [
      memory,
      shared('file', undefined, (n, now) => sqliteStore({ path: join(folder, `${n}.db`), now })),
    ];
