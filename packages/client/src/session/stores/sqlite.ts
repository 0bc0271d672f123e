import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import {
  type ListedSession,
  MAX_LISTED,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
} from '../session-store.ts';

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** The database file; made, with its folder, when missing. */
  path: string;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
}

/**
 * Keeps sessions in one SQLite file, which several processes on one machine may share. They outlive
 * a restart. It needs `libsql` installed.
 *
 * The file and what SQLite puts next to it are readable by their owner alone. A file that an older
 * version made is brought up to date.
 *
 * @throws at once when the file can't be opened or written
 * @example
 * import { sqliteStore } from '@koa-oauth/client/sqlite';
 *
 * const store = sqliteStore({ path: './data/sessions.db' });
 * app.use(auth({ issuerBaseURL, baseURL, clientID, clientSecret, secret, session: { store } }));
 */
export function sqliteStore(options: SqliteStoreOptions): SessionStore {
  return new SqliteStore(options);
}

const PURGE_EVERY_MS = 60_000;
const SESSION = 'version, expires_at AS expiresAt, sealed, about';

class SqliteStore implements SessionStore {
  readonly #database: Database.Database;
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #now: () => number;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor({ path, now = Date.now }: SqliteStoreOptions) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // SQLite gives its other files the mode of this one.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#database = new Database(path, { timeout: 5000 });
    prepareSchema(this.#database);
    this.#statements = prepareStatements(this.#database);
    this.#now = now;
  }

  async create(key: string, { sealed, about, expiresAt, terms }: NewSession): Promise<void> {
    this.#purge();
    const { deleteExpired, insert, insertTerm } = this.#statements;
    inTransaction(this.#database, () => {
      deleteExpired.run(key, this.#seconds());
      const { changes } = insert.run(key, expiresAt, sealed, about);
      if (changes !== 1) throw new Error('the session exists already');
      for (const term of terms) insertTerm.run(term, key);
    });
  }

