import { Socket } from 'node:net';
import { openSqlite, whenFree } from '@koa-oauth/service/sqlite';
import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  Migrator,
  PostgresAdapter,
  PostgresDialect,
  PostgresDriver,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type SqliteStatement,
  sql,
} from 'kysely';
import pg from 'pg';
import { ApiError } from '../errors.ts';
import { isFile, migrations, type Tables } from './schema.ts';

// A stopping server waits 10 seconds for its answers, so a change must fail before that.
const TRANSACTION_STATEMENT_TIMEOUT_MS = 8000;
const SILENCE_TIMEOUT_MS = 9000;
// An idle connection is silent too: it must close before it counts as lost.
const IDLE_TIMEOUT_MS = 8000;
const CONNECT_TIMEOUT_MS = 5000;
/** An index of some hundred thousand contacts takes two minutes. */
const MIGRATION_TIMEOUT_MS = 600_000;
/** SQLite's default of 2 MB is too small to search a large organization. The file is mapped too. */
const FILE_CACHE_KIB = 32 * 1024;
const MAX_MAPPED_BYTES = 2 ** 30;
const MAX_KEPT_QUERIES = 100;
/** The lock of Kysely's own migrator: an older version of this API waits for it too. */
const MIGRATION_LOCK = 3853314791062309107n;

/**
 * Opens the database of a `DATABASE_URL`: `file:PATH` (created when missing) or `postgres://…`.
 * PostgreSQL may be behind a pooler that gives each transaction another connection.
 *
 * @param options.hasTimeout false lets statements, and the wait for another process, last for minutes
 */
export function openDatabase(url: string, { hasTimeout = true } = {}): Kysely<Tables> {
  if (!url.startsWith('file:')) {
    const pool = new pg.Pool({
      connectionString: url,
      Client: ApiClient,
      onConnect: (client) => (client as ApiClient).findPooler(),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      ...(hasTimeout && { stream: createSocket }),
    });
    // The next query replaces a broken connection, and a query in flight fails by itself. Without a
    // listener the `error` event of a connection would end the process.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    // A begin or a rollback that the server canceled leaves its transaction open.
    pool.on('release', (_, client) => {
      const isReplica = client instanceof ApiClient && client.isReplica;
      if (isReplica || client.getTransactionStatus() !== 'I') client.end();
    });
    const dialect = Object.assign(new PostgresDialect({ pool }), {
      createAdapter: () => new PooledAdapter(),
      createDriver: () => new PooledDriver({ pool }),
    });
    return new Kysely({ dialect });
  }
  const database = openSqlite(url.slice('file:'.length), { synchronous: 'FULL' });
  database.exec(`PRAGMA cache_size = -${FILE_CACHE_KIB}; PRAGMA mmap_size = ${MAX_MAPPED_BYTES}`);
  // Another process may be migrating.
  if (!hasTimeout) database.exec(`PRAGMA busy_timeout = ${MIGRATION_TIMEOUT_MS}`);
  const dialect = Object.assign(new SqliteDialect({ database }), {
    createDriver: () => new FileDriver(database),
  });
  return new Kysely({ dialect });
}

/**
 * Begins each transaction as a writer, so that it waits for another one. One that begins as a reader,
 * for example because the full-text index loads its settings, could not.
 */
class FileDriver extends SqliteDriver {
  readonly #database: ReturnType<typeof openSqlite>;

  constructor(database: ReturnType<typeof openSqlite>) {
    super({ database: keepQueries(database) });
    this.#database = database;
  }

  override async beginTransaction(): Promise<void> {
    const begin = () => this.#database.exec('begin immediate');
    await whenFree(this.#database, begin, async (pause) => {
      // Reads need not wait for the other process, and there is one connection.
      await this.releaseConnection();
      await pause;
      await this.acquireConnection();
    });
  }
}

/**
 * Keeps the last queries prepared: to prepare one can take longer than to run it. Libsql may leave a
 * statement open that failed, or that writes. Neither is kept.
 */
function keepQueries(database: ReturnType<typeof openSqlite>): SqliteDatabase {
  const kept = new Map<string, SqliteStatement>();
  return {
    close() {
      // An open statement would keep the file open.
      kept.clear();
      database.close();
    },
    prepare(text) {
      if (!/^\s*(?:select|with)\b/.test(text)) return database.prepare(text);
      const statement = kept.get(text) ?? database.prepare(text);
      kept.delete(text);
      return {
        reader: true,
        all(parameters) {
          const rows = statement.all(parameters);
          kept.set(text, statement);
          const [oldest] = kept.keys();
          if (kept.size > MAX_KEPT_QUERIES && oldest !== undefined) kept.delete(oldest);
          return rows;
        },
        run: (parameters) => statement.run(parameters),
        iterate: (parameters) => statement.iterate(parameters),
      };
    },
  };
}

/** SQLSTATE of a kept plan whose columns have other types now, or that is gone. Only a new connection plans again. */
const LOST_PLAN = /^(?:0A000|26000)$/;
/** SQLSTATE of a change that a replica refuses. */
const READ_ONLY = '25006';

