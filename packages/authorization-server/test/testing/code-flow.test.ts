import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { credentialsOf, requestTokens, type TokenRequest } from '../../src/testing/code-flow.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { ALL_SCOPES, API } from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo((tenant) => {
    const [web] = tenant.clients;
    tenant.clients.push(
      { ...web!, client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic' },
      { ...web!, client_id: 'public', token_endpoint_auth_method: 'none' },
    );
    tenant.organizations.push({ id: 'org_acme', name: 'acme', members: ['auth0|bob'] } as never);
    tenant.users[2]!.password = undefined;
  });
});
afterAll(stopServers);

const request = (change?: TokenRequest) => requestTokens(server.issuer, server.tenant, change);

test('an empty request is for the first user, client and API, and all scopes', async () => {
  const tokens = await request();
  expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 86_400, scope: ALL_SCOPES });
  expect(decodeJwt(tokens.access_token)).toMatchObject({
    sub: 'auth0|alice',
    azp: 'contacts-web',
    aud: [API, `${server.issuer}userinfo`],
  });
  expect(tokens.id_token).toBeTruthy();
  expect(tokens.refresh_token).toBeTruthy();
});

test.each([['bob'], ['bob@example.com'], ['auth0|bob']])(
  'the user %s gets tokens',
  async (user) => {
    const { access_token, scope } = await request({ user, scope: 'read:contacts' });
    expect(decodeJwt(access_token).sub).toBe('auth0|bob');
    expect(scope).toBe('read:contacts');
  },
);

test.each([['basic'], ['public'], ['contacts-cli']])(
  'the client %s gets tokens',
  async (client) => {
    const { access_token } = await request({ client });
    expect(decodeJwt(access_token).azp).toBe(client);
  },
);

test('a request may have an organization, no audience, and other parameters', async () => {
  const { access_token } = await request({ user: 'bob', organization: 'org_acme' });
  expect(decodeJwt(access_token).org_id).toBe('org_acme');
  const opaque = await request({ audience: '', parameters: { nonce: 'n-1' } });
  expect(opaque.access_token.split('.')).toHaveLength(1);
  expect(decodeJwt(opaque.id_token ?? '').nonce).toBe('n-1');
});

describe('an impossible request is refused', () => {
  test.each([
    ['a user who is not there', { user: 'dave' }, 'the tenant has no user "dave"; it has alice'],
    ['a user without a password', { user: 'carol' }, 'no readable password of carol@example.com'],
    ['a client who is not there', { client: 'x' }, 'client is "x": give one with a login'],
    [
      'what the server refuses, in its words',
      { user: 'alice', organization: 'org_acme' },
      'refused: access_denied: user auth0|alice is not part of the org_acme organization',
    ],
    [
      'an audience that is not there',
      { audience: 'x' },
      'refused: access_denied: Service not found',
    ],
  ])('%s', async (_name, change, message) => {
    await expect(request(change)).rejects.toThrow(message);
  });

  test('a tenant without a readable password', () => {
    expect(() => credentialsOf({ users: [] })).toThrow('no user with a readable password');
  });
});
