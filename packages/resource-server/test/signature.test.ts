import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { verifySignature } from '../src/signature.ts';

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed25519 = generateKeyPairSync('ed25519');

function jws(alg: string, key: KeyObject, payload: object = { sub: 'alice', exp: 1 }): string {
  const input = `${encode({ alg })}.${encode(payload)}`;
  const bytes = Buffer.from(input);
  const hash = `sha${alg.slice(2)}`;
  const signature = alg.startsWith('Ed')
    ? sign(null, bytes, key)
    : alg.startsWith('ES')
      ? sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
      : alg.startsWith('PS')
        ? sign(hash, bytes, { key, padding: 6, saltLength: -1 })
        : sign(hash, bytes, key);
  return `${input}.${signature.toString('base64url')}`;
}

const refused = expect.objectContaining({ code: 'ERR_INVALID_TOKEN', reason: 'signature' });
const other = generateKeyPairSync('rsa', { modulusLength: 2048 });

describe.each([
  ['RS256', rsa],
  ['RS384', rsa],
  ['RS512', rsa],
  ['PS256', rsa],
  ['PS384', rsa],
  ['PS512', rsa],
  ['ES256', p256],
  ['ES384', p384],
  ['ES512', p521],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
])('%s, RFC 7518 §3, RFC 8037 §3.1', (alg, { privateKey, publicKey }) => {
  const token = jws(alg, privateKey);
  const [header, payload, signature] = token.split('.') as [string, string, string];

  test('holds, whatever the times say', async () => {
    await verifySignature(token, alg, publicKey);
    const future = jws(alg, privateKey, { nbf: 4e9, iat: 4e9 });
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
  ['by another key', jws('RS256', other.privateKey), 'RS256', rsa.publicKey],
  ['RS256 with a key for PS256', jws('RS256', rsa.privateKey), 'PS256', rsa.publicKey],
  ['PS256 with a key for RS256', jws('PS256', rsa.privateKey), 'RS256', rsa.publicKey],
  ['RS512 with a key for RS256', jws('RS512', rsa.privateKey), 'RS256', rsa.publicKey],
  ['ES256 over P-384 (RFC 7518 §3.4)', jws('ES256', p384.privateKey), 'ES256', p384.publicKey],
  ['EdDSA with a key of another type', jws('EdDSA', ed25519.privateKey), 'EdDSA', rsa.publicKey],
  ['ES256 as DER', derSigned(), 'ES256', p256.publicKey],
])('%s does not hold', async (_, token, alg, key) => {
  await expect(verifySignature(token, alg, key)).rejects.toEqual(refused);
});

function derSigned(): string {
  const input = `${encode({ alg: 'ES256' })}.${encode({})}`;
  return `${input}.${sign('sha256', Buffer.from(input), p256.privateKey).toString('base64url')}`;
}

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
  const good = jws('RS256', rsa.privateKey);
  const bad = jws('RS256', other.privateKey);
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) =>
      verifySignature(i % 2 ? good : bad, 'RS256', rsa.publicKey),
    ),
  );
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual(
    Array.from({ length: 100 }, (_, i) => i % 2 === 1),
  );
});
