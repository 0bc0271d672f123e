import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { loadSigningKeys } from '../src/signing-keys.ts';

const directory = mkdtempSync(join(tmpdir(), 'keys-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('are made once, for the owner alone, also when two start at the same time', async () => {
  const place = `file:${join(directory, 'a/keys.json')}`;
  const [one, two] = await Promise.all([loadSigningKeys(place), loadSigningKeys(place)]);
  expect(one).toEqual(two);
  expect(await loadSigningKeys(place)).toEqual(one);
  expect(new Set(one.keys.map(({ kid }) => kid)).size).toBe(2);
  expect(statSync(join(directory, 'a/keys.json')).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700);
});

test.each([
  ['no JSON', '{'],
  ['no keys', '{"keys":[]}'],
  ['public keys', '{"keys":[{"kty":"RSA","n":"x","e":"AQAB"},{"kty":"RSA","n":"y","e":"AQAB"}]}'],
])('a file with %s stops the start and says what to do', async (_name, content) => {
  const file = join(directory, 'broken.json');
  writeFileSync(file, content);
  await expect(loadSigningKeys(`file:${file}`)).rejects.toThrow(
    `the key file ${file} holds no two RS256 keys: delete it, and new ones are made`,
  );
});

test('a directory in its place stops the start', async () => {
  await expect(loadSigningKeys(`file:${directory}`)).rejects.toThrow(/can't be used \(EISDIR\)/);
});
