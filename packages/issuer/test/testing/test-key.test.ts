import { constants, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { JwkSet } from '../../src/jwk-set.ts';
import { signInput, signJws } from '../../src/signed-jwt.ts';
import { createTestKey, publicJwk, TEST_ALGORITHMS } from '../../src/testing/test-key.ts';

const made = TEST_ALGORITHMS.map((alg) => [alg, createTestKey({ kid: 'one', alg })] as const);

test.each(made)('%s: a key that a relying side takes for it, RFC 7518 §3', async (alg, key) => {
  const jwk = publicJwk(key);
  expect(jwk).toMatchObject({ kid: 'one', alg, use: 'sig' });
  expect(jwk).not.toHaveProperty('d');
  const set = new JwkSet({
    fetch: async () => ({ status: 200, body: { keys: [jwk] }, maxAge: undefined }),
    monotonicNow: () => 0,
    maxStale: 0,
    cooldown: 0,
  });
  const [found] = await set.find({ kid: 'one', alg });
  expect(found?.key.equals(key.publicKey)).toBe(true);
});

test('by default RS256 with 2048 bits, under a name of its own', () => {
  const [a, b] = [createTestKey(), createTestKey()];
  expect(a.alg).toBe('RS256');
  expect(a.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect(a.kid).not.toBe(b.kid);
  expect(a.publicKey.equals(b.publicKey)).toBe(false);
});

test.each<[options: object, fault: string]>([
  [{ algorithm: 'ES256' }, 'unknown: algorithm'],
  [{ alg: 'ES999' }, 'alg must be one of RS256'],
])('no key for %j', (options, fault) => {
  expect(() => createTestKey(options)).toThrow(fault);
});

const signer = createTestKey({ alg: 'ES256' });

test.each(made)('%s signs as RFC 7518 §3 and RFC 8037 §3.1 have it', (alg, key) => {
  const { privateKey, publicKey } = key;
  const token = signJws({ alg: 'said' }, { sub: 'alice' }, { alg, privateKey });
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const bytes = Buffer.from(signature, 'base64url');
  const hash = alg.startsWith('Ed') ? null : `sha${alg.slice(2)}`;
  const options = alg.startsWith('PS')
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: Number(alg.slice(2)) / 8 }
    : { dsaEncoding: 'ieee-p1363' as const };
  const input = Buffer.from(`${header}.${payload}`);
  expect(verify(hash, input, { key: publicKey, ...options }, bytes)).toBe(true);
  expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'said' });
});

test('text and bytes are taken as they are', () => {
  const token = signJws('{"a":1,"a":2}', Buffer.from([0xff]), signer);
  const [header, payload] = token.split('.');
  expect(Buffer.from(header as string, 'base64url').toString()).toBe('{"a":1,"a":2}');
  expect(payload).toBe('_w');
});

test('signInput signs parts encoded in any way', () => {
  expect(signInput('a=.b+/', signer)).toMatch(/^a=\.b\+\/\.[\w-]{86}$/);
});
