import { createHash } from 'node:crypto';
import { InvalidOptions } from '@koa-oauth/issuer';
import {
  type ListedSession,
  MAX_LISTED,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
} from '../session-store.ts';

/** Options of `postgresStore`: either `url` or `pool`. */
export interface PostgresStoreOptions {
  /** Such as `postgres://user:password@db.example:5432/app?sslmode=verify-full`. */
  url?: string;
  /** Instead of `url`: a pool of `pg`. It stays open at `close`. */
  pool?: PostgresPool;
  /** Stands before the name of each table: lower case letters, digits and "_". Default: `koa_oauth_` */
  prefix?: string;
  /** Milliseconds since 1970. Default: the clock of the server */
  now?: () => number;
}

/** A pool of `pg`, version 8 or later. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/**
 * Keeps sessions in PostgreSQL, for any number of processes and machines. It needs `pg` installed.
 *
 * The tables are made at the first call, where they are missing. It starts, and goes on, while the
 * server is away: each call then rejects.
 *
 * @throws InvalidOptions at once when there is neither a `url` that can be one nor a `pool`, or when
 *   `prefix` can't be part of a name
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
const QUERY_TIMEOUT_MS = 2000;
const PURGE_EVERY_MS = 60_000;
/** Any number: processes that start at once make the tables one after another. */
const SCHEMA_LOCK = 7_240_118_233;

/** The clock of the caller, in seconds, else that of the server. */
const NOW = 'coalesce($1::float8, extract(epoch FROM statement_timestamp())::float8)';
const SESSION = 'sealed, about, expires_at AS "expiresAt", version';

