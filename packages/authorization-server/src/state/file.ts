import { resolve } from 'node:path';
import { StartError } from '@koa-oauth/service';
import { inTransaction, openSqlite, whenFree } from '@koa-oauth/service/sqlite';
import type Database from 'libsql';
import {
  MemoryState,
  type RecordKeys,
  type StateStore,
  type StoredRecord,
  SWEEP_INTERVAL_MS,
} from './memory.ts';

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

const HAS_NOT_ENDED = '(expires_at IS NULL OR expires_at > ?)';

/** @param place `memory:` or `file:PATH`, which is created. @throws StartError when it can't be opened. */
export function openStateStore(place: string, now?: () => number): StateStore {
  return place === 'memory:' ? new MemoryState(now) : new FileState(place, now);
}

/** State in a SQLite file. It outlives the process, so its records end by the wall clock. */
class FileState implements StateStore {
  readonly now: () => number;
  readonly #database: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();
  readonly #sweep: NodeJS.Timeout;

  constructor(place: string, now = (): number => Math.floor(Date.now() / 1000)) {
    this.now = now;
    this.#database = open(resolve(place.replace(/^file:/, '')));
    const sweep = (): void => {
      const sql = 'DELETE FROM records WHERE expires_at <= ?';
      // The next one makes up for one that fails.
      whenFree(this.#database, () => this.#run(sql, this.now())).catch(() => {});
    };
    this.#sweep = setInterval(sweep, SWEEP_INTERVAL_MS).unref();
  }

  read(kind: string, id: string): StoredRecord | undefined {
    return this.#readBy('id', kind, id);
  }

  readByUid(kind: string, uid: string): StoredRecord | undefined {
    return this.#readBy('uid', kind, uid);
  }

  write(kind: string, id: string, content: object, lifetime?: number, keys: RecordKeys = {}): void {
    const { uid = null, grantId = null } = keys;
    const end = lifetime === undefined ? null : this.now() + lifetime;
    this.#run(
      `INSERT INTO records (kind, id, content, uid, grant_id, expires_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (kind, id) DO UPDATE SET content = excluded.content, uid = excluded.uid,
         grant_id = excluded.grant_id, expires_at = excluded.expires_at`,
      ...[kind, id, JSON.stringify(content), uid, grantId, end],
    );
  }

  replaceContent(kind: string, id: string, content: object): void {
    this.#run(
      `UPDATE records SET content = ? WHERE kind = ? AND id = ? AND ${HAS_NOT_ENDED}`,
      ...[JSON.stringify(content), kind, id, this.now()],
    );
  }

  consume(kind: string, id: string): boolean {
    const sql =
      'UPDATE records SET consumed_at = ? WHERE kind = ? AND id = ? AND consumed_at IS NULL';
    return this.#run(sql, this.now(), kind, id) === 1;
  }

  delete(kind: string, id: string): void {
    this.#run('DELETE FROM records WHERE kind = ? AND id = ?', kind, id);
  }

  idsByGrantId(kind: string, grantId: string): string[] {
    const sql = `SELECT id FROM records WHERE kind = ? AND grant_id = ? AND ${HAS_NOT_ENDED}
      ORDER BY expires_at IS NULL, expires_at`;
    const rows = this.#prepare(sql).all(kind, grantId, this.now()) as { id: string }[];
    return rows.map(({ id }) => id);
  }

  deleteByGrantId(kind: string, grantId: string): void {
    this.#run('DELETE FROM records WHERE kind = ? AND grant_id = ?', kind, grantId);
  }

  async whenFree(): Promise<void> {
    await whenFree(this.#database, () => inTransaction(this.#database, () => {}));
  }

  clear(): void {
    this.#run('DELETE FROM records');
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#database.close();
  }

  #readBy(column: 'id' | 'uid', kind: string, value: string): StoredRecord | undefined {
    const sql = `SELECT content, consumed_at FROM records
      WHERE kind = ? AND ${column} = ? AND ${HAS_NOT_ENDED}`;
    const row = this.#prepare(sql).get(kind, value, this.now()) as
      | { content: string; consumed_at: number | null }
      | undefined;
    if (row === undefined) return undefined;
    const content = JSON.parse(row.content) as Record<string, unknown>;
    return { content, consumed: row.consumed_at ?? undefined };
  }

  #run(sql: string, ...values: unknown[]): number {
    return inTransaction(this.#database, () => this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): Database.Statement {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function open(file: string): Database.Database {
  try {
    return openSqlite(file, { synchronous: 'NORMAL', schema: TABLE });
  } catch (cause) {
    const message = `the state file ${file} can't be used: ${(cause as Error).message}`;
    throw new StartError('invalid_state', message, { cause });
  }
}
