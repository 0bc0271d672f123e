import type Database from 'libsql';
import { useWriteAheadLog } from './write-ahead-log.ts';

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