class PostgresStore implements SessionStore {
  readonly #statements: ReturnType<typeof statementsFor>;
  readonly #prefix: string;
  readonly #now: (() => number) | undefined;
  readonly #connecting: Promise<{ pool: PostgresPool; end(): Promise<void> }>;
  #schema: Promise<void> | undefined;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor({ url, pool, prefix = 'koa_oauth_', now }: PostgresStoreOptions) {
    const isURL = typeof url === 'string' && /^postgres(ql)?:\/\/./.test(url) && URL.canParse(url);
    // The message does not repeat what was given: it may hold a password.
    if (!pool && !isURL) throw new InvalidOptions('postgresStore: url must be postgres://…');
    if (!/^[a-z_][a-z0-9_]{0,30}$/.test(prefix)) {
      throw new InvalidOptions('postgresStore: prefix must be lower case letters, digits and "_"');
    }
    this.#prefix = prefix;
    this.#statements = statementsFor(prefix);
    this.#now = now;
    this.#connecting = pool ? Promise.resolve({ pool, async end() {} }) : connect(url as string);
    // Each call reports the failure; before the first there is no caller.
    this.#connecting.catch(() => {});
  }

  async create(key: string, { sealed, about, expiresAt, terms }: NewSession): Promise<void> {
    await this.#purge();
    const parameters = [this.#clock(), key, sealed, about, expiresAt, terms];
    const created = await this.#query(this.#statements.create, parameters);
    if (created.length !== 1) throw new Error('the session exists already');
  }

  async read(key: string): Promise<StoredSession | undefined> {
    const rows = await this.#query<StoredSession>(this.#statements.read, [this.#clock(), key]);
    return rows[0];
  }

  async update(
    key: string,
    expectedVersion: number,
    { sealed, expiresAt }: SessionUpdate,
    fence?: number,
  ): Promise<boolean> {
    const parameters = [this.#clock(), key, expectedVersion, sealed, expiresAt, fence ?? null];
    return (await this.#query(this.#statements.update, parameters)).length === 1;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    await this.#query(this.#statements.touch, [this.#clock(), key, expiresAt]);
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    const rows = await this.#query<StoredSession>(this.#statements.destroy, [key]);
    return rows[0];
  }

  async list(term: string): Promise<ListedSession[]> {
    return this.#query<ListedSession>(this.#statements.list, [this.#clock(), term]);
  }

  async acquire(key: string, milliseconds: number): Promise<number | undefined> {
    const parameters = [this.#clock(), key, milliseconds / 1000];
    const rows = await this.#query<{ fence: number }>(this.#statements.acquire, parameters);
    return rows[0]?.fence;
  }

  async extend(key: string, fence: number, milliseconds: number): Promise<boolean> {
    const parameters = [this.#clock(), key, fence, milliseconds / 1000];
    return (await this.#query(this.#statements.extend, parameters)).length === 1;
  }

  async release(key: string, fence: number): Promise<void> {
    await this.#query(this.#statements.release, [key, fence]);
  }

  async once(value: string, expiresAt: number): Promise<boolean> {
    await this.#purge();
    // The value may be longer than an index takes.
    const hash = createHash('sha256').update(value).digest('base64url');
    const rows = await this.#query(this.#statements.once, [this.#clock(), hash, expiresAt]);
    return rows.length === 1;
  }

  async close(): Promise<void> {
    await this.#connecting.then(({ end }) => end());
  }

  /** Seconds, or null for the clock of the server. */
  #clock(): number | null {
    return this.#now ? this.#now() / 1000 : null;
  }

  async #query<Row>(text: string, parameters: unknown[]): Promise<Row[]> {
    const { pool } = await this.#connecting;
    try {
      await this.#prepare(pool);
      return (await pool.query(text, parameters)).rows as Row[];
    } catch (error) {
      const { message, code } = error as { message?: string; code?: unknown };
      // The error is not the cause: it may contain the values.
      throw Object.assign(new Error(`PostgreSQL: ${message || code}`), { code });
    }
  }

  async #prepare(pool: PostgresPool): Promise<void> {
    this.#schema ??= prepareSchema(pool, this.#prefix);
    try {
      await this.#schema;
    } catch (error) {
      this.#schema = undefined;
      throw error;
    }
  }

  async #purge(): Promise<void> {
    const now = performance.now();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    await this.#query(this.#statements.purgeSessions, [this.#clock()]);
    await this.#query(this.#statements.purgeUsed, [this.#clock()]);
  }
}

/** Each is one statement: all of it is done, or nothing. Where the time counts, it is the first parameter. */
function statementsFor(prefix: string) {
  const [sessions, terms, used] = [`${prefix}sessions`, `${prefix}terms`, `${prefix}used_once`];
  return {
    create: `
      WITH created AS (
        INSERT INTO ${sessions} AS old (key, version, sealed, about, expires_at)
        VALUES ($2, 1, $3, $4, $5)
        ON CONFLICT (key) DO UPDATE SET version = 1, sealed = excluded.sealed,
          about = excluded.about, expires_at = excluded.expires_at, fence = 0, lease_until = 0
        WHERE old.expires_at <= ${NOW}
        RETURNING key
      ), dropped AS (
        DELETE FROM ${terms} USING created
        WHERE ${terms}.key = created.key AND term <> ALL ($6::text[])
      ), added AS (
        INSERT INTO ${terms} (term, key)
        SELECT term, key FROM created, unnest($6::text[]) AS term ON CONFLICT DO NOTHING
      )
      SELECT key FROM created`,
    read: `SELECT ${SESSION} FROM ${sessions} WHERE key = $2 AND expires_at > ${NOW}`,
    update: `
      UPDATE ${sessions} SET version = version + 1, sealed = $4, expires_at = $5
      WHERE key = $2 AND version = $3 AND expires_at > ${NOW}
        AND ($6::integer IS NULL OR fence = $6)
      RETURNING key`,
    touch: `UPDATE ${sessions} SET expires_at = $3 WHERE key = $2 AND expires_at > ${NOW}`,
    destroy: `DELETE FROM ${sessions} WHERE key = $1 RETURNING ${SESSION}`,
    list: `
      SELECT key, about, expires_at AS "expiresAt" FROM ${terms} JOIN ${sessions} USING (key)
      WHERE term = $2 AND expires_at > ${NOW} LIMIT ${MAX_LISTED}`,
    acquire: `
      UPDATE ${sessions} SET fence = fence + 1, lease_until = ${NOW} + $3
      WHERE key = $2 AND expires_at > ${NOW} AND lease_until <= ${NOW}
      RETURNING fence`,
    extend: `
      UPDATE ${sessions} SET lease_until = ${NOW} + $4
      WHERE key = $2 AND fence = $3 AND expires_at > ${NOW} AND lease_until > ${NOW}
      RETURNING fence`,
    release: `UPDATE ${sessions} SET lease_until = 0 WHERE key = $1 AND fence = $2`,
    once: `
      INSERT INTO ${used} AS old (value, expires_at) VALUES ($2, $3)
      ON CONFLICT (value) DO UPDATE SET expires_at = excluded.expires_at
      WHERE old.expires_at <= ${NOW}
      RETURNING value`,
    purgeSessions: `DELETE FROM ${sessions} WHERE expires_at <= ${NOW}`,
    purgeUsed: `DELETE FROM ${used} WHERE expires_at <= ${NOW}`,
  };
}

/** Makes the tables where they are missing: a user who may only use them needs no more rights. */
async function prepareSchema(pool: PostgresPool, prefix: string): Promise<void> {
  const { rows } = await pool.query('SELECT to_regclass($1) AS found', [`${prefix}used_once`]);
  if ((rows[0] as { found: unknown }).found !== null) return;
  // Without parameters it is one transaction, which the lock lasts as long as.
  await pool.query(`
    SELECT pg_advisory_xact_lock(${SCHEMA_LOCK});
    CREATE TABLE IF NOT EXISTS ${prefix}sessions (
      key text PRIMARY KEY,
      version integer NOT NULL,
      sealed text NOT NULL,
      about text NOT NULL,
      expires_at float8 NOT NULL,
      fence integer NOT NULL DEFAULT 0,
      lease_until float8 NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS ${prefix}sessions_expires_at ON ${prefix}sessions (expires_at);
    CREATE TABLE IF NOT EXISTS ${prefix}terms (
      term text NOT NULL,
      key text NOT NULL REFERENCES ${prefix}sessions ON DELETE CASCADE,
      PRIMARY KEY (term, key)
    );
    CREATE INDEX IF NOT EXISTS ${prefix}terms_key ON ${prefix}terms (key);
    CREATE TABLE IF NOT EXISTS ${prefix}used_once (
      value text PRIMARY KEY,
      expires_at float8 NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ${prefix}used_once_expires_at ON ${prefix}used_once (expires_at);
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
  // An idle connection that breaks is replaced; unheard, the event would end the process.
  pool.on('error', () => {});
  return { pool, end: () => pool.end() };
}
