import { randomUUID } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import { createKeyFile, readKeyFile, replaceKeyFile } from '../../src/keys/key-file.ts';
import { KeyRing } from '../../src/keys/key-ring.ts';
import { makeSigningKey, memoryKey, signingKeysSchema } from '../../src/keys/signing-keys.ts';
import { signingKeys } from '../support/signing-keys.ts';

describe('a key ring', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keys-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Opens keys of a file. New ones are the same key under another name. */
  const open = (place: string) =>
    KeyRing.open(place, async () => {
      await wait(5);
      return { ...signingKeys[0]!, kid: randomUUID() };
    });

  const kids = ({ keys }: KeyRing) => keys.keys.map(({ kid }) => kid);

  describe('keys in a file', () => {
    const file = join(directory, 'a/keys.json');
    const place = `file:${file}`;

    test('are created once, for the owner only, also when two servers start at the same time', async () => {
      const [one, two] = await Promise.all([KeyRing.open(place), KeyRing.open(place)]);
      expect(one.keys).toEqual(two.keys);
      expect((await open(place)).keys).toEqual(one.keys);
      expect(new Set(kids(one)).size).toBe(2);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700);
    });

    test('rotate to the next key, keep the current as previous, and are written', async () => {
      const ring = await open(place);
      const [first, second] = kids(ring);
      await ring.rotate();
      const [, third] = kids(ring);
      expect(kids(ring)).toEqual([second, third, first]);
      expect([first, second]).not.toContain(third);
      expect((await open(place)).keys).toEqual(ring.keys);
      expect(statSync(file).mode & 0o777).toBe(0o600);

      await ring.rotate();
      const [, fourth] = kids(ring);
      expect(kids(ring)).toEqual([third, fourth, second]);
      await ring.revokePrevious();
      expect(kids(ring)).toEqual([third, fourth]);
      await ring.revokePrevious();
      expect(kids(ring)).toEqual([third, fourth]);
      await ring.rotate({ revoke: true });
      expect(kids(ring)).toEqual([fourth, expect.any(String)]);
      expect((await open(place)).keys).toEqual(ring.keys);
    });

    test('rotate twice for two simultaneous rotations', async () => {
      const ring = await open(place);
      const [, second] = kids(ring);
      await Promise.all([ring.rotate(), ring.rotate()]);
      expect(kids(ring)).toEqual([expect.any(String), expect.any(String), second]);
      expect(new Set(kids(ring)).size).toBe(3);
    });

    test('stay readable while two servers rotate them', async () => {
      const [one, two] = [await open(place), await open(place)];
      const changes = [one, two, one, two].map((ring) => ring.rotate());
      let read = 0;
      const all = Promise.all(changes).then(() => true);
      while (!(await Promise.race([all, new Promise((next) => setImmediate(next, false))]))) {
        expect(readKeyFile(file)?.keys.length).toBeGreaterThanOrEqual(2);
        read += 1;
      }
      expect(read).toBeGreaterThan(0);
      // The last to write wins, and what it signs with is in the file.
      const kids = readKeyFile(file)?.keys.map(({ kid }) => kid);
      expect([one, two].map((ring) => ring.keys.keys.map(({ kid }) => kid))).toContainEqual(kids);
      expect(readdirSync(directory).filter((name) => name.includes('.json.'))).toEqual([]);
    });

    test('gain the next key when the file has one', async () => {
      const { keys } = await open(place);
      const single = join(directory, 'single.json');
      writeFileSync(single, JSON.stringify({ keys: keys.keys.slice(0, 1) }));
      const ring = await open(`file:${single}`);
      expect(kids(ring)).toEqual([keys.keys[0]?.kid, expect.any(String)]);
      expect(JSON.parse(readFileSync(single, 'utf8'))).toEqual(ring.keys);
    });

    test('stay as they are when the file is not writable', async () => {
      const gone = join(directory, 'gone');
      const ring = await open(`file:${join(gone, 'keys.json')}`);
      const before = ring.keys;
      rmSync(gone, { recursive: true });
      writeFileSync(gone, '');
      await expect(ring.rotate()).rejects.toMatchObject({ code: 'invalid_keys' });
      expect(ring.keys).toEqual(before);
    });
  });

  test('rings in memory rotate by themselves, through the same keys', async () => {
    const one = await KeyRing.open('memory:');
    const two = await KeyRing.open('memory:');
    expect(two.keys).toEqual(one.keys);
    await one.rotate();
    expect(kids(two)).toEqual([kids(one)[2], kids(one)[0]]);
    await two.rotate();
    expect(two.keys).toEqual(one.keys);
  });
});

describe('a key file', () => {
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
});

describe('signing keys', () => {
  test('a new key is for RS256, unique, and named by its thumbprint', async () => {
    proves('RFC 9068 §2.1');
    const [one, two] = await Promise.all([makeSigningKey(), makeSigningKey()]);
    expect(one).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig' });
    expect(one.kid).toBe(await calculateJwkThumbprint(one));
    expect(one.kid).not.toBe(two.kid);
    expect(signingKeysSchema.parse({ keys: [one, two] })).toEqual({ keys: [one, two] });
  });

  test('a key in memory is created once, also for simultaneous calls', async () => {
    const [one, same, other] = await Promise.all([memoryKey(0), memoryKey(0), memoryKey(1)]);
    expect(same).toBe(one);
    expect(other.kid).not.toBe(one.kid);
    expect(await memoryKey(0)).toBe(one);
  });
});
