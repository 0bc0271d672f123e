import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Database from 'libsql';

/** Options of `openSqlite`. */
export interface SqliteOptions {
  /**
   * `FULL`: an acknowledged change is on the disk. `NORMAL`: a power failure may lose the last
   * changes, and corrupts nothing.
   */
  readonly synchronous: 'FULL' | 'NORMAL';
}

const BUSY_TIMEOUT_MS = 5000;
const WAL_RETRY_MS = 20;

/**
 * Opens a SQLite file that several processes of one machine can share. Creates the file and its folder
 * when they are missing. Only the owner can read them and the files that SQLite adds. A writer waits up
 * to five seconds for another one.
 *
 * `libsql` is an optional peer dependency. Only this function loads it.
 *
 * @example
 * const database = openSqlite('data/contacts.db', { synchronous: 'FULL' });
 * service.onStop(() => database.close());
 *
 * @throws Error when the file can't be opened, or stays in use for five seconds
 */
export function openSqlite(path: string, { synchronous }: SqliteOptions): Database.Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // The mode must be right from the first byte: SQLite copies it to its other files.
  closeSync(openSync(path, 'a', 0o600));
  const Libsql = createRequire(import.meta.url)('libsql') as typeof Database;
  const database = new Libsql(path);
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  useWriteAheadLog(database);
  database.exec(`PRAGMA synchronous = ${synchronous}`);
  return database;
}

// No other process may use the file while it is switched to the write-ahead log. SQLite does not wait
// for that, despite `busy_timeout`: of several processes that start at once, all except one would fail.
function useWriteAheadLog(database: Database.Database): void {
  for (let waitedMs = 0; ; waitedMs += WAL_RETRY_MS) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (waitedMs >= BUSY_TIMEOUT_MS || !/locked|busy/i.test((error as Error).message)) {
        throw error;
      }
      sleep(WAL_RETRY_MS);
    }
  }
}

// Blocks the thread, which is harmless: a file is opened before the service listens.
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
