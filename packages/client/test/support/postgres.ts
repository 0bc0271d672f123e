import { randomBytes } from 'node:crypto';
import pg from 'pg';

export const POSTGRES_URL =
  process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';

/** Reason for a skipped test of PostgreSQL; undefined when it runs. */
export async function whyNoPostgres(): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: POSTGRES_URL, connectionTimeoutMillis: 3000 });
  try {
    await client.connect();
    return undefined;
  } catch {
    return `no PostgreSQL at ${new URL(POSTGRES_URL).host}, or none that TEST_POSTGRES_URL may use`;
  } finally {
    await client.end().catch(() => {});
  }
}

/** A prefix that no other run uses. */
export function newTablePrefix(): string {
  return `test_${randomBytes(6).toString('hex')}_`;
}

/** Runs statements in addition to a store's. */
export async function runSql(...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: POSTGRES_URL });
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const statement of statements) ({ rows } = await client.query(statement));
    return rows;
  } finally {
    await client.end();
  }
}

export async function dropTables(prefix: string): Promise<void> {
  const tables = ['terms', 'sessions', 'used_once', 'ends'].map((name) => prefix + name);
  await runSql(`DROP TABLE IF EXISTS ${tables.join(', ')}`);
}
