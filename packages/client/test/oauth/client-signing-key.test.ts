import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { readClientSigningKey } from '../../src/oauth/client-signing-key.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
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
