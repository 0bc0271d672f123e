import { Socket } from 'node:net';
import { openSqlite } from '@koa-oauth/service/sqlite';
import { Kysely, Migrator, PostgresDialect, SqliteAdapter, SqliteDialect, sql } from 'kysely';
import pg from 'pg';
import { ApiError } from '../errors.ts';
import { migrations, type Tables } from './schema.ts';

// Both end before a server that stops gives up waiting for its answers.
const STATEMENT_TIMEOUT_MS = 8000;
const SILENCE_TIMEOUT_MS = 9000;

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
      idleTimeoutMillis: STATEMENT_TIMEOUT_MS,
      ...(bounded && { statement_timeout: STATEMENT_TIMEOUT_MS, stream: boundedSocket }),
    });
    // A connection that breaks is replaced at the next query, and a query under way fails by itself;
    // unheard, the event of an idle connection or of one in use would end the process.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    return new Kysely({ dialect: new PostgresDialect({ pool }) });
  }
  const database = openSqlite(url.slice('file:'.length), { synchronous: 'FULL' });
  return new Kysely({ dialect: new SqliteDialect({ database }) });
}

// Where the network drops everything, no packet says that the server is gone. An idle connection is
// closed before it could look like one of those.
function boundedSocket(): Socket {
  const socket = new Socket();
  return socket.setTimeout(SILENCE_TIMEOUT_MS, () => {
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
  // On PostgreSQL the migrator takes a lock of its own. On a file no other process may write meanwhile;
  // there is one connection, so what runs between these two is inside the transaction.
  const isFile = database.getExecutor().adapter instanceof SqliteAdapter;
  if (isFile) await sql`begin immediate`.execute(database);
  const provider = { getMigrations: async () => migrations };
  const { error, results = [] } = await new Migrator({ db: database, provider }).migrateToLatest();
  if (isFile) await sql.raw(error ? 'rollback' : 'commit').execute(database);
  if (error) throw error;
  return results.map(({ migrationName }) => migrationName);
}

/** Whether the database answers. @throws ApiError `ERR_STORE_UNAVAILABLE` */
export async function ping(database: Kysely<Tables>): Promise<void> {
  await storeCall(sql`select 1`.execute(database));
}

// SQLSTATE classes (PostgreSQL, appendix A): connection, transaction rollback, resources, operator
// intervention, system; 25006 is a server that was made a replica. E… is of the system or the resolver.
const TEMPORARY =
  /^(?:08|40|53|57|58)...$|^25006$|^SQLITE_(?:BUSY|LOCKED|IOERR|FULL|CANTOPEN|READONLY)|^E(?!RR_)[A-Z_]+$/;

/**
 * Waits for an answer of the database.
 *
 * @throws ApiError `ERR_STORE_UNAVAILABLE` when it is away or can't work; any other error as it is
 */
export async function storeCall<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    // What was thrown inside a transaction by other code than the database's passes through it.
    if (typeof (error as { status?: unknown }).status === 'number') throw error;
    const { code } = error as { code?: unknown };
    // pg gives no code to a connection that timed out or broke off.
    const broken = code === undefined && (error as Error).name === 'Error';
    throw broken || TEMPORARY.test(String(code)) ? storeUnavailable(error as Error) : error;
  }
}

function storeUnavailable(cause: Error & { code?: unknown }): ApiError {
  const detail = `${cause.code ?? ''} ${cause.message ?? ''}`.trim().slice(0, 300);
  return new ApiError('ERR_STORE_UNAVAILABLE', { detail, cause });
}
