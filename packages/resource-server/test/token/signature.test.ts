import { createHmac, type KeyObject, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  createTestKey,
  signJws,
  type TestAlgorithm,
  type TestKey,
} from '@koa-oauth/issuer/testing';
import { ALGORITHMS, verifySignature } from '../../src/token/signature.ts';

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const rsa = createTestKey();
const p384 = createTestKey({ alg: 'ES384' });
const ed25519 = createTestKey({ alg: 'EdDSA' });
const other = createTestKey();

const jws = (
  alg: TestAlgorithm,
  { privateKey }: TestKey,
  payload: object = { sub: 'alice', exp: 1 },
) => signJws({ alg }, payload, { alg, privateKey });

const refused = expect.objectContaining({ code: 'ERR_INVALID_TOKEN', reason: 'signature' });

describe.each(ALGORITHMS)('%s, RFC 7518 §3, RFC 8037 §3.1', (alg) => {
  const key = createTestKey({ alg });
  const { publicKey } = key;
  const token = jws(alg, key);
  const [header, payload, signature] = token.split('.') as [string, string, string];

  test('holds, whatever the times say', async () => {
    await verifySignature(token, alg, publicKey);
    const future = jws(alg, key, { nbf: 4e9, iat: 4e9 });
    await verifySignature(future, alg, publicKey);
  });

  test.each<[string, string]>([
    ['another payload', `${header}.${encode({ sub: 'bob' })}.${signature}`],
    ['another header', `${encode({ alg, kid: 'x' })}.${payload}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['a short signature', `${header}.${payload}.${signature.slice(0, 40)}`],
    ['a long signature', `${header}.${payload}.${signature}AAAA`],
    ['a signature of zeros', `${header}.${payload}.${signature.replace(/./g, 'A')}`],
  ])('does not hold with %s', async (_, changed) => {
    await expect(verifySignature(changed, alg, publicKey)).rejects.toEqual(refused);
  });
});

test.each<[string, string, string, KeyObject]>([
  ['by another key', jws('RS256', other), 'RS256', rsa.publicKey],
  ['RS256 with a key for PS256', jws('RS256', rsa), 'PS256', rsa.publicKey],
  ['PS256 with a key for RS256', jws('PS256', rsa), 'RS256', rsa.publicKey],
  ['RS512 with a key for RS256', jws('RS512', rsa), 'RS256', rsa.publicKey],
  ['ES256 over P-384 (RFC 7518 §3.4)', jws('ES256', p384), 'ES256', p384.publicKey],
  ['EdDSA with a key of another type', jws('EdDSA', ed25519), 'EdDSA', rsa.publicKey],
])('%s does not hold', async (_, token, alg, key) => {
  await expect(verifySignature(token, alg, key)).rejects.toEqual(refused);
});

test('ES256 with a signature in DER does not hold (RFC 7518 §3.4)', async () => {
  const { privateKey, publicKey } = createTestKey({ alg: 'ES256' });
  const input = `${encode({ alg: 'ES256' })}.${encode({})}`;
  const der = sign('sha256', Buffer.from(input), privateKey).toString('base64url');
  await expect(verifySignature(`${input}.${der}`, 'ES256', publicKey)).rejects.toEqual(refused);
});

test('an HMAC keyed with the public key does not hold (RFC 8725 §2.1)', async () => {
  for (const alg of ['HS256', 'RS256']) {
    const input = `${encode({ alg })}.${encode({ sub: 'admin' })}`;
    for (const secret of [
      rsa.publicKey.export({ format: 'pem', type: 'spki' }),
      rsa.publicKey.export({ format: 'der', type: 'spki' }),
    ]) {
      const mac = createHmac('sha256', secret).update(input).digest('base64url');
      const verified = verifySignature(`${input}.${mac}`, 'RS256', rsa.publicKey);
      await expect(verified).rejects.toEqual(refused);
    }
  }
});

test('many at once do not mix', async () => {
  const good = jws('RS256', rsa);
  const bad = jws('RS256', other);
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) =>
      verifySignature(i % 2 ? good : bad, 'RS256', rsa.publicKey),
    ),
  );
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual(
    Array.from({ length: 100 }, (_, i) => i % 2 === 1),
  );
});
