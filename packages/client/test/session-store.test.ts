import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SessionStore } from '../src/session-store.ts';
import { fileStore } from '../src/stores/file.ts';
import { memoryStore } from '../src/stores/memory.ts';

const START = 1_700_000_000_000;
const LATER = START / 1000 + 100;

let folder: string;
let now: number;
let store: SessionStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sessions-'));
  now = START;
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const clock = () => now;
const makers: [string, () => SessionStore][] = [
  ['memory', () => memoryStore({ now: clock })],
  ['file', () => fileStore({ path: join(folder, 'deep', 'sessions.db'), now: clock })],
];

describe.each(makers)('the %s store keeps to the contract', (_name, make) => {
  beforeEach(() => {
    store = make();
  });

  const create = (key = 'a', expiresAt = LATER) => store.create(key, { sealed: 'one', expiresAt });

  test('reads what was created, at version 1', async () => {
    await create();
    expect(await store.read('a')).toEqual({ sealed: 'one', expiresAt: LATER, version: 1 });
    expect(await store.read('b')).toBeUndefined();
  });

  test('creates nothing over a session that is there', async () => {
    await create();
    await expect(create()).rejects.toThrow('exists');
    expect(await store.read('a')).toMatchObject({ sealed: 'one' });
  });

  test('creates in place of an expired one', async () => {
    await create();
    now += 100_000;
    await create('a', LATER + 100);
    expect(await store.read('a')).toMatchObject({ version: 1 });
  });

  test('updates what has not changed since it was read, and counts', async () => {
    await create();
    expect(await store.update('a', 1, { sealed: 'two', expiresAt: LATER + 1 })).toBe(true);
    expect(await store.read('a')).toEqual({ sealed: 'two', expiresAt: LATER + 1, version: 2 });
  });

  test('of two updates of the same version one wins', async () => {
    await create();
    const update = (sealed: string) => store.update('a', 1, { sealed, expiresAt: LATER });
    const results = await Promise.all([update('x'), update('y')]);
    expect(results.sort()).toEqual([false, true]);
    expect(await store.read('a')).toMatchObject({ version: 2 });
  });

  test('neither update nor touch brings back a session that ended', async () => {
    await create();
    await store.destroy('a');
    expect(await store.update('a', 1, { sealed: 'two', expiresAt: LATER })).toBe(false);
    await store.touch('a', LATER + 50);
    expect(await store.read('a')).toBeUndefined();
  });

  test('touch moves the expiry and leaves the version', async () => {
    await create();
    await store.touch('a', LATER + 50);
    expect(await store.read('a')).toEqual({ sealed: 'one', expiresAt: LATER + 50, version: 1 });
  });

  test('an expired session is gone for all', async () => {
    await create();
    now += 100_000;
    expect(await store.read('a')).toBeUndefined();
    expect(await store.update('a', 1, { sealed: 'two', expiresAt: LATER + 99 })).toBe(false);
    await store.touch('a', LATER + 99);
    expect(await store.read('a')).toBeUndefined();
  });

  test('destroying what is not there does nothing', async () => {
    await create();
    expect(await store.destroy('b')).toBeUndefined();
    await store.destroy('a');
    expect(await store.destroy('a')).toBeUndefined();
    expect(await store.read('a')).toBeUndefined();
  });

  test('destroying answers what was there last: of two at once, to one of them', async () => {
    await create();
    await store.update('a', 1, { sealed: 'two', expiresAt: LATER });
    const [one, other] = await Promise.all([store.destroy('a'), store.destroy('a')]);
    expect([one, other].filter(Boolean)).toEqual([{ sealed: 'two', expiresAt: LATER, version: 2 }]);
  });

  test('destroying answers an expired session too: what it holds may have to be revoked', async () => {
    await create();
    now += 100_000;
    expect(await store.destroy('a')).toMatchObject({ sealed: 'one' });
  });
});

describe('the memory store', () => {
  test('makes room by dropping what expires first', async () => {
    store = memoryStore({ now: clock, maxSessions: 3 });
    for (const [key, seconds] of [
      ['a', 30],
      ['b', 10],
      ['c', 20],
      ['d', 40],
    ] as const) {
      await store.create(key, { sealed: key, expiresAt: START / 1000 + seconds });
    }
    const kept = await Promise.all(['a', 'b', 'c', 'd'].map((key) => store.read(key)));
    expect(kept.map((session) => session?.sealed)).toEqual(['a', undefined, 'c', 'd']);
  });
});

describe('the file store', () => {
  const path = () => join(folder, 'sessions.db');

  test('outlives a restart, in a file that only its owner reads', async () => {
    store = fileStore({ path: path(), now: clock });
    await store.create('a', { sealed: 'one', expiresAt: LATER });
    await store.close();
    store = fileStore({ path: path(), now: clock });
    expect(await store.read('a')).toMatchObject({ sealed: 'one' });
    expect(statSync(path()).mode & 0o777).toBe(0o600);
  });

  test('nobody else reads its files and folders, whatever the umask', async () => {
    const file = join(folder, 'new', 'deep', 'sessions.db');
    const umask = process.umask(0);
    try {
      store = fileStore({ path: file, now: clock });
      await store.create('a', { sealed: 'one', expiresAt: LATER });
    } finally {
      process.umask(umask);
    }
    const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
    for (const suffix of ['', '-wal', '-shm']) expect(modeOf(file + suffix)).toBe('600');
    for (const path of [dirname(file), join(folder, 'new')]) expect(modeOf(path)).toBe('700');
  });

  test('is shared by those who open the same file', async () => {
    store = fileStore({ path: path(), now: clock });
    const other = fileStore({ path: path(), now: clock });
    await store.create('a', { sealed: 'one', expiresAt: LATER });
    expect(await other.update('a', 1, { sealed: 'two', expiresAt: LATER })).toBe(true);
    expect(await store.update('a', 1, { sealed: 'three', expiresAt: LATER })).toBe(false);
    expect(await store.read('a')).toMatchObject({ sealed: 'two' });
    await other.close();
  });

  test('lets expired sessions go', async () => {
    store = fileStore({ path: path(), now: clock });
    await store.create('old', { sealed: 'SEALED-LONG-AGO', expiresAt: LATER });
    now += 200_000;
    await store.create('new', { sealed: 'two', expiresAt: LATER + 1000 });
    now -= 200_000;
    expect(await store.read('old')).toBeUndefined();
    expect(readFileSync(path()).length).toBeGreaterThan(0);
  });

  test('refuses a path it cannot open, at once', () => {
    store = memoryStore();
    expect(() => fileStore({ path: folder })).toThrow();
  });
});
