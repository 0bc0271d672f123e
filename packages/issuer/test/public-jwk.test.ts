import { createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import { checkPublicJwk, importPublicJwk, jwkThumbprint } from '../src/public-jwk.ts';
import { createTestKey } from '../src/testing/test-key.ts';

type Jwk = Record<string, unknown>;
const jwkOf = (alg: 'RS256' | 'ES256' | 'EdDSA') =>
  createTestKey({ alg }).publicKey.export({ format: 'jwk' }) as Jwk;
const rsa = jwkOf('RS256');
const ec = jwkOf('ES256');
const ed = jwkOf('EdDSA');

test('the thumbprint is that of the example (RFC 7638 §3.1)', () => {
  const jwk = {
    kty: 'RSA',
    n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
    e: 'AQAB',
    alg: 'RS256',
    kid: '2011-04-29',
  };
  expect(jwkThumbprint(jwk)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
});

test.each<[string, Jwk]>([
  ['RSA', rsa],
  ['P-256', ec],
  ['Ed25519', ed],
])('a key of type %s is imported, whatever other members it has', (_, jwk) => {
  const key = importPublicJwk(checkPublicJwk({ ...jwk, use: 'sig', x5c: ['a'], ext: true }).jwk);
  expect(key.export({ format: 'jwk' })).toEqual(jwk);
  expect(jwkThumbprint({ ...jwk, kid: 'a' })).toBe(jwkThumbprint(jwk));
});

test.each<[string, Jwk]>([
  ['with padding', { ...ec, x: `${ec.x}=` }],
  ['with a space', { ...ec, x: `${ec.x} ` }],
  ['with bits that belong to no byte', { ...ed, x: `${String(ed.x).slice(0, -1)}${after(ed.x)}` }],
  ['in plain base64', { ...rsa, n: Buffer.from(String(rsa.n), 'base64url').toString('base64') }],
  ['with a zero before the modulus', { ...rsa, n: zeroBefore(rsa.n) }],
  ['with a zero before the exponent', { ...rsa, e: 'AAEAAQ' }],
])('a key that is spelled %s is malformed: a key has one thumbprint', (_, jwk) => {
  expect(() => importPublicJwk(checkPublicJwk(jwk).jwk)).toThrow('malformed');
});

function after(text: unknown): string {
  return String.fromCharCode(String(text).charCodeAt(42) + 1);
}

function zeroBefore(text: unknown): string {
  return Buffer.concat([Buffer.of(0), Buffer.from(String(text), 'base64url')]).toString(
    'base64url',
  );
}

test.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])(
  'a key with the member %s is private or symmetric (RFC 7518 §6.3.2, §6.4.1)',
  (name) => {
    expect(() => checkPublicJwk({ ...rsa, [name]: 'x' })).toThrow('private or symmetric key');
  },
);

/** All encodings of `y` of points of small order, also those that are not reduced. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((hex) => {
  const negative = Buffer.from(hex, 'hex');
  negative[31] = (negative[31] as number) | 0x80;
  return [hex, negative.toString('hex')];
});

test.each(SMALL_ORDER)('the point %s, under which anyone can sign, is refused', (hex) => {
  proves('RFC 8725 §3.4');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(hex, 'hex').toString('base64url') };
  // One neutral element and no scalar: right for one text in eight, or for every text.
  const forged = Buffer.concat([Buffer.of(1), Buffer.alloc(63)]);
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  const texts = Array.from({ length: 200 }, (_, i) => Buffer.from(`text ${i}`));
  const isForged = texts.some((text) => verify(null, text, key, forged));
  // Node 26 itself refuses such a signature.
  if (Number(process.versions.node.split('.')[0]) < 26) expect(isForged).toBe(true);
  else expect(isForged).toBe(false);
  expect(() => importPublicJwk(checkPublicJwk(jwk).jwk)).toThrow(/small order/);
});
