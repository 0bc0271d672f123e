import { InvalidOptions, parseURL } from '@koa-oauth/issuer';
import { type ExpiringSet, newSecret, SECRET_KEY, secondsLeft, shortKey } from './expiring-set.ts';

/** Options of `postgresSet`: either `url` or `pool`. */
export interface PostgresSetOptions {
  /** Such as `postgres://user:password@db.example:5432/app?sslmode=verify-full`. */
  url?: string | undefined;
  /** Instead of `url`: a pool of `pg`. It stays open at `close`. */
  pool?: PostgresPool | undefined;
  /** Name of the table: lower case letters, digits and "_". Default: `koa_oauth_expiring_keys` */
  table?: string | undefined;
}

/** A pool of `pg`, version 8 or later. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/**
 * Keeps keys in PostgreSQL, for any number of processes and machines. It needs `pg` installed.
 *
 * The first call creates the table if it is missing. While the server is down, the app starts and runs,
 * and each call rejects.
 *
 * @throws InvalidOptions at once without a valid `url` or a `pool`, or when `table` can't be a name
 * @example
 * import { postgresSet } from '@koa-oauth/resource-server/postgres';
 *
 * const store = postgresSet({ url: 'postgres://user:password@db.example/app' });
 * app.use(auth({ issuerBaseURL, audience, dpop: { baseURL, store } }));
 */
export function postgresSet(options: PostgresSetOptions): ExpiringSet {
  return new PostgresSet(options);
}

const CONNECT_TIMEOUT_MS = 3000;
/** Longer than a request waits: an answer counts that arrives while the process is busy. */
const QUERY_TIMEOUT_MS = 3000;
const PURGE_EVERY_MS = 10_000;
const PURGE_ROWS = 5000;
/** An arbitrary number. Processes that start at once create the table one after another. */
const SCHEMA_LOCK = 7_240_118_234;
/** The clock of the server: all processes share it. */
const NOW = 'extract(epoch FROM statement_timestamp())::float8';

