import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { generateKeyPair, SignJWT } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, requestTokens, tokensFor } from '../support/sign-in.ts';

let server: AuthorizationServer;
let tokens: Record<string, string>;
beforeAll(async () => {
  server = await startDemo();
  ({ tokens } = await tokensFor(server));
});
afterAll(stopServers);

const ask = async (token = '') => {
  const answer = await got(`${server.issuer}userinfo`, {
    headers: { authorization: `Bearer ${token}` },
    responseType: 'json',
    throwHttpErrors: false,
  });
  return { status: answer.statusCode, body: answer.body as Record<string, unknown> };
};

test('userinfo accepts the JWT of an API, and has the claims of the Actions', async () => {
  expect(await ask(tokens.access_token)).toEqual({
    status: 200,
    body: {
      sub: 'auth0|alice',
      name: 'Alice Adams',
      given_name: 'Alice',
      family_name: 'Adams',
      nickname: 'alice',
      email: 'alice@example.com',
      email_verified: true,
      'https://contacts.example.com/roles': ['admin'],
      'https://contacts.example.com/org_id': 'acme',
    },
  });
});

describe('userinfo refuses', () => {
  test('an ID token', async () => {
    expect((await ask(tokens.id_token)).status).toBe(401);
  });

  test('a token without openid', async () => {
    const plain = await tokensFor(server, 'alice', { scope: 'read:contacts', nonce: undefined });
    expect((await ask(plain.tokens.access_token)).status).toBe(401);
  });

  test('a machine’s token', async () => {
    const machine = await requestTokens(
      server,
      { grant_type: 'client_credentials', audience: API },
      'contacts-cli',
    );
    expect((await ask(machine.body.access_token)).status).toBe(401);
  });

  test('a token signed by someone else', async () => {
    const { privateKey } = await generateKeyPair('RS256');
    const forged = await new SignJWT({ azp: 'contacts-web', scope: 'openid' })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(server.issuer)
      .setSubject('auth0|alice')
      .setAudience(`${server.issuer}userinfo`)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    expect((await ask(forged)).status).toBe(401);
  });
});
