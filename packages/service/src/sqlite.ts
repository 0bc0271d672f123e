import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type Database from 'libsql';

/** Options of `openSqlite`. */
export interface SqliteOptions {
  /**
   * `FULL`: an acknowledged change is on the disk. `NORMAL`: a power failure may lose the last
   * changes, and corrupts nothing.
   */
  readonly synchronous: 'FULL' | 'NORMAL';
  /** Statements that make missing tables. They wait for other processes that start. */
  readonly schema?: string | undefined;
}

/** Longest wait for another process that writes. */
const MAX_WAIT_MS = 5000;
/** Longest wait within a statement. This process does nothing else meanwhile. */
const BUSY_TIMEOUT_MS = 10;
const RETRY_MS = 20;

/**
 * Opens a SQLite file that several processes of one machine can share. Creates the file and its folder
 * when they are missing. Only the owner can read them and the files that SQLite adds. A statement does
 * not wait for a writer of another process: use `whenFree` and `inTransaction`.
 *
 * `libsql` is an optional peer dependency. Only this function loads it.
 *
 * @example
 * const database = openSqlite('data/contacts.db', { synchronous: 'FULL' });
 * service.onStop(() => database.close());
 *
 * @throws Error when the file can't be opened, or stays in use for five seconds
 */
export function openSqlite(
  path: string,
  { synchronous, schema = '' }: SqliteOptions,
): Database.Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // The mode must be right from the first byte: SQLite copies it to its other files.
  closeSync(openSync(path, 'a', 0o600));
  const Libsql = createRequire(import.meta.url)('libsql') as typeof Database;
  const database = new Libsql(path);
  database.exec(`PRAGMA busy_timeout = ${MAX_WAIT_MS}`);
  useWriteAheadLog(database);
  database.exec(`PRAGMA synchronous = ${synchronous}; ${schema}`);
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  return database;
}

/**
 * Runs all of the work or, when it throws, none of it. Each write needs this: a prepared statement that
 * another process keeps from writing stays open in libsql, and no transaction can then be committed.
 *
 * @throws Error with the code `SQLITE_BUSY` when another process writes
 */
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

/** Pauses by database. Each resolves to the error of the last try. */
const pauses = new WeakMap<Database.Database, Promise<unknown>>();

/**
 * Does work on a file, again and again while another process writes to it. Other work of this process goes on
 * meanwhile. One call at a time tries: each try holds the process up.
 *
 * @param work begins with `BEGIN IMMEDIATE`
 * @param waitFor waits for the end of a pause, and can do more
 * @example
 * await whenFree(database, () => inTransaction(database, () => deleteContact.run(id)));
 *
 * @throws Error with the code `SQLITE_BUSY` when the other process writes for five seconds
 */
export async function whenFree<T>(
  database: Database.Database,
  work: () => T | PromiseLike<T>,
  waitFor: (pause: Promise<unknown>) => Promise<unknown> = (pause) => pause,
): Promise<T> {
  const start = performance.now();
  for (;;) {
    for (let pause = pauses.get(database); pause; pause = pauses.get(database)) {
      await waitFor(pause);
      if (performance.now() - start > MAX_WAIT_MS) throw await pause;
    }
    try {
      return await work();
    } catch (error) {
      if (!String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) throw error;
      pauses.set(
        database,
        wait(RETRY_MS, error).finally(() => pauses.delete(database)),
      );
    }
  }
}

// No other process may use the file while it is switched to the write-ahead log. SQLite does not wait
// for that, despite `busy_timeout`: of several processes that start at once, all except one would fail.
function useWriteAheadLog(database: Database.Database): void {
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (waitedMs >= MAX_WAIT_MS || !/locked|busy/i.test((error as Error).message)) throw error;
      sleep(RETRY_MS);
    }
  }
}

// Blocks the thread, which is harmless: a file is opened before the service listens.
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
