import { InvalidOptions, parseURL } from '@koa-oauth/issuer';
import type { NewSession, SessionStore } from '../session-store.ts';
import { type SqlDialect, SqlStore } from './sql-store.ts';

/** Options of `postgresStore`: either `url` or `pool`. */
export interface PostgresStoreOptions {
  /** Such as `postgres://user:password@db.example:5432/app?sslmode=verify-full`. */
  url?: string | undefined;
  /** Instead of `url`: a pool of `pg`. It stays open at `close`. */
  pool?: PostgresPool | undefined;
  /** Prefix of each table's name: lower case letters, digits and "_". Default: `koa_oauth_` */
  prefix?: string | undefined;
  /** Milliseconds since 1970. Default: the clock of the server */
  now?: (() => number) | undefined;
}

/** A pool of `pg`, version 8 or later. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/**
 * Keeps sessions in PostgreSQL, for any number of processes and machines. It needs `pg` installed.
 *
 * The first call creates missing tables. While the server is down, the app starts and runs, and each call
 * rejects.
 *
 * @throws InvalidOptions at once without a valid `url` or a `pool`, or when `prefix` can't be part of a name
 * @example
 * import { postgresStore } from '@koa-oauth/client/postgres';
 *
 * const store = postgresStore({ url: 'postgres://user:password@db.example/app' });
 * app.use(auth({ issuerBaseURL, baseURL, clientID, clientSecret, secret, session: { store } }));
 */
export function postgresStore(options: PostgresStoreOptions): SessionStore {
  return new PostgresStore(options);
}

const CONNECT_TIMEOUT_MS = 3000;
/** Longer than a request waits: an answer counts that arrives while the process is busy. */
const QUERY_TIMEOUT_MS = 3000;
/** An arbitrary number. Processes that start at once create the tables one after another. */
const SCHEMA_LOCK = 7_240_118_233;

class PostgresStore extends SqlStore {
  readonly #tables: SqlDialect;
  readonly #connecting: Promise<{ pool: PostgresPool; end(): Promise<void> }>;
  #schema: Promise<void> | undefined;

  constructor({ url, pool, prefix = 'koa_oauth_', now }: PostgresStoreOptions) {
    const isURL = parseURL(url) !== undefined && /^postgres(ql)?:\/\/./.test(String(url));
    // The message does not repeat the URL: it may contain a password.
    if (!pool && !isURL) throw new InvalidOptions('postgresStore: url must be postgres://…');
    if (!/^[a-z_][a-z0-9_]{0,30}$/.test(prefix)) {
      throw new InvalidOptions('postgresStore: prefix must be lower case letters, digits and "_"');
    }
    const tables = {
      sessions: `${prefix}sessions`,
      terms: `${prefix}terms`,
      used: `${prefix}used_once`,
      ends: `${prefix}ends`,
      lock: 'FOR UPDATE',
      skipLocked: 'FOR UPDATE SKIP LOCKED',
      isOneOf: (column: string, parameter: string) => `${column} = ANY (${parameter}::text[])`,
      time: 'coalesce($1::float8, extract(epoch FROM statement_timestamp())::float8)',
    };
    super(tables, now);
    this.#tables = tables;
    this.#connecting = pool ? Promise.resolve({ pool, async end() {} }) : connect(url as string);
    // Each call reports the failure; before the first there is no caller.
    this.#connecting.catch(() => {});
  }

  async close(): Promise<void> {
    await this.#connecting.then(({ end }) => end());
  }

  protected async insert(
    key: string,
    { sealed, about, expiresAt, terms }: NewSession,
  ): Promise<boolean> {
    const parameters = [this.clock(), key, sealed, about, expiresAt, terms];
    return (await this.query(insertStatement(this.#tables), parameters)).length === 1;
  }

  protected async query<Row>(statement: string, parameters: unknown[]): Promise<Row[]> {
    const { pool } = await this.#connecting;
    try {
      await this.#prepare(pool);
      return (await pool.query(statement, parameters)).rows as Row[];
    } catch (error) {
      const { message, code } = error as { message?: string; code?: unknown };
      // The error is not the cause: it may contain the values.
      throw Object.assign(new Error(`PostgreSQL: ${message || code}`), { code });
    }
  }

  async #prepare(pool: PostgresPool): Promise<void> {
    this.#schema ??= prepareSchema(pool, this.#tables);
    try {
      await this.#schema;
    } catch (error) {
      this.#schema = undefined;
      throw error;
    }
  }
}

/** Returns one statement, so that it is done as a whole or not at all. */
function insertStatement({ sessions, terms, time }: SqlDialect): string {
  return `
    WITH created AS (
      INSERT INTO ${sessions} AS old (key, version, sealed, about, expires_at)
      VALUES ($2, 1, $3, $4, $5)
      ON CONFLICT (key) DO UPDATE SET version = 1, sealed = excluded.sealed,
        about = excluded.about, expires_at = excluded.expires_at, fence = 0, lease_until = 0
      WHERE old.expires_at <= ${time}
      RETURNING key
    ), dropped AS (
      DELETE FROM ${terms} USING created
      WHERE ${terms}.key = created.key AND term <> ALL ($6::text[])
    ), added AS (
      INSERT INTO ${terms} (term, key)
      SELECT term, key FROM created, unnest($6::text[]) AS term ON CONFLICT DO NOTHING
    )
    SELECT key FROM created`;
}

/** Creates missing tables. If all exist, the database user needs no right to create any. */
async function prepareSchema(
  pool: PostgresPool,
  { sessions, terms, used, ends }: SqlDialect,
): Promise<void> {
  const { rows } = await pool.query('SELECT to_regclass($1) AS found', [ends]);
  if ((rows[0] as { found: unknown }).found !== null) return;
  // A query without parameters is one transaction. The lock is held until its end.
  await pool.query(`
    SELECT pg_advisory_xact_lock(${SCHEMA_LOCK});
    CREATE TABLE IF NOT EXISTS ${sessions} (
      key text PRIMARY KEY,
      version integer NOT NULL,
      sealed text NOT NULL,
      about text NOT NULL,
      expires_at float8 NOT NULL,
      fence integer NOT NULL DEFAULT 0,
      lease_until float8 NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS ${sessions}_expires_at ON ${sessions} (expires_at);
    CREATE TABLE IF NOT EXISTS ${terms} (
      term text NOT NULL,
      key text NOT NULL REFERENCES ${sessions} ON DELETE CASCADE,
      PRIMARY KEY (term, key)
    );
    CREATE INDEX IF NOT EXISTS ${terms}_key ON ${terms} (key);
    CREATE TABLE IF NOT EXISTS ${used} (
      value text PRIMARY KEY,
      expires_at float8 NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ${used}_expires_at ON ${used} (expires_at);
    CREATE TABLE IF NOT EXISTS ${ends} (
      term text PRIMARY KEY,
      ended_at float8 NOT NULL,
      expires_at float8 NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ${ends}_expires_at ON ${ends} (expires_at);
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
