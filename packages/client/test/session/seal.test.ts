import { hkdfSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { Seal } from '../../src/session/seal.ts';

const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)];

describe('seal (RFC 7516, dir and A256GCM)', () => {
  test('opens what it sealed', async () => {
    const seal = new Seal([NEW], 'test');
    const sealed = await seal.seal({ a: ['ü', 0, false] }, 'salt');
    expect(await seal.open(sealed, 'salt')).toEqual({ a: ['ü', 0, false] });
    expect(decodeProtectedHeader(sealed)).toEqual({
      alg: 'dir',
      enc: 'A256GCM',
      kid: expect.stringMatching(/^[\w-]{8}$/),
    });
  });

  test("is what another implementation of JWE, jose's, reads and writes", async () => {
    const key = new Uint8Array(hkdfSync('sha256', NEW, 'salt', 'koa-oauth test', 32));
    const seal = new Seal([NEW], 'test');
    for (let length = 0; length < 50; length += 1) {
      const value = 'ü'.repeat(length);
      const sealed = await seal.seal(value, 'salt');
      const { plaintext, protectedHeader } = await compactDecrypt(sealed, key);
      expect(JSON.parse(new TextDecoder().decode(plaintext))).toBe(value);
      const theirs = new CompactEncrypt(plaintext).setProtectedHeader(protectedHeader);
      expect(await seal.open(await theirs.encrypt(key), 'salt')).toBe(value);
    }
  });

  test('a shortened or lengthened part opens nothing', async () => {
    const seal = new Seal([NEW], 'test');
    const parts = (await seal.seal('value', 'salt')).split('.');
    for (const index of parts.keys()) {
      const part = parts[index] ?? '';
      for (const other of [part.slice(0, -4), part.slice(0, 6), '', `${part}AAAA`]) {
        if (other === part) continue;
        expect(await seal.open(parts.with(index, other).join('.'), 'salt')).toBeUndefined();
      }
    }
    expect(await seal.open([...parts, ''].join('.'), 'salt')).toBeUndefined();
  });

  test('seals with the newest secret and opens with any', async () => {
    const sealedByOld = await new Seal([OLD], 'test').seal(1, 's');
    const both = new Seal([NEW, OLD], 'test');
    expect(await both.open(sealedByOld, 's')).toBe(1);
    expect(await new Seal([OLD], 'test').open(await both.seal(1, 's'), 's')).toBeUndefined();
  });

  test('another salt, purpose or secret opens nothing', async () => {
    const seal = new Seal([NEW], 'test');
    const sealed = await seal.seal(1, 'salt');
    expect(await seal.open(sealed, 'other')).toBeUndefined();
    expect(await new Seal([NEW], 'other').open(sealed, 'salt')).toBeUndefined();
    expect(await new Seal([OLD], 'test').open(sealed, 'salt')).toBeUndefined();
  });

  test('any changed character opens nothing', async () => {
    const seal = new Seal([NEW], 'test');
    const sealed = await seal.seal('value', 'salt');
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = sealed.slice(0, i) + (sealed[i] === 'A' ? 'B' : 'A') + sealed.slice(i + 1);
      const opened = await seal.open(changed, 'salt');
      // The last character of a base64url part has bits that decoding drops.
      if (opened !== undefined) expect(opened).toBe('value');
      else expect(opened).toBeUndefined();
    }
  });

  test.each(['', 'x', '....', 'a.b.c.d.e', '{}', `${'A'.repeat(5000)}`])(
    '%s opens nothing',
    async (text) => {
      expect(await new Seal([NEW], 'test').open(text, 'salt')).toBeUndefined();
    },
  );
});
