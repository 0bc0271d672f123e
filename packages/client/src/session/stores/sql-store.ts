import { setImmediate as turn } from 'node:timers/promises';
import {
  type ListedSession,
  MAX_SESSIONS_PER_TERM,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
  storeKey,
} from '../session-store.ts';

/** Differences between the databases. */
export interface SqlDialect {
  readonly sessions: string;
  readonly terms: string;
  readonly used: string;
  readonly ends: string;
  /** Clause that locks the rows of a query in its order, so that two callers cannot deadlock. */
  readonly lock: string;
  /** Clause that also locks them, but skips those that another caller has locked. */
  readonly skipLocked: string;
  /** Condition for a column that is one of the values of a list parameter. */
  isOneOf(column: string, parameter: string): string;
  /** Expression for the time in seconds; `$1` is the clock of the caller, if it has one. */
  readonly time: string;
}

const PURGE_EVERY_MS = 60_000;
/** Rows deleted at a time. A file blocks the process meanwhile. */
const BATCH_ROWS = 200;

/** Stores sessions in tables. Each statement is done as a whole or not at all. */
export abstract class SqlStore implements SessionStore {
  readonly #statements: ReturnType<typeof statementsFor>;
  readonly #now: (() => number) | undefined;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(dialect: SqlDialect, now: (() => number) | undefined) {
    this.#statements = statementsFor(dialect);
    this.#now = now;
  }

  abstract close(): Promise<void>;

  /** Inserts a session and its terms. @returns false when the key is in use */
  protected abstract insert(key: string, session: NewSession): Promise<boolean>;

  /** Runs a statement with the parameters `$1`, `$2`, … */
  protected abstract query<Row>(statement: string, parameters: unknown[]): Promise<Row[]>;

  /** Seconds since 1970, or null for the clock of the database. */
  protected clock(): number | null {
    return this.#now ? this.#now() / 1000 : null;
  }

  async create(key: string, session: NewSession): Promise<boolean> {
    await this.#purge();
    if (!(await this.insert(key, session))) throw new Error('the session exists already');
    const { terms, startedAt } = session;
    await this.query(this.#statements.makeRoom, [key, terms]);
    // After it is stored: an end at the same time finds the session, or is found here.
    return (await this.query(this.#statements.destroyEnded, [key, terms, startedAt])).length === 0;
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

  async destroyAll(term: string, exceptKey = ''): Promise<number> {
    const parameters = [this.clock(), term, exceptKey];
    let total = 0;
    for (;;) {
      const { length } = await this.query(this.#statements.destroyAll, parameters);
      total += length;
      if (length < BATCH_ROWS) return total;
      await turn();
    }
  }

  async recordEnd(term: string, endedAt: number, expiresAt: number): Promise<void> {
    await this.query(this.#statements.recordEnd, [term, endedAt, expiresAt]);
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
    await this.#purge();
    // The value may be longer than an index takes.
    const parameters = [this.clock(), storeKey(value), expiresAt];
    return (await this.query(this.#statements.once, parameters)).length === 1;
  }

  /** Deletes expired rows once a minute. While more are left, each call deletes another batch. */
  async #purge(): Promise<void> {
    const now = performance.now();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    for (const statement of this.#statements.purge) {
      const { length } = await this.query(statement, [this.clock()]);
      if (length === BATCH_ROWS) this.#purgedAt = Number.NEGATIVE_INFINITY;
    }
  }
}

function statementsFor(dialect: SqlDialect) {
  const { sessions, terms, used, ends, lock, skipLocked, isOneOf, time } = dialect;
  const session = 'sealed, about, expires_at AS "expiresAt", version';
  const deleteExpired = (table: string, key: string) => `
    DELETE FROM ${table} WHERE ${key} IN (
      SELECT ${key} FROM ${table} WHERE expires_at <= ${time} LIMIT ${BATCH_ROWS} ${skipLocked}
    )
    RETURNING ${key}`;
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
      WHERE term = $2 AND expires_at > ${time}
      ORDER BY expires_at DESC LIMIT ${MAX_SESSIONS_PER_TERM}`,
    makeRoom: `
      DELETE FROM ${sessions} WHERE key IN (
        SELECT key FROM ${sessions} WHERE key IN (
          SELECT key FROM (
            SELECT key, row_number() OVER (PARTITION BY term ORDER BY expires_at DESC) AS place
            FROM ${terms} JOIN ${sessions} USING (key)
            WHERE ${isOneOf('term', '$2')} AND key <> $1
          ) AS others
          WHERE place >= ${MAX_SESSIONS_PER_TERM}
        ) ${skipLocked}
      )`,
    destroyEnded: `
      DELETE FROM ${sessions}
      WHERE key = $1 AND EXISTS (
        SELECT term FROM ${ends} WHERE ${isOneOf('term', '$2')} AND ended_at > $3
      )
      RETURNING key`,
    destroyAll: `
      DELETE FROM ${sessions} WHERE key IN (
        SELECT key FROM ${sessions}
        WHERE key IN (SELECT key FROM ${terms} WHERE term = $2)
          AND key <> $3 AND expires_at > ${time}
        ORDER BY key LIMIT ${BATCH_ROWS} ${lock}
      )
      RETURNING key`,
    recordEnd: `
      INSERT INTO ${ends} AS old (term, ended_at, expires_at) VALUES ($1, $2, $3)
      ON CONFLICT (term) DO UPDATE SET ended_at = excluded.ended_at, expires_at = excluded.expires_at
      WHERE old.ended_at < excluded.ended_at`,
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
    purge: [
      deleteExpired(sessions, 'key'),
      deleteExpired(used, 'value'),
      deleteExpired(ends, 'term'),
    ],
  };
}
