import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import type { ListedSession, SessionStore, StoredSession } from '../session-store.ts';

/** Options of `fileStore`. */
export interface FileStoreOptions {
  /** The database file; made, with its folder, when missing. */
  path: string;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
}

const MAX_LISTED = 1000;
const PURGE_EVERY = 60_000;
const SESSION = 'version, expires_at AS expiresAt, sealed, about';

/**
 * Keeps sessions in one file, which several processes on one machine may share. They outlive a
 * restart.
 *
 * @throws at once when the file can't be opened or written
 */
export function fileStore({ path, now = Date.now }: FileStoreOptions): SessionStore {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // For its owner alone from the first byte, and so what SQLite puts beside it.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const database = new Database(path, { timeout: 5000 });
  prepareSchema(database);
  const statements = prepareStatements(database);
  const seconds = () => Math.floor(now() / 1000);
  let purgedAt = Number.NEGATIVE_INFINITY;

  const purge = (): void => {
    if (now() - purgedAt < PURGE_EVERY) return;
    purgedAt = now();
    statements.purgeSessions.run(seconds());
    statements.purgeUsed.run(seconds());
  };

  return {
    async create(key, { sealed, about, expiresAt, terms }) {
      purge();
      inTransaction(database, () => {
        statements.deleteExpired.run(key, seconds());
        const { changes } = statements.insert.run(key, expiresAt, sealed, about);
        if (changes !== 1) throw new Error('the session exists already');
        for (const term of terms) statements.insertTerm.run(term, key);
      });
    },
    async read(key) {
      return toSession(statements.select.get(key, seconds()));
    },
    async update(key, expectedVersion, { sealed, expiresAt }, fence) {
      const condition = [key, expectedVersion, seconds()];
      const { changes } =
        fence === undefined
          ? statements.update.run(expiresAt, sealed, ...condition)
          : statements.updateFenced.run(expiresAt, sealed, ...condition, fence);
      return changes === 1;
    },
    async touch(key, expiresAt) {
      statements.touch.run(expiresAt, key, seconds());
    },
    async destroy(key) {
      return toSession(statements.delete.get(key));
    },
    async list(term) {
      return (statements.list.all(term, seconds()) as ListedSession[]).map(
        ({ key, about, expiresAt }) => ({ key, about, expiresAt }),
      );
    },
    async acquire(key, milliseconds) {
      const row = statements.acquire.get(now() + milliseconds, key, seconds(), now());
      return (row as { fence: number } | undefined)?.fence;
    },
    async extend(key, fence, milliseconds) {
      const until = now() + milliseconds;
      return statements.extend.run(until, key, fence, seconds(), now()).changes === 1;
    },
    async release(key, fence) {
      statements.release.run(key, fence);
    },
    async once(value, expiresAt) {
      purge();
      return statements.use.run(value, expiresAt, seconds()).changes === 1;
    },
    async close() {
      database.close();
    },
  };
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

function toSession(row: unknown): StoredSession | undefined {
  if (row === undefined) return undefined;
  const { sealed, about, expiresAt, version } = row as StoredSession;
  return { sealed, about, expiresAt, version };
}

const VERSION = 1;

/**
 * Makes the tables, or brings those of an older version up to date; sessions in them live on.
 *
 * @throws when a newer version of this package made the file
 */
export function prepareSchema(database: Database.Database): void {
  useWriteAheadLog(database);
  database.exec('PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;');
  // Of several processes that start at once, one does it and the others find it done.
  inTransaction(database, () => {
    const version = userVersion(database);
    if (version > VERSION) throw new Error('a newer version of @koa-oauth/client made this file');
    if (version < VERSION) migrate(database);
  });
}

/** Runs all of the work or, when it throws, none of it; waits for its turn to write. */
export function inTransaction<T>(database: Database.Database, work: () => T): T {
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
    PRAGMA user_version = ${VERSION};
  `);
}

const TRIES = 250;
const PAUSE = 20;

/**
 * Switches a file to the write-ahead log. That takes a moment alone with the file, for which SQLite
 * does not wait by itself, whatever its `busy_timeout`: of processes that start at once, all but one
 * would fail.
 *
 * @throws when the file is in use for five seconds, or can't be written
 */
export function useWriteAheadLog(database: Database.Database): void {
  for (let tries = 1; ; tries += 1) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (tries === TRIES || !/locked|busy/i.test((error as Error).message)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
}
