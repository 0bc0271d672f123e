import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import {
  calculateJwkThumbprint,
  createRemoteJWKSet,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose';
import * as oauth from 'oauth4webapi';
import { proves } from '../../../../test/support/proves.ts';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  type Tenant,
} from '../../src/index.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { API, tokensFor as signInFor } from '../support/sign-in.ts';

afterAll(stopServers);

const JWT = 'application/token-introspection+jwt';
const CONTACTS_API = ['contacts-api', 'contacts-api-demo-secret'] as const;
const MACHINE = ['contacts-cli', 'contacts-cli-demo-secret'] as const;

const opaque = (tenant: Tenant): void => {
  tenant.resourceServers[0]!.token_dialect = 'opaque_authz';
};

async function post(server: AuthorizationServer, path: string, form: object, headers = {}) {
  const answer = await got.post(new URL(path, server.issuer), {
    form,
    headers,
    throwHttpErrors: false,
    retry: { limit: 0 },
  });
  return { status: answer.statusCode, headers: answer.headers, text: answer.body };
}

const basic = ([id, secret]: readonly [string, string]) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
});

async function introspect(server: AuthorizationServer, token: string, by = basic(CONTACTS_API)) {
  const { status, text } = await post(server, 'oauth/introspect', { token }, by);
  return { status, body: JSON.parse(text) as Record<string, unknown> };
}

async function machineToken(server: AuthorizationServer, headers = {}): Promise<string> {
  const [client_id, client_secret] = MACHINE;
  const form = { grant_type: 'client_credentials', client_id, client_secret, audience: API };
  const { text } = await post(server, 'oauth/token', form, headers);
  return (JSON.parse(text) as { access_token: string }).access_token;
}

async function userToken(server: AuthorizationServer, change = {}): Promise<string> {
  return (await signInFor(server, 'alice', change)).tokens.access_token ?? '';
}

describe('an opaque token', () => {
  test('has no content, and its answer has the claims that a JWT has', async () => {
    const [server, jwts] = await Promise.all([startDemo(opaque), startDemo()]);
    const [token, jwt] = await Promise.all([userToken(server), userToken(jwts)]);
    expect(token).toMatch(/^[\w-]{43}$/);
    const { body } = await introspect(server, token);
    const [, payload = ''] = jwt.split('.');
    const { aud, azp, iat, exp, iss, ...claims } = JSON.parse(
      Buffer.from(payload, 'base64url').toString(),
    );
    expect(aud).toEqual([API, `${jwts.issuer}userinfo`]);
    expect(body).toEqual({
      ...claims,
      active: true,
      aud: API,
      client_id: azp,
      exp: expect.any(Number),
      iat: expect.any(Number),
      iss: server.issuer,
      jti: expect.stringMatching(/^[\w-]{43}$/),
      sid: expect.any(String),
      'https://contacts.example.com/sid': body.sid,
      token_type: 'Bearer',
    });
    expect(Number(body.exp) - Number(body.iat)).toBe(exp - iat);
    // A name of this token, each time the same, that is not the token.
    expect(body.jti).not.toBe(token);
    expect((await introspect(server, token)).body.jti).toBe(body.jti);
    expect((await introspect(server, await userToken(server))).body.jti).not.toBe(body.jti);
    expect(body).toMatchObject({
      sub: 'auth0|alice',
      'https://contacts.example.com/roles': ['admin'],
      permissions: expect.arrayContaining(['read:activity']),
    });
  });

  test('of a machine has the claims of its Actions', async () => {
    const server = await startDemo((tenant) => {
      opaque(tenant);
      const code = `exports.onExecuteCredentialsExchange = async (event, api) => {
        api.accessToken.setCustomClaim('https://contacts.example.com/region', 'eu');
      };`;
      const action = { ...actionOf(''), code };
      (tenant as { credentialsExchange: unknown }).credentialsExchange = [action];
    });
    const { body } = await introspect(server, await machineToken(server));
    expect(body).toMatchObject({
      active: true,
      sub: 'contacts-cli@clients',
      aud: API,
      scope: 'read:contacts',
      permissions: ['read:contacts'],
      'https://contacts.example.com/region': 'eu',
    });
  });

  test('of a client that sends proofs is bound to its key', async () => {
    const server = await startDemo(opaque);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const htu = `${server.issuer}oauth/token`;
    const dpop = await new SignJWT({ htm: 'POST', htu, jti: randomUUID() })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .setIssuedAt()
      .sign(privateKey);
    const { body } = await introspect(server, await machineToken(server, { dpop }));
    expect(body).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt: await calculateJwkThumbprint(jwk) },
    });
  });

  test('is for the userinfo endpoint too, with the scope openid', async () => {
    const server = await startDemo(opaque);
    const ask = async (token: string) =>
      got(`${server.issuer}userinfo`, {
        headers: { authorization: `Bearer ${token}` },
        throwHttpErrors: false,
      });
    expect(JSON.parse((await ask(await userToken(server))).body)).toMatchObject({
      sub: 'auth0|alice',
    });
    const without = await userToken(server, { scope: 'read:contacts', nonce: undefined });
    expect((await ask(without)).statusCode).toBe(403);
  });

  test('has the times of the server’s clock', async () => {
    const server = await startDemo(opaque);
    server.clock = -7200;
    const { body } = await introspect(server, await machineToken(server));
    const now = Date.now() / 1000;
    expect(Math.abs(Number(body.iat) + 7200 - now)).toBeLessThan(10);
    expect(Number(body.exp) - Number(body.iat)).toBe(86_400);
  });
});

