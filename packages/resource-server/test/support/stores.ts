import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { REDIS_URL, whyNoRedis } from '../../../../test/support/redis.ts';
import type { ExpiringSet } from '../../src/stores/expiring-set.ts';
import { postgresSet } from '../../src/stores/postgres.ts';
import { redisSet } from '../../src/stores/redis.ts';

export const POSTGRES_URL =
  process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';

const run = randomBytes(6).toString('hex');
/** A prefix and a table that no other run uses. */
export const prefix = `test-${run}:`;
export const table = `test_${run}`;

export const [noRedis, noPostgres] = await Promise.all([whyNoRedis(), whyNoPostgres()]);

/** Server that keeps sets for all processes. */
export interface SharedSets {
  readonly name: string;
  /** Reason for skipped tests; undefined when they run. */
  readonly missing: string | undefined;
  open(): ExpiringSet;
}

export const SHARED_SETS = [
  { name: 'Redis', missing: noRedis, open: () => redisSet({ url: REDIS_URL, prefix }) },
  {
    name: 'PostgreSQL',
    missing: noPostgres,
    open: () => postgresSet({ url: POSTGRES_URL, table }),
  },
] as const satisfies readonly SharedSets[];

/** Reason for a skipped test of PostgreSQL; undefined when it runs. */
async function whyNoPostgres(): Promise<string | undefined> {
  try {
    await query('SELECT 1');
    return undefined;
  } catch {
    return `no PostgreSQL at ${new URL(POSTGRES_URL).host}, or none that TEST_POSTGRES_URL may use`;
  }
}

/** Returns the number of rows of the table under a condition. */
export async function rowsOf(condition: string): Promise<number> {
  const [row] = await query(`SELECT count(*)::integer AS rows FROM ${table} WHERE ${condition}`);
  return (row as { rows: number }).rows;
}

/** Removes what this run has stored. */
export async function dropSets(): Promise<void> {
  if (!noPostgres) await query(`DROP TABLE IF EXISTS ${table}`);
  if (noRedis) return;
  const client = new Redis(REDIS_URL);
  for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1000 })) {
    if ((keys as string[]).length > 0) await client.del(...(keys as string[]));
  }
  client.disconnect();
}

async function query(statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: POSTGRES_URL, connectionTimeoutMillis: 3000 });
  try {
    await client.connect();
    return (await client.query(statement)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}
