import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';

export const REDIS_URL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379';
export const POSTGRES_URL =
  process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';

const run = randomBytes(6).toString('hex');
/** A prefix and a table that no other run uses. */
export const prefix = `test-${run}:`;
export const table = `test_${run}`;

/** Reason for a skipped test of Redis; undefined when it runs. */
export async function whyNoRedis(): Promise<string | undefined> {
  const redis = new Redis(REDIS_URL, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return undefined;
  } catch {
    return `no Redis at ${new URL(REDIS_URL).host}, or none that TEST_REDIS_URL names`;
  } finally {
    redis.disconnect();
  }
}

/** Reason for a skipped test of PostgreSQL; undefined when it runs. */
export async function whyNoPostgres(): Promise<string | undefined> {
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
export async function dropSets({ redis, postgres }: { redis: boolean; postgres: boolean }) {
  if (postgres) await query(`DROP TABLE IF EXISTS ${table}`);
  if (!redis) return;
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
