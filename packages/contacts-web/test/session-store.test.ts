import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sessionSecret } from '../src/session-store.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secret-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

test('is made once, in a file and folder for its owner only', () => {
  const path = join(folder, 'new', 'session-secret');
  const secret = sessionSecret(join(folder, 'new'));
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(sessionSecret(join(folder, 'new'))).toBe(secret);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o700);
});

test('a file that holds none stops the start, and says what to do', () => {
  writeFileSync(join(folder, 'session-secret'), 'short');
  expect(() => sessionSecret(folder)).toThrow('delete it');
});