  async read(key: string): Promise<StoredSession | undefined> {
    return toStored(this.#statements.select.get(key, this.#seconds()));
  }

  async update(
    key: string,
    expectedVersion: number,
    { sealed, expiresAt }: SessionUpdate,
    fence?: number,
  ): Promise<boolean> {
    const { update, updateFenced } = this.#statements;
    const condition = [key, expectedVersion, this.#seconds()];
    const { changes } =
      fence === undefined
        ? update.run(expiresAt, sealed, ...condition)
        : updateFenced.run(expiresAt, sealed, ...condition, fence);
    return changes === 1;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    this.#statements.touch.run(expiresAt, key, this.#seconds());
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    return toStored(this.#statements.delete.get(key));
  }

  async list(term: string): Promise<ListedSession[]> {
    const rows = this.#statements.list.all(term, this.#seconds()) as ListedSession[];
    return rows.map(({ key, about, expiresAt }) => ({ key, about, expiresAt }));
  }

  async acquire(key: string, milliseconds: number): Promise<number | undefined> {
    const now = this.#now();
    const row = this.#statements.acquire.get(now + milliseconds, key, this.#seconds(), now);
    return (row as { fence: number } | undefined)?.fence;
  }

  async extend(key: string, fence: number, milliseconds: number): Promise<boolean> {
    const now = this.#now();
    const until = now + milliseconds;
    return this.#statements.extend.run(until, key, fence, this.#seconds(), now).changes === 1;
  }

  async release(key: string, fence: number): Promise<void> {
    this.#statements.release.run(key, fence);
  }

  async once(value: string, expiresAt: number): Promise<boolean> {
    this.#purge();
    return this.#statements.use.run(value, expiresAt, this.#seconds()).changes === 1;
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1000);
  }

  #purge(): void {
    const now = performance.now();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    this.#statements.purgeSessions.run(this.#seconds());
    this.#statements.purgeUsed.run(this.#seconds());
  }
}

function prepareStatements(database: Database.Database) {
  const update = `UPDATE sessions SET version = version + 1, expires_at = ?, sealed = ?
    WHERE key = ? AND version = ? AND expires_at > ?`;
  return {
    purgeSessions: database.prepare('DELETE FROM sessions WHERE expires_at <= ?'),
    purgeUsed: database.prepare('DELETE FROM used_once WHERE expires_at <= ?'),
    deleteExpired: database.prepare('DELETE FROM sessions WHERE key = ? AND expires_at <= ?'),
    insert: database.prepare(
      `INSERT INTO sessions (key, version, expires_at, sealed, about) VALUES (?, 1, ?, ?, ?)
       ON CONFLICT (key) DO NOTHING`,
    ),
    insertTerm: database.prepare(
      'INSERT INTO session_terms (term, key) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    select: database.prepare(`SELECT ${SESSION} FROM sessions WHERE key = ? AND expires_at > ?`),
    update: database.prepare(update),
    updateFenced: database.prepare(`${update} AND fence = ?`),
    touch: database.prepare('UPDATE sessions SET expires_at = ? WHERE key = ? AND expires_at > ?'),
    delete: database.prepare(`DELETE FROM sessions WHERE key = ? RETURNING ${SESSION}`),
    list: database.prepare(
      `SELECT key, about, expires_at AS expiresAt FROM session_terms JOIN sessions USING (key)
       WHERE term = ? AND expires_at > ? LIMIT ${MAX_LISTED}`,
    ),
    acquire: database.prepare(
      `UPDATE sessions SET fence = fence + 1, lease_until = ?
       WHERE key = ? AND expires_at > ? AND lease_until <= ? RETURNING fence`,
    ),
    extend: database.prepare(
      `UPDATE sessions SET lease_until = ?
       WHERE key = ? AND fence = ? AND expires_at > ? AND lease_until > ?`,
    ),
    release: database.prepare('UPDATE sessions SET lease_until = 0 WHERE key = ? AND fence = ?'),
    use: database.prepare(
      `INSERT INTO used_once (value, expires_at) VALUES (?, ?)
       ON CONFLICT (value) DO UPDATE SET expires_at = excluded.expires_at WHERE used_once.expires_at <= ?`,
    ),
  };
}

function toStored(row: unknown): StoredSession | undefined {
  if (row === undefined) return undefined;
  const { sealed, about, expiresAt, version } = row as StoredSession;
  return { sealed, about, expiresAt, version };
}

const SCHEMA_VERSION = 1;

/**
 * Makes the tables, or brings those of an older version up to date; sessions in them live on.
 *
 * @throws when a newer version of this package made the file
 */
function prepareSchema(database: Database.Database): void {
  useWriteAheadLog(database);
  database.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;');
  // When several processes start at once, one migrates and the others wait.
  inTransaction(database, () => {
    const version = userVersion(database);
    if (version > SCHEMA_VERSION)
      throw new Error('a newer version of @koa-oauth/client made this file');
    if (version < SCHEMA_VERSION) migrate(database);
  });
}

/** Runs all of the work or, when it throws, none of it; waits for its turn to write. */
function inTransaction<T>(database: Database.Database, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite ends a transaction by itself on some failures, such as a full disk.
    if (database.inTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function userVersion(database: Database.Database): number {
  const row = database.prepare('PRAGMA user_version').get() as { user_version: number };
  return row.user_version;
}

function migrate(database: Database.Database): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS sessions (
      key TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sealed TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sessions_expires_at ON sessions (expires_at);
    ALTER TABLE sessions ADD COLUMN about TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE session_terms (
      term TEXT NOT NULL,
      key TEXT NOT NULL,
      PRIMARY KEY (term, key)
    ) WITHOUT ROWID;
    CREATE INDEX session_terms_key ON session_terms (key);
    CREATE TRIGGER session_terms_end AFTER DELETE ON sessions BEGIN
      DELETE FROM session_terms WHERE key = OLD.key;
    END;
    CREATE TABLE used_once (
      value TEXT PRIMARY KEY,
      expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX used_once_expires_at ON used_once (expires_at);
    PRAGMA user_version = ${SCHEMA_VERSION};
  `);
}

const MAX_TRIES = 250;
const PAUSE_MS = 20;

/**
 * Switches a file to the write-ahead log. That takes a moment alone with the file, for which SQLite
 * does not wait by itself, whatever its `busy_timeout`: of processes that start at once, all but one
 * would fail.
 *
 * @throws when the file is in use for five seconds, or can't be written
 */
function useWriteAheadLog(database: Database.Database): void {
  for (let tries = 1; ; tries += 1) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (tries === MAX_TRIES || !/locked|busy/i.test((error as Error).message)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}
