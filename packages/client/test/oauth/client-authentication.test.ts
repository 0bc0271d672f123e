import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { jwtVerify } from 'jose';
import {
  authenticateClient,
  type ClientCredentials,
} from '../../src/oauth/client-authentication.ts';
import { readClientSigningKey } from '../../src/oauth/client-signing-key.ts';

const server = { issuer: 'https://issuer.example/', now: 1_700_000_000 };
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function withKey(key: KeyObject, members: object = {}): ClientCredentials {
  const jwk = { ...key.export({ format: 'jwk' }), ...members };
  return {
    clientID: 'client-1',
    clientAuthMethod: 'private_key_jwt',
    signingKey: readClientSigningKey(jwk),
  };
}

describe('private_key_jwt (RFC 7523 §2.2, OpenID Connect Core §9)', () => {
  test('G12: sends an assertion, no secret and no header', async () => {
    const { headers, form } = await authenticateClient(withKey(rsa, { kid: 'key-1' }), server);
    expect(headers).toEqual({});
    const { client_assertion = '', ...rest } = form;
    expect(rest).toEqual({
      client_id: 'client-1',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    });
    const { protectedHeader, payload } = await jwtVerify(client_assertion, createPublicKey(rsa), {
      currentDate: new Date(server.now * 1000),
    });
    expect(protectedHeader).toEqual({ alg: 'RS256', kid: 'key-1' });
    const { jti, ...claims } = payload;
    expect(claims).toEqual({
      iss: 'client-1',
      sub: 'client-1',
      aud: 'https://issuer.example/',
      iat: server.now,
      exp: server.now + 60,
    });
    expect(jti).toMatch(/^[\w-]{43}$/);
  });

  test('no two assertions have the same jti', async () => {
    const client = withKey(rsa);
    const made = await Promise.all(
      Array.from({ length: 10 }, () => authenticateClient(client, server)),
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
    const { form } = await authenticateClient(withKey(key, members), server);
    const { protectedHeader } = await jwtVerify(form.client_assertion ?? '', createPublicKey(key), {
      currentDate: new Date(server.now * 1000),
    });
    expect(protectedHeader).toEqual({ alg });
  });
});

test('none sends the client_id alone (RFC 6749 §3.2.1)', async () => {
  const client = { clientID: 'client-1', clientAuthMethod: 'none' } as const;
  expect(await authenticateClient(client, server)).toEqual({
    headers: {},
    form: { client_id: 'client-1' },
  });
});
