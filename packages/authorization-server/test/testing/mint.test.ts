import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { type LocalIssuer, startLocalIssuer } from '../../src/testing.ts';
import { API } from '../support/sign-in.ts';

let issuer: LocalIssuer;
beforeAll(async () => {
  issuer = await startLocalIssuer();
  issuer.tenant.resourceServers.push({
    ...issuer.tenant.resourceServers[0]!,
    identifier: 'https://reports.example.com',
    token_dialect: 'rfc9068_profile',
    token_lifetime: 60,
  });
});
afterAll(() => issuer.close());

const verify = (token: string) =>
  jwtVerify(token, createRemoteJWKSet(new URL('.well-known/jwks.json', issuer.issuer)));
const now = () => Math.floor(Date.now() / 1000);

test('mint signs a token in the dialect of Auth0, which the published key verifies', async () => {
  const { payload, protectedHeader } = await verify(issuer.mint({ permissions: ['x'] }));
  expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'JWT', kid: expect.any(String) });
  expect(payload).toEqual({
    iss: issuer.issuer,
    sub: 'auth0|alice',
    aud: API,
    azp: 'contacts-web',
    iat: expect.any(Number),
    exp: Number(payload.iat) + 86_400,
    permissions: ['x'],
  });
  expect(Math.abs(Number(payload.iat) - now())).toBeLessThan(10);
});

test('mint signs a token in the form of RFC 9068 section 2, by the clock of the server', async () => {
  issuer.clock = 600;
  const { payload, protectedHeader } = await verify(
    issuer.mint({ aud: 'https://reports.example.com' }),
  );
  issuer.clock = 0;
  expect(protectedHeader.typ).toBe('at+jwt');
  expect(payload).toMatchObject({ client_id: 'contacts-web', jti: expect.any(String) });
  expect(payload).not.toHaveProperty('azp');
  expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
  expect(Math.abs(Number(payload.iat) - 600 - now())).toBeLessThan(10);
});

test('any claim and header can be changed or removed', () => {
  const token = issuer.mint(
    { exp: undefined, aud: ['a', 'b'], sub: 5 },
    { typ: 'x', kid: undefined },
  );
  expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', typ: 'x' });
  expect(decodeJwt(token)).toMatchObject({ aud: ['a', 'b'], sub: 5 });
  expect(decodeJwt(token)).not.toHaveProperty('exp');
});

test('the current key signs, after a rotation too', async () => {
  const before = issuer.mint();
  await issuer.rotateKeys();
  const after = issuer.mint();
  expect(decodeProtectedHeader(after).kid).not.toBe(decodeProtectedHeader(before).kid);
  await verify(after);
  await issuer.revokePreviousKey();
  await expect(verify(before)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
});

describe('hostile tokens', () => {
  test('are a hundred, by name, most with a genuine signature', async () => {
    const tokens = issuer.hostileTokens({ scope: 'read:contacts' });
    expect(Object.keys(tokens).length).toBeGreaterThan(100);
    const { payload } = await verify(tokens['sub missing']);
    expect(payload).toMatchObject({ iss: issuer.issuer, aud: API, scope: 'read:contacts' });
    expect(payload).not.toHaveProperty('sub');
    await expect(verify(tokens['another key under the right kid'])).rejects.toMatchObject({
      code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    });
  });

  test('can be signed one by one', () => {
    const token = issuer.mint.hostile('exp past', { aud: 'https://reports.example.com' });
    expect(decodeJwt(token).aud).toBe('https://reports.example.com');
    expect(Number(decodeJwt(token).exp)).toBeLessThan(now());
  });
});
