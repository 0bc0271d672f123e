import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { inTransaction, openSqlite, whenFree } from '../src/sqlite.ts';

const ROUNDS = 15;
const GAP_MS = 40;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'service-sqlite-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('creates a file and a folder that only the owner can read', () => {
  const path = join(folder, 'new', 'data.db');
  const database = openSqlite(path, { synchronous: 'FULL' });
  database.exec('CREATE TABLE a (b)');
  for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
  database.close();
});

test.each([
  ['FULL', 2],
  ['NORMAL', 1],
] as const)(
  'with synchronous %s it uses a write-ahead log, and a statement waits for no more than a moment',
  (synchronous, level) => {
    const database = openSqlite(join(folder, 'data.db'), { synchronous });
    const pragma = (name: string) =>
      Object.values(database.prepare(`PRAGMA ${name}`).get() as object)[0];
    expect(pragma('journal_mode')).toBe('wal');
    expect(pragma('synchronous')).toBe(level);
    expect(pragma('busy_timeout')).toBe(10);
    database.close();
  },
);

test('while another connection writes, work waits, and the process goes on', async () => {
  const path = join(folder, 'data.db');
  const schema = 'CREATE TABLE IF NOT EXISTS a (b)';
  const open = () => openSqlite(path, { synchronous: 'NORMAL', schema });
  const [one, other] = [open(), open()];
  // Held by this very thread: work that blocks it would wait in vain.
  other.exec('BEGIN IMMEDIATE');
  const insert = one.prepare('INSERT INTO a VALUES (?)');
  const written = ['x', 'y'].map((value) =>
    whenFree(one, () => inTransaction(one, () => insert.run(value))),
  );
  other.exec('COMMIT');
  await Promise.all(written);
  const failed = whenFree(one, () => one.exec('INSERT INTO b VALUES (1)'));
  await expect(failed).rejects.toThrow('no such');
  expect(other.prepare('SELECT b FROM a').all()).toEqual([{ b: 'x' }, { b: 'y' }]);
  one.close();
  other.close();
});

test('of much work that waits for another connection, one call at a time tries', async () => {
  const path = join(folder, 'data.db');
  const [one, other] = [1, 2].map(() => openSqlite(path, { synchronous: 'NORMAL' }));
  other?.exec('BEGIN IMMEDIATE');
  let tries = 0;
  const work = () => {
    tries += 1;
    if (one) inTransaction(one, () => {});
  };
  const waiting = Array.from({ length: 50 }, () => one && whenFree(one, work));
  await new Promise(setImmediate);
  expect(tries).toBe(1);
  other?.exec('COMMIT');
  await Promise.all(waiting);
  one?.close();
  other?.close();
});

test('a transaction that fails writes nothing', () => {
  const database = openSqlite(join(folder, 'data.db'), {
    synchronous: 'NORMAL',
    schema: 'CREATE TABLE a (b)',
  });
  const fail = () => {
    database.exec('INSERT INTO a VALUES (1)');
    throw new Error('no');
  };
  expect(() => inTransaction(database, fail)).toThrow('no');
  expect(database.prepare('SELECT b FROM a').all()).toEqual([]);
  database.close();
});

test('a folder is an error', () => {
  expect(() => openSqlite(folder, { synchronous: 'FULL' })).toThrow(/EISDIR/);
});

// Each process opens the same new file at the same time, several times.
const program = `
  const [sqlite, folder] = process.argv.slice(1);
  const { openSqlite } = await import(sqlite);
  process.send('ready');
  const begin = await new Promise((resolve) => process.once('message', resolve));
  for (let round = 0; round < ${ROUNDS}; round += 1) {
    while (Date.now() < begin + round * ${GAP_MS}) await new Promise(setImmediate);
    const schema = 'CREATE TABLE IF NOT EXISTS a (b)';
    openSqlite(folder + '/' + round + '.db', { synchronous: 'FULL', schema }).close();
  }
  process.disconnect();
`;

test('processes that open a new file at the same moment wait for each other', async () => {
  const sqlite = new URL('../dist/sqlite.js', import.meta.url).href;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program, sqlite, folder], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  );
  const ended = children.map((child) => once(child, 'exit'));
  await Promise.all(children.map((child) => once(child, 'message')));
  for (const child of children) child.send(Date.now() + 50);
  expect((await Promise.all(ended)).map(([code]) => code)).toEqual([0, 0, 0, 0]);
});
