import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** A database of one test. */
export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  /** The reason that it can't be tested here; absent when it can. */
  readonly missing?: string;
  create(): Promise<TestDatabase>;
}

const SERVER = process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';

/** Returns the engines that the API runs on. PostgreSQL needs a running server. */
export async function engines(): Promise<Engine[]> {
  return [
    { name: 'libsql', create: createFile },
    { name: 'PostgreSQL', missing: await whyNoPostgres(), create: createPostgres },
  ];
}

async function createFile(): Promise<TestDatabase> {
  const dir = await mkdtemp(join(tmpdir(), 'contacts-'));
  return {
    url: `file:${join(dir, 'nested', 'contacts.db')}`,
    drop: () => rm(dir, { recursive: true }),
  };
}

async function createPostgres(): Promise<TestDatabase> {
  const name = `contacts_${randomBytes(6).toString('hex')}`;
  await asAdmin((client) => client.query(`create database ${name}`));
  const url = new URL(SERVER);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: () => asAdmin((client) => client.query(`drop database ${name} with (force)`)),
  };
}

async function whyNoPostgres(): Promise<string | undefined> {
  try {
    await asAdmin((client) => client.query('select 1'));
    return undefined;
  } catch {
    return `no PostgreSQL at ${new URL(SERVER).host}, or none that TEST_POSTGRES_URL may use`;
  }
}

async function asAdmin(use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: SERVER, connectionTimeoutMillis: 2000 });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
