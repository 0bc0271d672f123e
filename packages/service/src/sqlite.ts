import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Database from 'libsql';

/** Options of `openSqlite`. */
export interface SqliteOptions {
  /**
   * `FULL`: what is acknowledged is on the disk. `NORMAL`: a power failure may lose the last changes,
   * and corrupts nothing.
   */
  readonly synchronous: 'FULL' | 'NORMAL';
}

const BUSY_TIMEOUT_MS = 5000;
const WAL_RETRY_MS = 20;

/**
 * Opens a SQLite file that several processes of one machine may share; makes it, with its folder,
 * when it is missing. What is made is readable for its owner alone, and so are the files that SQLite
 * puts next to it. A writer waits up to five seconds for another one.
 *
 * `libsql` is a peer dependency, and is loaded only here.
 *
 * @example
 * const database = openSqlite('data/contacts.db', { synchronous: 'FULL' });
 *
 * @throws Error when the file can't be opened, or is in use for five seconds
 */
export function openSqlite(path: string, { synchronous }: SqliteOptions): Database.Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Readable for its owner alone from the first byte; SQLite's other files copy its mode.
  closeSync(openSync(path, 'a', 0o600));
  const Constructor = createRequire(import.meta.url)('libsql') as typeof Database;
  const database = new Constructor(path);
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  useWriteAheadLog(database);
  database.exec(`PRAGMA synchronous = ${synchronous}`);
  return database;
}

// The switch to the write-ahead log takes a moment alone with the file, for which SQLite does not
// wait by itself, whatever its `busy_timeout`: of processes that start at once, all but one would fail.
function useWriteAheadLog(database: Database.Database): void {
  for (let waitedMs = 0; ; waitedMs += WAL_RETRY_MS) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (waitedMs >= BUSY_TIMEOUT_MS || !/locked|busy/i.test((error as Error).message))
        throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS);
    }
  }
}
