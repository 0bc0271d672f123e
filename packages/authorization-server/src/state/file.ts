import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { StartError } from '@koa-oauth/service';
import type Database from 'libsql';
import { createMemoryState } from './memory.ts';
import type { StateStore, StoredRecord } from './state-store.ts';

export type { StateStore } from './state-store.ts';

interface Row {
  content: string;
  consumed_at: number | null;
}

const SWEEP_EVERY = 60_000;

const TABLE = `
  CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, content TEXT NOT NULL,
    uid TEXT, grant_id TEXT, consumed_at INTEGER, expires_at INTEGER,
    PRIMARY KEY (kind, id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS records_by_uid ON records (kind, uid) WHERE uid IS NOT NULL;
  CREATE INDEX IF NOT EXISTS records_by_grant ON records (kind, grant_id) WHERE grant_id IS NOT NULL;
  CREATE INDEX IF NOT EXISTS records_by_end ON records (expires_at) WHERE expires_at IS NOT NULL;
`;

/**
 * Opens the state.
 *
 * @param place `memory:` or `file:PATH`; the file and its directory are made when missing.
 * @param now epoch seconds.
 * @throws StartError when the file can't be opened.
 */
export function openStateStore(
  place: string,
  now: () => number = () => Math.floor(Date.now() / 1000),
): StateStore {
  if (place === 'memory:') return createMemoryState(now);
  const database = open(place);
  const select = (column: string) =>
    database.prepare(
      `SELECT content, consumed_at FROM records
       WHERE kind = ? AND ${column} = ? AND (expires_at IS NULL OR expires_at > ?)`,
    );
  const read = select('id');
  const readByUid = select('uid');
  const write = database.prepare(
    `INSERT INTO records (kind, id, content, uid, grant_id, expires_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (kind, id) DO UPDATE SET content = excluded.content, uid = excluded.uid,
       grant_id = excluded.grant_id, expires_at = excluded.expires_at`,
  );
  const consume = database.prepare(
    'UPDATE records SET consumed_at = ? WHERE kind = ? AND id = ? AND consumed_at IS NULL',
  );
  const idsByGrant = database.prepare(
    `SELECT id FROM records
     WHERE kind = ? AND grant_id = ? AND (expires_at IS NULL OR expires_at > ?)
     ORDER BY expires_at IS NULL, expires_at`,
  );
  const remove = database.prepare('DELETE FROM records WHERE kind = ? AND id = ?');
  const removeByGrant = database.prepare('DELETE FROM records WHERE kind = ? AND grant_id = ?');
  const removeAll = database.prepare('DELETE FROM records');
  const sweep = database.prepare('DELETE FROM records WHERE expires_at <= ?');
  const timer = setInterval(() => {
    sweep.run(now());
  }, SWEEP_EVERY).unref();

  return {
    read: (kind, id) => toRecord(read.get(kind, id, now())),
    readByUid: (kind, uid) => toRecord(readByUid.get(kind, uid, now())),
    write(kind, id, content, lifetime, { uid, grantId } = {}) {
      const end = lifetime === undefined ? null : now() + lifetime;
      write.run(kind, id, JSON.stringify(content), uid ?? null, grantId ?? null, end);
    },
    consume: (kind, id) => consume.run(now(), kind, id).changes === 1,
    delete(kind, id) {
      remove.run(kind, id);
    },
    idsByGrantId: (kind, grantId) =>
      (idsByGrant.all(kind, grantId, now()) as { id: string }[]).map(({ id }) => id),
    deleteByGrantId(kind, grantId) {
      removeByGrant.run(kind, grantId);
    },
    clear() {
      removeAll.run();
    },
    close() {
      clearInterval(timer);
      database.close();
    },
  };
}

function open(place: string): Database.Database {
  const file = resolve(place.replace(/^file:/, ''));
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Refresh tokens are in it: for the owner alone, and so from the first byte.
    closeSync(openSync(file, 'a', 0o600));
    const database = openDatabase(file);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    database.exec(TABLE);
    return database;
  } catch (cause) {
    const { message } = cause as Error;
    throw new StartError('invalid_state', `the state file ${file} can't be used: ${message}`, {
      cause,
    });
  }
}

/** Loads the database only now: a state in memory needs none. */
function openDatabase(file: string): Database.Database {
  const Constructor = createRequire(import.meta.url)('libsql') as typeof Database;
  return new Constructor(file);
}

function toRecord(row: unknown): StoredRecord | undefined {
  if (row === undefined) return undefined;
  const { content, consumed_at } = row as Row;
  return {
    content: JSON.parse(content) as Record<string, unknown>,
    consumed: consumed_at ?? undefined,
  };
}