describe('a token is not active', () => {
  test('after it was revoked, or its refresh token', async () => {
    const server = await startDemo(opaque);
    const { tokens } = await signInFor(server);
    const other = await signInFor(server, 'bob');
    const web = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };
    const active = async (token = '') => (await introspect(server, token)).body.active;
    expect(await active(tokens.access_token)).toBe(true);
    await post(server, 'oauth/revoke', { token: tokens.access_token, ...web });
    expect((await introspect(server, tokens.access_token ?? '')).body).toEqual({ active: false });
    expect(await active(other.tokens.access_token)).toBe(true);
    await post(server, 'oauth/revoke', { token: other.tokens.refresh_token, ...web });
    expect(await active(other.tokens.access_token)).toBe(false);
  });

  test.each<[string, (tenant: Tenant) => void]>([
    ['whose user is blocked', ({ users }) => Object.assign(users[0]!, { blocked: true })],
    ['whose user is gone', ({ users }) => users.shift()],
    ['whose application is gone', ({ clients }) => clients.shift()],
  ])('%s', async (_name, change) => {
    const server = await startDemo(opaque);
    const token = await userToken(server);
    const changed = loadTenant(demoTenantFile);
    opaque(changed);
    change(changed);
    server.useTenant(changed);
    expect(await introspect(server, token)).toEqual({ status: 200, body: { active: false } });
  });

  test('when it is unknown, a refresh token, or for no API', async () => {
    const server = await startDemo(opaque);
    const { tokens } = await signInFor(server);
    const none = await userToken(server, { audience: undefined, scope: 'openid' });
    for (const token of ['x', tokens.refresh_token ?? '', none]) {
      expect((await introspect(server, token)).body).toEqual({ active: false });
    }
  });

  test.each<[string, (tenant: Tenant) => void]>([
    [
      'another API',
      ({ clients }) => Object.assign(clients[3]!, { resource_server_identifier: 'x' }),
    ],
    [
      'an application of another type',
      ({ clients }) => Object.assign(clients[3]!, { app_type: 'regular_web' }),
    ],
  ])('for %s', async (_name, change) => {
    const server = await startDemo((tenant) => {
      opaque(tenant);
      change(tenant);
    });
    const token = await machineToken(server);
    expect(await introspect(server, token)).toEqual({ status: 200, body: { active: false } });
  });

  test('for a client without a secret', async () => {
    proves('RFC 7662 §4 scanning');
    const server = await startDemo((tenant) => {
      opaque(tenant);
      Object.assign(tenant.clients[3]!, { token_endpoint_auth_method: 'none' });
    });
    const form = { client_id: 'contacts-api', token: await machineToken(server) };
    const { text } = await post(server, 'oauth/introspect', form);
    expect(JSON.parse(text)).toEqual({ active: false });
  });
});

test.each([
  ['a wrong secret', basic(['contacts-api', 'wrong']), 401],
  ['no client', {}, 400],
])('%s gets no answer', async (_name, headers, expected) => {
  const server = await startDemo(opaque);
  const token = await machineToken(server);
  const { status, text } = await post(server, 'oauth/introspect', { token }, headers);
  expect(status).toBe(expected);
  expect(text).not.toContain('active');
  expect(JSON.stringify(server.log())).not.toContain(token);
});

test('a JWT is refused: the API verifies it by itself', async () => {
  const server = await startDemo();
  const { status, body } = await introspect(server, await machineToken(server));
  expect([status, body.error]).toEqual([400, 'unsupported_token_type']);
});

test('an answer is signed where the client accepts that (RFC 9701)', async () => {
  const server = await startDemo(opaque);
  const token = await userToken(server);
  const headers = { ...basic(CONTACTS_API), accept: JWT };
  const { headers: answered, text } = await post(server, 'oauth/introspect', { token }, headers);
  expect(answered['content-type']).toContain(JWT);
  const keys = createRemoteJWKSet(new URL('.well-known/jwks.json', server.issuer));
  const { payload } = await jwtVerify(text, keys, {
    issuer: server.issuer,
    audience: 'contacts-api',
    typ: 'token-introspection+jwt',
  });
  const { body } = await introspect(server, token);
  expect(payload).toEqual({
    iss: server.issuer,
    aud: 'contacts-api',
    iat: expect.any(Number),
    token_introspection: body,
  });
});

test('oauth4webapi finds the endpoint and accepts its answers', async () => {
  const server = await startDemo(opaque);
  const insecure = { [oauth.allowInsecureRequests]: true };
  const issuer = new URL(server.issuer);
  const as = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, insecure),
  );
  expect(as.introspection_endpoint).toBe(`${server.issuer}oauth/introspect`);
  const client = { client_id: 'contacts-api' };
  const secret = oauth.ClientSecretBasic('contacts-api-demo-secret');
  const token = await machineToken(server);
  for (const requestJwtResponse of [false, true]) {
    const options = { ...insecure, requestJwtResponse };
    const answer = await oauth.introspectionRequest(as, client, secret, token, options);
    const { active, sub } = await oauth.processIntrospectionResponse(as, client, answer);
    expect([active, sub]).toEqual([true, 'contacts-cli@clients']);
  }
});
