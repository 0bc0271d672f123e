import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { jwtVerify } from 'jose';
import { proves } from '../../../test/support/proves.ts';
import { rsaKeyPair } from '../../../test/support/test-keys.ts';
import {
  authenticateClient,
  type ClientCredentials,
  readClientSigningKey,
} from '../src/client-authentication.ts';

const ISSUER = 'https://issuer.example/';
const NOW = 1_700_000_000;
const rsa = rsaKeyPair().privateKey;

function withKey(key: KeyObject, members: object = {}): ClientCredentials {
  const jwk = { ...key.export({ format: 'jwk' }), ...members };
  return {
    clientID: 'client-1',
    clientAuthMethod: 'private_key_jwt',
    signingKey: readClientSigningKey(jwk),
  };
}

describe('private_key_jwt (RFC 7523 §2.2, OpenID Connect Core §9)', () => {
  test('sends an assertion, no secret and no header', async () => {
    proves('RFC 9700 §2.5', 'FAPI 2.0 §5.3.3.1-5');
    const { headers, form } = await authenticateClient(withKey(rsa, { kid: 'key-1' }), ISSUER, NOW);
    expect(headers).toEqual({});
    const { client_assertion = '', ...rest } = form;
    expect(rest).toEqual({
      client_id: 'client-1',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    });
    const { protectedHeader, payload } = await jwtVerify(client_assertion, createPublicKey(rsa), {
      currentDate: new Date(NOW * 1000),
    });
    expect(protectedHeader).toEqual({ alg: 'RS256', kid: 'key-1' });
    const { jti, ...claims } = payload;
    expect(claims).toEqual({
      iss: 'client-1',
      sub: 'client-1',
      aud: 'https://issuer.example/',
      iat: NOW,
      exp: NOW + 60,
    });
    expect(jti).toMatch(/^[\w-]{43}$/);
  });

  test('no two assertions have the same jti', async () => {
    const client = withKey(rsa);
    const made = await Promise.all(
      Array.from({ length: 10 }, () => authenticateClient(client, ISSUER, NOW)),
    );
    expect(new Set(made.map(({ form }) => form.client_assertion)).size).toBe(10);
  });

  test.each<[string, KeyObject, object]>([
    ['PS256', rsa, { alg: 'PS256' }],
    ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, {}],
    ['ES512', generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey, {}],
    ['EdDSA', generateKeyPairSync('ed25519').privateKey, {}],
    ['Ed25519', generateKeyPairSync('ed25519').privateKey, { alg: 'Ed25519' }],
  ])('signs with %s', async (alg, key, members) => {
    const { form } = await authenticateClient(withKey(key, members), ISSUER, NOW);
    const { protectedHeader } = await jwtVerify(form.client_assertion ?? '', createPublicKey(key), {
      currentDate: new Date(NOW * 1000),
    });
    expect(protectedHeader).toEqual({ alg });
  });
});

test('none sends the client_id alone (RFC 6749 §3.2.1)', async () => {
  const client = { clientID: 'client-1', clientAuthMethod: 'none' } as const;
  expect(await authenticateClient(client, ISSUER, NOW)).toEqual({
    headers: {},
    form: { client_id: 'client-1' },
  });
});

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' });
const jwk = (key: KeyObject, members: object = {}) => ({
  ...key.export({ format: 'jwk' }),
  ...members,
});

describe('a private key of the client', () => {
  test.each<[string, unknown, string | undefined, string, string | undefined]>([
    ['PEM', pem(rsa), undefined, 'RS256', undefined],
    ['PEM in a Buffer', Buffer.from(pem(rsa)), 'PS512', 'PS512', undefined],
    ['KeyObject', p256, undefined, 'ES256', undefined],
    ['another curve', p384, undefined, 'ES384', undefined],
    ['Ed25519', ed25519, undefined, 'EdDSA', undefined],
    ['Ed25519 by its new name', ed25519, 'Ed25519', 'Ed25519', undefined],
    ['JWK', jwk(rsa, { kid: 'key-1' }), undefined, 'RS256', 'key-1'],
    ['JWK with an algorithm', jwk(rsa, { alg: 'PS256' }), undefined, 'PS256', undefined],
    ['JWK, and another algorithm', jwk(rsa, { alg: 'PS256' }), 'RS384', 'RS384', undefined],
  ])('%s', (_name, input, alg, expected, kid) => {
    const read = readClientSigningKey(input, alg);
    expect(read).toMatchObject({ alg: expected, kid });
    expect(read.key.type).toBe('private');
  });

  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
  const x25519 = generateKeyPairSync('x25519').privateKey;
  test.each<[string, unknown, string | undefined, string]>([
    ['nothing', undefined, undefined, 'must be a private key'],
    ['null', null, undefined, 'must be a private key'],
    ['text that is no key', 'sesame-open', undefined, 'must be a private key'],
    ['a public key', createPublicKey(rsa), undefined, 'must be a private key'],
    ['a public JWK', jwk(createPublicKey(rsa)), undefined, 'must be a private key'],
    ['a secret', jwk(rsa, { kty: 'oct', k: 'c2VzYW1l' }), undefined, 'must be a private key'],
    ['a short RSA key', rsa1024, undefined, 'RSA of 2048 bits or more'],
    ['a curve that JWS has not', k256, undefined, 'EC on P-256'],
    ['a key that cannot sign', x25519, undefined, 'Ed25519'],
    ['an algorithm of another kind of key', rsa, 'ES256', 'must be RS256, RS384'],
    ['an algorithm of another curve', p256, 'ES384', 'must be ES256 for this key'],
    ['an algorithm with a secret', rsa, 'HS256', 'clientAssertionSigningAlg must be'],
    ['a JWK whose algorithm does not fit', jwk(p256, { alg: 'RS256' }), undefined, 'must be ES256'],
  ])('%s is refused, and not quoted', (_name, input, alg, message) => {
    const read = () => readClientSigningKey(input, alg);
    expect(read).toThrow(TypeError);
    expect(read).toThrow(message);
    expect(read).not.toThrow('sesame');
  });
});
