import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import type { NewSession, SessionStore } from '../session-store.ts';
import { SqlStore } from './sql-store.ts';

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** The database file; made, with its folder, when missing. */
  path: string;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: (() => number) | undefined;
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

const TABLES = { sessions: 'sessions', terms: 'session_terms', used: 'used_once' };

class SqliteStore extends SqlStore {
  readonly #database: Database.Database;
  readonly #prepared = new Map<string, Database.Statement>();

  constructor({ path, now = Date.now }: SqliteStoreOptions) {
    super({ ...TABLES, time: '$1' }, now);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // SQLite gives its other files the mode of this one.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#database = new Database(path, { timeout: 5000 });
    prepareSchema(this.#database);
  }

  async create(key: string, { sealed, about, expiresAt, terms }: NewSession): Promise<void> {
    await this.purge();
    inTransaction(this.#database, () => {
      this.#run('DELETE FROM sessions WHERE key = $1 AND expires_at <= $2', [key, this.clock()]);
      const created = this.#run(
        `INSERT INTO sessions (key, version, expires_at, sealed, about) VALUES ($1, 1, $2, $3, $4)
         ON CONFLICT (key) DO NOTHING RETURNING key`,
        [key, expiresAt, sealed, about],
      );
      if (created.length !== 1) throw new Error('the session exists already');
      for (const term of terms) {
        this.#run('INSERT INTO session_terms (term, key) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
          term,
          key,
        ]);
      }
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  protected async query<Row>(statement: string, parameters: unknown[]): Promise<Row[]> {
    return this.#run(statement, parameters) as Row[];
  }

  #run(statement: string, parameters: unknown[]): unknown[] {
    // For SQLite "$1" is a name, "?1" a number.
    const prepared =
      this.#prepared.get(statement) ?? this.#database.prepare(statement.replaceAll('$', '?'));
    this.#prepared.set(statement, prepared);
    return prepared.all(...parameters);
  }
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
