import type Database from 'libsql';

const TRIES = 250;
const PAUSE = 20;

/**
 * Switches a file to the write-ahead log. That takes a moment alone with the file, for which SQLite
 * does not wait by itself, whatever its `busy_timeout`: of processes that start at once, all but one
 * would fail.
 *
 * @throws when the file is in use for five seconds, or can't be written
 */
export function useWriteAheadLog(database: Database.Database): void {
  for (let tries = 1; ; tries += 1) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (tries === TRIES || !/locked|busy/i.test((error as Error).message)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
}
