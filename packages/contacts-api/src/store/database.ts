import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { Kysely, Migrator, PostgresDialect, SqliteAdapter, SqliteDialect, sql } from 'kysely';
import Database from 'libsql';
import pg from 'pg';
import { migrations } from './migrations.ts';

/** A row of the table `contacts`. Absent fields are null; times are ISO 8601 text on both engines. */
export interface ContactRow {
  id: string;
  organisation: string;
  name: string;
  email: string;
  phone: string | null;
  company: string | null;
  notes: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface Tables {
  contacts: ContactRow;
}

/** Opens the database of a `DATABASE_URL`: `file:PATH` (made when missing) or `postgres://…`. */
export function openDatabase(url: string): Kysely<Tables> {
  if (!url.startsWith('file:')) {
    const pool = new pg.Pool({
      connectionString: url,
      connectionTimeoutMillis: 5000,
      statement_timeout: 10_000,
    });
    // An idle connection that breaks is replaced at the next query; unheard, the event would end the process.
    pool.on('error', () => {});
    return new Kysely({ dialect: new PostgresDialect({ pool }) });
  }
  const path = url.slice('file:'.length);
  // For nobody's eyes but the service's; the files that go with it take over its mode.
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
  const database = new Database(path);
  database.exec('PRAGMA busy_timeout = 5000');
  database.exec('PRAGMA journal_mode = WAL');
  return new Kysely({ dialect: new SqliteDialect({ database }) });
}

/**
 * Brings the tables up to date. Safe to run from several processes at once.
 *
 * @returns the names of the migrations that ran just now
 */
export async function migrate(database: Kysely<Tables>): Promise<string[]> {
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
