import { closeSync, mkdirSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { dirname } from 'node:path';
import { Kysely, Migrator, PostgresDialect, SqliteAdapter, SqliteDialect, sql } from 'kysely';
import Database from 'libsql';
import pg from 'pg';
import { migrations } from './migrations.ts';
import { reach } from './reach.ts';
import type { Tables } from './tables.ts';
import { useWriteAheadLog } from './write-ahead-log.ts';

// Both end before a server that stops gives up waiting for its answers.
const STATEMENT_TIMEOUT = 8000;
const SILENCE_TIMEOUT = 9000;

/**
 * Opens the database of a `DATABASE_URL`: `file:PATH` (made when missing) or `postgres://…`.
 *
 * @param options.bounded whether PostgreSQL gets 8 seconds for a statement, default true
 */
export function openDatabase(url: string, { bounded = true } = {}): Kysely<Tables> {
  if (!url.startsWith('file:')) {
    const pool = new pg.Pool({
      connectionString: url,
      connectionTimeoutMillis: 5000,
      idleTimeoutMillis: STATEMENT_TIMEOUT,
      ...(bounded && { statement_timeout: STATEMENT_TIMEOUT, stream: boundedSocket }),
    });
    // A connection that breaks is replaced at the next query, and a query under way fails by itself;
    // unheard, the event of an idle connection or of one in use would end the process.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    return new Kysely({ dialect: new PostgresDialect({ pool }) });
  }
  const path = url.slice('file:'.length);
  // For nobody's eyes but the service's; the files that go with it take over its mode.
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
  const database = new Database(path);
  database.exec('PRAGMA busy_timeout = 5000');
  useWriteAheadLog(database);
  // What is acknowledged is on the disk.
  database.exec('PRAGMA synchronous = FULL');
  return new Kysely({ dialect: new SqliteDialect({ database }) });
}

// Where the network drops everything, nobody tells that the server is gone. An idle connection is
// closed before it could be taken for one of those.
function boundedSocket(): Socket {
  const socket = new Socket();
  return socket.setTimeout(SILENCE_TIMEOUT, () => {
    socket.destroy(new Error('the database says nothing'));
  });
}

/**
 * Brings the tables of a `DATABASE_URL` up to date, however long that takes. Safe to run from several processes at once.
 *
 * @returns the names of the migrations that ran just now
 */
export async function migrate(url: string): Promise<string[]> {
  const database = openDatabase(url, { bounded: false });
  try {
    return await migrateAll(database);
  } finally {
    await database.destroy();
  }
}

async function migrateAll(database: Kysely<Tables>): Promise<string[]> {
  // On PostgreSQL the migrator takes a lock of its own. On a file nobody else may write meanwhile;
  // there is one connection, so what runs between these two is inside the transaction.
  const isFile = database.getExecutor().adapter instanceof SqliteAdapter;
  if (isFile) await sql`begin immediate`.execute(database);
  const provider = { getMigrations: async () => migrations };
  const { error, results = [] } = await new Migrator({ db: database, provider }).migrateToLatest();
  if (isFile) await sql.raw(error ? 'rollback' : 'commit').execute(database);
  if (error) throw error;
  return results.map(({ migrationName }) => migrationName);
}

/** Whether the database answers. @throws StoreUnavailable */
export async function ping(database: Kysely<Tables>): Promise<void> {
  await reach(sql`select 1`.execute(database));
}
