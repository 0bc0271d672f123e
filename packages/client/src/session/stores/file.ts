import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import type { ListedSession, SessionStore, StoredSession } from '../session-store.ts';
import { inTransaction, prepareSchema } from './file-schema.ts';

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
