import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Database from 'libsql';
import { StartError } from './errors.ts';

/** What a record is found by besides its id. */
interface RecordKeys {
  readonly uid?: string;
  readonly grantId?: string;
}

/** Logins, grants, codes, refresh tokens, consents: JSON records by kind and id, each with an end. */
export interface StateStore {
  /** The record, unless its time is over. `consumed` is when it was used up, in epoch seconds. */
  read(kind: string, id: string): StoredRecord | undefined;
  readByUid(kind: string, uid: string): StoredRecord | undefined;
  /** @param lifetime seconds; undefined keeps it until it is deleted. */
  write(kind: string, id: string, content: object, lifetime?: number, keys?: RecordKeys): void;
  /** Marks a record as used up; false when it was already, or is gone. */
  consume(kind: string, id: string): boolean;
  delete(kind: string, id: string): void;
  deleteByGrantId(kind: string, grantId: string): void;
  close(): void;
}

interface StoredRecord {
  readonly content: Record<string, unknown>;
  readonly consumed: number | undefined;
}

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
  const remove = database.prepare('DELETE FROM records WHERE kind = ? AND id = ?');
  const removeByGrant = database.prepare('DELETE FROM records WHERE kind = ? AND grant_id = ?');
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
    deleteByGrantId(kind, grantId) {
      removeByGrant.run(kind, grantId);
    },
    close() {
      clearInterval(timer);
      database.close();
    },
  };
}

function open(place: string): Database.Database {
  if (place === 'memory:') return prepared(new Database(':memory:'));
  const file = resolve(place.replace(/^file:/, ''));
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Refresh tokens are in it: for the owner alone, and so from the first byte.
    closeSync(openSync(file, 'a', 0o600));
    const database = new Database(file);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    return prepared(database);
  } catch (cause) {
    const { message } = cause as Error;
    throw new StartError('invalid_state', `the state file ${file} can't be used: ${message}`, {
      cause,
    });
  }
}

function prepared(database: Database.Database): Database.Database {
  database.exec(TABLE);
  return database;
}

function toRecord(row: unknown): StoredRecord | undefined {
  if (row === undefined) return undefined;
  const { content, consumed_at } = row as Row;
  return {
    content: JSON.parse(content) as Record<string, unknown>,
    consumed: consumed_at ?? undefined,
  };
}
