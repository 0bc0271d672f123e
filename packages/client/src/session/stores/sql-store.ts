import { createHash } from 'node:crypto';
import {
  type ListedSession,
  MAX_LISTED,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
} from '../session-store.ts';

/** Names of the tables, and how a database tells the time. */
export interface SqlDialect {
  readonly sessions: string;
  readonly terms: string;
  readonly used: string;
  /** The time in seconds; `$1` is the clock of the caller, if it has one. */
  readonly time: string;
}

const PURGE_EVERY_MS = 60_000;

/** Sessions in tables. Each statement is all done, or not at all. */
export abstract class SqlStore implements SessionStore {
  readonly #statements: ReturnType<typeof statementsFor>;
  readonly #now: (() => number) | undefined;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(dialect: SqlDialect, now: (() => number) | undefined) {
    this.#statements = statementsFor(dialect);
    this.#now = now;
  }

  abstract create(key: string, session: NewSession): Promise<void>;
  abstract close(): Promise<void>;

  /** Runs a statement with the parameters `$1`, `$2`, … */
  protected abstract query<Row>(statement: string, parameters: unknown[]): Promise<Row[]>;

  /** Seconds since 1970, or null for the clock of the database. */
  protected clock(): number | null {
    return this.#now ? this.#now() / 1000 : null;
  }

  async read(key: string): Promise<StoredSession | undefined> {
    const [row] = await this.query<StoredSession>(this.#statements.read, [this.clock(), key]);
    return row;
  }

  async update(
    key: string,
    expectedVersion: number,
    { sealed, expiresAt }: SessionUpdate,
    fence?: number,
  ): Promise<boolean> {
    const parameters = [this.clock(), key, expectedVersion, sealed, expiresAt, fence ?? null];
    return (await this.query(this.#statements.update, parameters)).length === 1;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    await this.query(this.#statements.touch, [this.clock(), key, expiresAt]);
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    const [row] = await this.query<StoredSession>(this.#statements.destroy, [key]);
    return row;
  }

  async list(term: string): Promise<ListedSession[]> {
    return this.query<ListedSession>(this.#statements.list, [this.clock(), term]);
  }

  async acquire(key: string, milliseconds: number): Promise<number | undefined> {
    const parameters = [this.clock(), key, milliseconds];
    const [row] = await this.query<{ fence: number }>(this.#statements.acquire, parameters);
    return row?.fence;
  }

  async extend(key: string, fence: number, milliseconds: number): Promise<boolean> {
    const parameters = [this.clock(), key, fence, milliseconds];
    return (await this.query(this.#statements.extend, parameters)).length === 1;
  }

  async release(key: string, fence: number): Promise<void> {
    await this.query(this.#statements.release, [key, fence]);
  }

  async once(value: string, expiresAt: number): Promise<boolean> {
    await this.purge();
    // The value may be longer than an index takes.
    const hash = createHash('sha256').update(value).digest('base64url');
    const parameters = [this.clock(), hash, expiresAt];
    return (await this.query(this.#statements.once, parameters)).length === 1;
  }

  /** Deletes what has expired, at most once a minute. */
  protected async purge(): Promise<void> {
    const now = performance.now();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    await this.query(this.#statements.purgeSessions, [this.clock()]);
    await this.query(this.#statements.purgeUsed, [this.clock()]);
  }
}

function statementsFor({ sessions, terms, used, time }: SqlDialect) {
  const session = 'sealed, about, expires_at AS "expiresAt", version';
  return {
    read: `SELECT ${session} FROM ${sessions} WHERE key = $2 AND expires_at > ${time}`,
    update: `
      UPDATE ${sessions} SET version = version + 1, sealed = $4, expires_at = $5
      WHERE key = $2 AND version = $3 AND expires_at > ${time} AND fence = coalesce($6, fence)
      RETURNING key`,
    touch: `UPDATE ${sessions} SET expires_at = $3 WHERE key = $2 AND expires_at > ${time}`,
    destroy: `DELETE FROM ${sessions} WHERE key = $1 RETURNING ${session}`,
    list: `
      SELECT key, about, expires_at AS "expiresAt" FROM ${terms} JOIN ${sessions} USING (key)
      WHERE term = $2 AND expires_at > ${time} LIMIT ${MAX_LISTED}`,
    acquire: `
      UPDATE ${sessions} SET fence = fence + 1, lease_until = ${time} * 1000 + $3
      WHERE key = $2 AND expires_at > ${time} AND lease_until <= ${time} * 1000
      RETURNING fence`,
    extend: `
      UPDATE ${sessions} SET lease_until = ${time} * 1000 + $4
      WHERE key = $2 AND fence = $3 AND expires_at > ${time} AND lease_until > ${time} * 1000
      RETURNING fence`,
    release: `UPDATE ${sessions} SET lease_until = 0 WHERE key = $1 AND fence = $2`,
    once: `
      INSERT INTO ${used} AS old (value, expires_at) VALUES ($2, $3)
      ON CONFLICT (value) DO UPDATE SET expires_at = excluded.expires_at
      WHERE old.expires_at <= ${time}
      RETURNING value`,
    purgeSessions: `DELETE FROM ${sessions} WHERE expires_at <= ${time}`,
    purgeUsed: `DELETE FROM ${used} WHERE expires_at <= ${time}`,
  };
}
