import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { InvalidOptions } from '@koa-oauth/issuer';
import Database from 'libsql';
import type { NewSession, SessionStore } from '../session-store.ts';
import { type SqlDialect, SqlStore } from './sql-store.ts';

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** The database file. It is created with its folder if it is missing. */
  path: string;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: (() => number) | undefined;
}

/**
 * Keeps sessions in one SQLite file, which several processes on one machine may share. They outlive
 * a restart. It needs `libsql` installed.
 *
 * Only the owner can read the file and SQLite's files next to it. A file of an older version is migrated.
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

const DIALECT: SqlDialect = {
  sessions: 'sessions',
  terms: 'session_terms',
  used: 'used_once',
  ends: 'session_ends',
  lock: '',
  skipLocked: '',
  isOneOf: (column, parameter) => `${column} IN (SELECT value FROM json_each(${parameter}))`,
  time: '$1',
};

/** Wait at the start for other processes that start or migrate. */
const START_TIMEOUT_MS = 5000;
/** Wait of SQLite for another process that writes. It blocks this process. */
const BUSY_TIMEOUT_MS = 10;
const RETRY_PAUSE_MS = 20;
/** Below the two seconds that a call of a store has. */
const MAX_WAIT_MS = 1900;

class SqliteStore extends SqlStore {
  readonly #database: Database.Database;
  readonly #prepared = new Map<string, Database.Statement>();
  /** Pause before the next attempt. It resolves to the error of the last one. */
  #pause: Promise<unknown> | undefined;

  constructor({ path, now = Date.now }: SqliteStoreOptions) {
    super(DIALECT, now);
    // SQLite gives such names a meaning of its own: sessions would be lost, or readable by all.
    if (/^(:memory:|file:)/.test(path)) {
      throw new InvalidOptions(
        'sqliteStore: path must be that of a file, for example ./sessions.db',
      );
    }
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // SQLite gives its other files the mode of this one.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#database = new Database(path, { timeout: START_TIMEOUT_MS });
    prepareSchema(this.#database);
    this.#database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  protected insert(key: string, { sealed, about, expiresAt, terms }: NewSession): Promise<boolean> {
    const insertAll = () => {
      this.#run('DELETE FROM sessions WHERE key = $1 AND expires_at <= $2', [key, this.clock()]);
      const inserted = this.#run(
        `INSERT INTO sessions (key, version, expires_at, sealed, about) VALUES ($1, 1, $2, $3, $4)
         ON CONFLICT (key) DO NOTHING RETURNING key`,
        [key, expiresAt, sealed, about],
      );
      for (const term of inserted.length === 1 ? terms : []) {
        this.#run('INSERT INTO session_terms (term, key) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
          term,
          key,
        ]);
      }
      return inserted.length === 1;
    };
    return this.#whenFree(() => inTransaction(this.#database, insertAll), this.#pause);
  }

  protected query<Row>(statement: string, parameters: unknown[]): Promise<Row[]> {
    const values = parameters.map((value) =>
      Array.isArray(value) ? JSON.stringify(value) : value,
    );
    const run = () => this.#run(statement, values) as Row[];
    // Reads need not wait for a write.
    if (/^\s*SELECT/.test(statement)) return this.#whenFree(run);
    // A statement that another process keeps from writing stays open in libsql, and no transaction can
    // then be committed.
    return this.#whenFree(() => inTransaction(this.#database, run), this.#pause);
  }

  /**
   * Runs the work, and repeats it while another process writes. Only one call at a time tries, because each
   * attempt blocks this process.
   *
   * @param pause ends before the first attempt
   * @throws the last error after `MAX_WAIT_MS`
   */
  async #whenFree<T>(work: () => T, pause?: Promise<unknown>): Promise<T> {
    const start = performance.now();
    for (let next = pause; ; next = this.#pause) {
      while (next) {
        const error = await next;
        if (performance.now() - start > MAX_WAIT_MS) throw error;
        next = this.#pause;
      }
      try {
        return work();
      } catch (error) {
        if (!String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) throw error;
        const end = () => {
          this.#pause = undefined;
        };
        this.#pause = wait(RETRY_PAUSE_MS, error).finally(end);
      }
    }
  }

  #run(statement: string, parameters: unknown[]): unknown[] {
    // For SQLite "$1" is a name, "?1" a number.
    const prepared =
      this.#prepared.get(statement) ?? this.#database.prepare(statement.replaceAll('$', '?'));
    this.#prepared.set(statement, prepared);
    return prepared.all(...parameters);
  }
}

/** Statements that lead from each version to the next. */
const MIGRATIONS = [
  `
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
  `,
  `
    CREATE TABLE session_ends (
      term TEXT PRIMARY KEY,
      ended_at REAL NOT NULL,
      expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX session_ends_expires_at ON session_ends (expires_at);
  `,
];

/**
 * Creates the tables, or migrates those of an older version. Sessions stay.
 *
 * @throws when a newer version of this package made the file
 */
function prepareSchema(database: Database.Database): void {
  useWriteAheadLog(database);
  database.exec('PRAGMA synchronous = NORMAL');
  // When several processes start at once, one migrates and the others wait.
  inTransaction(database, () => {
    const version = userVersion(database);
    if (version > MIGRATIONS.length)
      throw new Error('a newer version of @koa-oauth/client made this file');
    if (version === MIGRATIONS.length) return;
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}

/** Runs the work in a transaction, which is rolled back if the work throws. */
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

/**
 * Switches a file to the write-ahead log. This needs exclusive access, for which SQLite does not wait,
 * even with a `busy_timeout`: if several processes start at once, all except one would fail.
 *
 * @throws when the file is in use for five seconds, or can't be written
 */
function useWriteAheadLog(database: Database.Database): void {
  for (let waitedMs = 0; ; waitedMs += RETRY_PAUSE_MS) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      const isBusy = /locked|busy/i.test((error as Error).message);
      if (!isBusy || waitedMs >= START_TIMEOUT_MS) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_PAUSE_MS);
    }
  }
}