/**
 * Notices a server that became a replica, and keeps the plans of searches: to plan one can take longer than
 * to run it. Plans are kept when no pooler is between, because a pooler may give the next transaction a
 * connection that has none.
 */
class ApiClient extends pg.Client {
  /** True: the primary is another server now, and only a new connection finds it. */
  isReplica = false;
  #isDirect = false;
  readonly #names = new Map<string, string>();

  /** Compares the process that answers with the one that the connection began with, the pooler's if there is one. */
  async findPooler(): Promise<void> {
    const { rows } = await super.query<{ process: number }>('select pg_backend_pid() as process');
    this.#isDirect = rows[0]?.process === Reflect.get(this, 'processID');
  }

  override query(query: unknown, ...others: unknown[]): never {
    const isKept = this.#isDirect && typeof query === 'string' && /^\s*with\b/.test(query);
    const asked = isKept ? { name: this.#nameOf(query), text: query } : query;
    const answer: unknown = Reflect.apply(super.query, this, [asked, ...others]);
    if (!(answer instanceof Promise)) return answer as never;
    return answer.catch((error: { code?: unknown }) => {
      // Its transaction must be rolled back first.
      if (error.code === READ_ONLY) this.isReplica = true;
      if (!isKept || !LOST_PLAN.test(String(error.code))) throw error;
      void this.end();
      throw new Error('the kept plan of a search does not fit any more', { cause: error });
    }) as never;
  }

  #nameOf(query: string): string {
    const name = this.#names.get(query) ?? `search ${this.#names.size}`;
    this.#names.set(query, name);
    return name;
  }
}

/** Limits statements within the transaction. A pooler refuses a limit for the connection. */
class PooledDriver extends PostgresDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    const limit = `set local statement_timeout = ${TRANSACTION_STATEMENT_TIMEOUT_MS}`;
    await connection.executeQuery(CompiledQuery.raw(`begin; ${limit}`));
  }
}

/** Leaves the lock to `migrateAll`: a lock of the session would stay in the pooler. */
class PooledAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

// When the network drops all packets, only a timeout shows that the server is gone.
function createSocket(): Socket {
  const socket = new Socket();
  return socket.setTimeout(SILENCE_TIMEOUT_MS, () => {
    socket.destroy(new Error('the database has sent nothing for too long'));
  });
}

/**
 * Brings the tables of a `DATABASE_URL` up to date, without a timeout. Several processes may
 * run it at once.
 *
 * @returns the names of the migrations that it ran
 */
export async function migrate(url: string): Promise<string[]> {
  const database = openDatabase(url, { hasTimeout: false });
  try {
    return await migrateAll(database);
  } finally {
    await database.destroy();
  }
}

async function migrateAll(database: Kysely<Tables>): Promise<string[]> {
  // All statements are one transaction on one connection. On a file this transaction is the lock.
  const inFile = isFile(database);
  return database.connection().execute(async (connection) => {
    await sql.raw(inFile ? 'begin immediate' : 'begin').execute(connection);
    if (!inFile)
      await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(connection);
    const provider = { getMigrations: async () => migrations };
    const migrator = new Migrator({ db: connection, provider, disableTransactions: true });
    const { error, results = [] } = await migrator.migrateToLatest();
    await sql.raw(error ? 'rollback' : 'commit').execute(connection);
    if (error) throw error;
    return results.map(({ migrationName }) => migrationName);
  });
}

/** Checks that the database answers. @throws ApiError `ERR_STORE_UNAVAILABLE` when it does not */
export async function ping(database: Kysely<Tables>): Promise<void> {
  await storeCall(sql`select 1`.execute(database));
}

// SQLSTATE classes (PostgreSQL, appendix A): 08 connection, 40 rollback, 53 resources, 57 operator
// intervention, 58 system; 25006: the server became a replica, 25P03 and 25P04: it ended a transaction
// that lasted too long. E…: the system or the resolver.
const TEMPORARY =
  /^(?:08|40|53|57|58)...$|^25(?:006|P03|P04)$|^SQLITE_(?:BUSY|LOCKED|IOERR|FULL|CANTOPEN|READONLY)|^E(?!RR_)[A-Z_]+$/;

/** Waits for the database. An error of an unreachable or failing one becomes `ERR_STORE_UNAVAILABLE`. */
export async function storeCall<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    // An error that our own code threw inside a transaction, such as a 412.
    if (typeof (error as { status?: unknown }).status === 'number') throw error;
    const { code } = error as { code?: unknown };
    // A connection that timed out or broke has no code in pg.
    const isBroken = code === undefined && (error as Error).name === 'Error';
    if (!isBroken && !TEMPORARY.test(String(code))) throw error;
    const detail = `${code ?? ''} ${(error as Error).message ?? ''}`.trim().slice(0, 300);
    throw new ApiError('ERR_STORE_UNAVAILABLE', { detail, cause: error });
  }
}
