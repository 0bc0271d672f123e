import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openSessionStore, sessionSecret } from '../src/session-store.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secret-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

test('the secret is created once, in a file and folder that only the owner can read', () => {
  const path = join(folder, 'new', 'session-secret');
  const secret = sessionSecret(join(folder, 'new'));
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(sessionSecret(join(folder, 'new'))).toBe(secret);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
});

test('a file without a secret stops the start with advice', () => {
  writeFileSync(join(folder, 'session-secret'), 'short');
  expect(() => sessionSecret(folder)).toThrow('delete it');
});

test.each([
  ['memory:', undefined],
  ['redis://127.0.0.1:1', /^Redis: .*ECONNREFUSED/],
  ['postgres://127.0.0.1:1/sessions', /^PostgreSQL: .*ECONNREFUSED/],
])('%s opens the store that it names, even while its server is away', async (url, failure) => {
  const store = openSessionStore(url);
  const read = store.read('key').catch((error: Error) => error.message);
  expect(await read).toEqual(failure && expect.stringMatching(failure));
  await store.close();
});

test('file: opens a file', async () => {
  const path = join(folder, 'sessions.db');
  await openSessionStore(`file:${path}`).close();
  expect(statSync(path).size).toBeGreaterThan(0);
});
