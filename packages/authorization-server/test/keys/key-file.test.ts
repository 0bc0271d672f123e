import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { createKeyFile, readKeyFile, replaceKeyFile } from '../../src/keys/key-file.ts';
import { memoryKey } from '../../src/keys/signing-keys.ts';

const directory = mkdtempSync(join(tmpdir(), 'keys-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('a missing file has no keys', () => {
  expect(readKeyFile(join(directory, 'missing.json'))).toBeUndefined();
});

test.each([
  ['no JSON', '{'],
  ['no keys', '{"keys":[]}'],
  ['public keys', '{"keys":[{"kty":"RSA","n":"x","e":"AQAB"},{"kty":"RSA","n":"y","e":"AQAB"}]}'],
])('a file with %s is rejected with the file and what to do', (_name, content) => {
  const file = join(directory, 'broken.json');
  writeFileSync(file, content);
  expect(() => readKeyFile(file)).toThrow(
    `the key file ${file} holds no one to three RS256 keys: delete it, and new ones are made`,
  );
});

test('a directory in its place is rejected', () => {
  expect(() => readKeyFile(directory)).toThrow(/can't be used \(EISDIR\)/);
});

test('a link under the name of a draft is not followed', async () => {
  const file = join(directory, 'replaced.json');
  const victim = join(directory, 'victim');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, `${file}.${process.pid}`);
  replaceKeyFile(file, { keys: [await memoryKey(0)] });
  expect(readFileSync(victim, 'utf8')).toBe('untouched');
  expect(readKeyFile(file)?.keys).toHaveLength(1);
});

test('the second server to create a file gets the keys of the first', async () => {
  const file = join(directory, 'first.json');
  const first = { keys: [await memoryKey(0)] };
  expect(createKeyFile(file, first)).toBe(first);
  expect(createKeyFile(file, { keys: [await memoryKey(1)] })).toEqual(first);
});
