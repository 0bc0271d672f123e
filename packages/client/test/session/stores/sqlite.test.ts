import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import Database from 'libsql';
import type { SessionStore } from '../../../src/session/session-store.ts';
import { sqliteStore } from '../../../src/session/stores/sqlite.ts';
import { countTogether } from '../../support/processes.ts';

const START = 1_700_000_000_000;
const LATER = START / 1000 + 100;
const NEW = { sealed: 'one', about: 'about', expiresAt: LATER, startedAt: LATER };
const SESSION = { ...NEW, terms: ['user'] };

let folder: string;
let path: string;
let now: number;
const opened: SessionStore[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sessions-'));
  path = join(folder, 'sessions.db');
  now = START;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  rmSync(folder, { recursive: true });
});

function open(file = path): SessionStore {
  const store = sqliteStore({ path: file, now: () => now });
  opened.push(store);
  return store;
}

/** Makes a file of a version without leases and terms. */
function makeOldFile(): void {
  const database = new Database(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE sessions (
      key TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sealed TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_expires_at ON sessions (expires_at);
    INSERT INTO sessions VALUES ('old', 7, ${LATER}, 'sealed long ago');
  `);
  database.close();
}

test.each([':memory:', ':memory:?cache=shared', 'file:sessions.db'])('path: not %s', (path) => {
  expect(() => sqliteStore({ path })).toThrow(InvalidOptions);
});

test('outlives a restart, in a file that only its owner reads', async () => {
  await open().create('a', SESSION);
  await opened.pop()?.close();
  expect(await open().read('a')).toMatchObject({ sealed: 'one' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('only the owner can read its files and folders, whatever the umask', async () => {
  const file = join(folder, 'new', 'deep', 'sessions.db');
  const umask = process.umask(0);
  try {
    await open(file).create('a', SESSION);
  } finally {
    process.umask(umask);
  }
  const modeOf = (name: string) => (statSync(name).mode & 0o777).toString(8);
  for (const suffix of ['', '-wal', '-shm']) expect(modeOf(file + suffix)).toBe('600');
  for (const name of [dirname(file), join(folder, 'new')]) expect(modeOf(name)).toBe('700');
});

test('lets what has expired go', async () => {
  const old = open();
  await old.create('old', SESSION);
  await old.once('old', LATER);
  await old.recordEnd('user', LATER - 100, LATER);
  now += 200_000;
  await open().create('new', { ...SESSION, expiresAt: LATER + 1000, terms: [] });
  const database = new Database(path);
  const count = (table: string) => database.prepare(`SELECT count(*) AS n FROM ${table}`).get();
  expect(count('sessions')).toMatchObject({ n: 1 });
  expect(count('session_terms')).toMatchObject({ n: 0 });
  expect(count('used_once')).toMatchObject({ n: 0 });
  expect(count('session_ends')).toMatchObject({ n: 0 });
  database.close();
});

test('while another process writes, a write waits, reads go on, and the process too', async () => {
  const store = open();
  await store.create('a', SESSION);
  const database = new Database(path);
  // Held by this very thread: a call that blocks it would wait in vain.
  database.exec('BEGIN IMMEDIATE');
  const created = store.create('b', SESSION);
  const written = store.update('a', 1, { sealed: 'two', expiresAt: LATER });
  expect(await store.read('a')).toMatchObject({ version: 1 });
  database.exec('COMMIT');
  database.close();
  expect(await created).toBe(true);
  expect(await written).toBe(true);
});

test('many writes that wait for another process try one at a time', async () => {
  const store = open();
  await store.create('a', SESSION);
  const database = new Database(path);
  database.exec('BEGIN IMMEDIATE');
  const exec = jest.spyOn(Database.prototype, 'exec');
  const touched = Array.from({ length: 50 }, () => store.touch('a', LATER));
  expect(await store.read('a')).toMatchObject({ version: 1 });
  expect(exec).toHaveBeenCalledTimes(1);
  exec.mockRestore();
  database.exec('COMMIT');
  database.close();
  await Promise.all(touched);
});

test('the end of thousands of sessions lets the process go on in between', async () => {
  const store = open();
  const database = new Database(path);
  database.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO sessions (key, version, expires_at, sealed) SELECT 'key-' || i, 1, ${LATER}, 'x' FROM n;
    INSERT INTO session_terms (term, key) SELECT 'user', key FROM sessions;
  `);
  database.close();
  let turns = 0;
  const count = () => {
    turns += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  expect(await store.destroyAll('user', 'key-7')).toBe(2999);
  clearImmediate(counting);
  expect(turns).toBeGreaterThanOrEqual(5);
  expect(await store.list('user')).toHaveLength(1);
});

test('destroying answers an expired session, too: what it holds may have to be revoked', async () => {
  const store = open();
  await store.create('a', SESSION);
  now += 100_000;
  expect(await store.destroy('a')).toMatchObject({ sealed: 'one' });
});

test('refuses a path it cannot open, at once', () => {
  expect(() => sqliteStore({ path: folder })).toThrow();
});

describe('a file of an older version', () => {
  test('is brought up to date, and its sessions live on', async () => {
    makeOldFile();
    const store = open();
    const kept = { sealed: 'sealed long ago', about: '', expiresAt: LATER, version: 7 };
    expect(await store.read('old')).toEqual(kept);
    expect(await store.acquire('old', 1000)).toBe(1);
    expect(await store.update('old', 7, { sealed: 'x', expiresAt: LATER }, 1)).toBe(true);
    await store.create('a', SESSION);
    expect(await store.list('user')).toHaveLength(1);
    // Once more, as at the next start.
    expect(await open().read('old')).toMatchObject({ version: 8 });
  });

  test('of a newer one it keeps its hands', async () => {
    open();
    const database = new Database(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => open()).toThrow('a newer version of @koa-oauth/client made this file');
  });
});

test('processes that start at once on an old file, and share it, lose nothing', async () => {
  makeOldFile();
  const module = new URL('../../../dist/session/stores/sqlite.js', import.meta.url).href;
  await countTogether(module, `sqliteStore({ path: ${JSON.stringify(path)} })`);
});

test('a disk that is full rejects what it cannot keep, whole, and what is there stays', async () => {
  const module = new URL('../../../dist/session/stores/sqlite.js', import.meta.url).href;
  const script = `
    import { sqliteStore } from ${JSON.stringify(module)};
    const store = sqliteStore({ path: ${JSON.stringify(path)} });
    const expiresAt = Date.now() / 1000 + 600 | 0;
    const times = { expiresAt, startedAt: expiresAt };
    const session = { sealed: 'x'.repeat(16384), about: '', ...times, terms: ['user'] };
    let kept = 0, refusal;
    for (; kept < 1000 && !refusal; ) {
      await store.create('key-' + kept, session).then(() => { kept += 1 }, (error) => { refusal = error });
    }
    console.log(JSON.stringify({
      kept,
      refusal: refusal?.message,
      first: (await store.read('key-0'))?.version,
      refused: (await store.read('key-' + kept)) ?? null,
      listed: (await store.list('user')).length,
    }));
  `;
  // Files of this process, the database among them, may not grow beyond some hundred kilobytes.
  const limited = 'ulimit -f 1024; exec "$0" --input-type=module --eval "$1"';
  const { stdout } = await promisify(execFile)('sh', ['-c', limited, process.execPath, script]);
  const { kept, ...rest } = JSON.parse(stdout);
  expect(kept).toBeGreaterThan(2);
  expect(kept).toBeLessThan(1000);
  expect(rest).toEqual({
    refusal: expect.stringMatching(/full|disk|I\/O/i),
    first: 1,
    refused: null,
    listed: kept,
  });
});
