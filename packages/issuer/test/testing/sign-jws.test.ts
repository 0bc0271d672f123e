import { constants, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { signInput, signJws } from '../../src/testing/sign-jws.ts';
import { createTestKey, TEST_ALGORITHMS } from '../../src/testing/test-key.ts';

const key = createTestKey({ alg: 'ES256' });

test.each(TEST_ALGORITHMS)('%s signs as RFC 7518 §3 and RFC 8037 §3.1 have it', (alg) => {
  const { privateKey, publicKey } = createTestKey({ alg });
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
  const token = signJws('{"a":1,"a":2}', Buffer.from([0xff]), key);
  const [header, payload] = token.split('.');
  expect(Buffer.from(header as string, 'base64url').toString()).toBe('{"a":1,"a":2}');
  expect(payload).toBe('_w');
});

test('signInput signs parts however they are spelled', () => {
  expect(signInput('a=.b+/', key)).toMatch(/^a=\.b\+\/\.[\w-]{86}$/);
});
