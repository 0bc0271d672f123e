import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import type { SessionStore, StoredSession } from '../session-store.ts';

export interface FileStoreOptions {
  /** The database file; made, with its folder, when missing. */
  path: string;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
}

const PURGE_EVERY = 60_000;

/**
 * Keeps sessions in one file, which several processes on one machine may share. They outlive a
 * restart.
 *
 * @throws at once when the file can't be opened
 */
export function fileStore({ path, now = Date.now }: FileStoreOptions): SessionStore {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // For its owner alone from the first byte, and so what SQLite puts beside it.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const database = new Database(path, { timeout: 5000 });
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA busy_timeout = 5000;
    CREATE TABLE IF NOT EXISTS sessions (
      key TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sealed TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sessions_expires_at ON sessions (expires_at);
  `);
  const statements = {
    purge: database.prepare('DELETE FROM sessions WHERE expires_at <= ?'),
    insert: database.prepare(
      `INSERT INTO sessions (key, version, expires_at, sealed) VALUES (?, 1, ?, ?)
       ON CONFLICT (key) DO UPDATE
         SET version = 1, expires_at = excluded.expires_at, sealed = excluded.sealed
         WHERE expires_at <= ?`,
    ),
    select: database.prepare(
      'SELECT version, expires_at AS expiresAt, sealed FROM sessions WHERE key = ? AND expires_at > ?',
    ),
    update: database.prepare(
      `UPDATE sessions SET version = version + 1, expires_at = ?, sealed = ?
       WHERE key = ? AND version = ? AND expires_at > ?`,
    ),
    touch: database.prepare('UPDATE sessions SET expires_at = ? WHERE key = ? AND expires_at > ?'),
    delete: database.prepare(
      'DELETE FROM sessions WHERE key = ? RETURNING version, expires_at AS expiresAt, sealed',
    ),
  };
  const seconds = () => Math.floor(now() / 1000);
  let purgedAt = Number.NEGATIVE_INFINITY;

  return {
    async create(key, { sealed, expiresAt }) {
      if (now() - purgedAt >= PURGE_EVERY) {
        purgedAt = now();
        statements.purge.run(seconds());
      }
      const { changes } = statements.insert.run(key, expiresAt, sealed, seconds());
      if (changes !== 1) throw new Error('the session exists already');
    },
    async read(key) {
      return toSession(statements.select.get(key, seconds()));
    },
    async update(key, expectedVersion, { sealed, expiresAt }) {
      const { changes } = statements.update.run(expiresAt, sealed, key, expectedVersion, seconds());
      return changes === 1;
    },
    async touch(key, expiresAt) {
      statements.touch.run(expiresAt, key, seconds());
    },
    async destroy(key) {
      return toSession(statements.delete.get(key));
    },
    async close() {
      database.close();
    },
  };
}

function toSession(row: unknown): StoredSession | undefined {
  if (row === undefined) return undefined;
  const { sealed, expiresAt, version } = row as StoredSession;
  return { sealed, expiresAt, version };
}