class PostgresSet implements ExpiringSet {
  readonly #table: string;
  readonly #connecting: Promise<{ pool: PostgresPool; end(): Promise<void> }>;
  #schema: Promise<void> | undefined;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor({ url, pool, table = 'koa_oauth_expiring_keys' }: PostgresSetOptions) {
    const isURL = parseURL(url) !== undefined && /^postgres(ql)?:\/\/./.test(String(url));
    // The message does not repeat the URL: it may contain a password.
    if (!pool && !isURL) throw new InvalidOptions('postgresSet: url must be postgres://…');
    if (!/^[a-z_][a-z0-9_]{0,40}$/.test(table)) {
      throw new InvalidOptions('postgresSet: table must be lower case letters, digits and "_"');
    }
    this.#table = table;
    this.#connecting = pool ? Promise.resolve({ pool, async end() {} }) : connect(url as string);
    // Each call reports the failure; before the first there is no caller.
    this.#connecting.catch(() => {});
  }

  async add(key: string, until: number): Promise<boolean> {
    const seconds = secondsLeft(until, Date.now() / 1000);
    // A conflict locks the row, and so writes. Most copies of a key need only the read.
    const rows = await this.#query(
      `INSERT INTO ${this.#table} AS old (key, expires_at)
       SELECT $1::text, ${NOW} + $2::float8
       WHERE NOT EXISTS (SELECT FROM ${this.#table} WHERE key = $1 AND expires_at > ${NOW})
       ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at
       WHERE old.expires_at <= ${NOW}
       RETURNING key`,
      [shortKey(key), seconds],
    );
    this.#purge();
    return rows.length === 1;
  }

  async has(key: string): Promise<boolean> {
    const select = `SELECT key FROM ${this.#table} WHERE key = $1 AND expires_at > ${NOW}`;
    return (await this.#query(select, [shortKey(key)])).length === 1;
  }

  async setIfGreater(key: string, number: number, until: number): Promise<void> {
    const seconds = secondsLeft(until, Date.now() / 1000);
    await this.#query(
      `INSERT INTO ${this.#table} AS old (key, expires_at, value)
       VALUES ($1, ${NOW} + $2::float8, $3::text)
       ON CONFLICT (key) DO UPDATE SET
         expires_at = greatest(old.expires_at, excluded.expires_at),
         value = CASE WHEN old.expires_at > ${NOW} AND old.value::float8 > excluded.value::float8
           THEN old.value ELSE excluded.value END`,
      [shortKey(key), seconds, String(number)],
    );
    this.#purge();
  }

  async getNumbers(keys: readonly string[]): Promise<readonly (number | undefined)[]> {
    const names = keys.map(shortKey);
    const select = `SELECT key, value FROM ${this.#table} WHERE key = ANY($1) AND expires_at > ${NOW}`;
    const rows = (await this.#query(select, [names])) as { key: string; value: string | null }[];
    // Expired keys are removed here too, because no `add` may follow.
    this.#purge();
    const values = new Map(rows.map(({ key, value }) => [key, value]));
    return names.map((name) => {
      const value = values.get(name) ?? undefined;
      return value === undefined ? undefined : Number(value);
    });
  }

  async sharedSecret(): Promise<string> {
    const [row] = await this.#query(
      `INSERT INTO ${this.#table} AS old (key, expires_at, value) VALUES ($1, 'infinity', $2)
       ON CONFLICT (key) DO UPDATE SET value = old.value
       RETURNING value`,
      [SECRET_KEY, newSecret()],
    );
    return (row as { value: string }).value;
  }

  async close(): Promise<void> {
    await this.#connecting.then(({ end }) => end());
  }

  /** Deletes expired rows in the background. While more are left, each call deletes another batch. */
  #purge(): void {
    const now = performance.now();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    const statement = `
      DELETE FROM ${this.#table} WHERE key IN (
        SELECT key FROM ${this.#table} WHERE expires_at <= ${NOW}
        LIMIT ${PURGE_ROWS} FOR UPDATE SKIP LOCKED
      )
      RETURNING key`;
    this.#query(statement, []).then(
      ({ length }) => {
        if (length === PURGE_ROWS) this.#purgedAt = Number.NEGATIVE_INFINITY;
      },
      // The next call reports that the server is down.
      () => {},
    );
  }

  async #query(statement: string, parameters: unknown[]): Promise<unknown[]> {
    const { pool } = await this.#connecting;
    try {
      await this.#prepare(pool);
      return (await pool.query(statement, parameters)).rows;
    } catch (error) {
      const { message, code } = error as { message?: string; code?: unknown };
      // The error is not the cause: it may contain the values.
      throw Object.assign(new Error(`PostgreSQL: ${message || code}`), { code });
    }
  }

  async #prepare(pool: PostgresPool): Promise<void> {
    this.#schema ??= createTable(pool, this.#table);
    try {
      await this.#schema;
    } catch (error) {
      this.#schema = undefined;
      throw error;
    }
  }
}

/** Creates a missing table. If it exists, the database user needs no right to create any. */
async function createTable(pool: PostgresPool, table: string): Promise<void> {
  const { rows } = await pool.query('SELECT to_regclass($1) AS found', [table]);
  if ((rows[0] as { found: unknown }).found !== null) return;
  // A query without parameters is one transaction. The lock is held until its end.
  await pool.query(`
    SELECT pg_advisory_xact_lock(${SCHEMA_LOCK});
    CREATE TABLE IF NOT EXISTS ${table} (
      key text PRIMARY KEY,
      expires_at float8 NOT NULL,
      value text
    );
    CREATE INDEX IF NOT EXISTS ${table}_expires_at ON ${table} (expires_at);
  `);
}

async function connect(url: string) {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    allowExitOnIdle: true,
  });
  // The pool replaces a broken idle connection. Without a listener the event would end the process.
  pool.on('error', () => {});
  return { pool, end: () => pool.end() };
}
