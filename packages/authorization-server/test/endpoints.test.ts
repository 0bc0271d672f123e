import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import { API } from './support/sign-in.ts';

const ORIGIN = 'http://localhost:5173';

const discover = (from: AuthorizationServer, path = 'openid-configuration', host?: string) =>
  got(`${from.url}/.well-known/${path}`, {
    headers:
      host === undefined ? {} : { host, 'x-forwarded-host': host, 'x-forwarded-proto': 'https' },
  }).json<Record<string, unknown>>();

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo((tenant) => {
    tenant.clients[1]!.web_origins = [ORIGIN, 'custom:/x'];
    tenant.rate_limits = { token: { limit: 1, window: 3600 } };
  });
  expect((await post('oauth/token', ORIGIN)).statusCode).toBe(200);
});
afterAll(stopServers);

const form = {
  grant_type: 'client_credentials',
  client_id: 'contacts-cli',
  client_secret: 'contacts-cli-demo-secret',
  audience: API,
};
const post = (path: string, origin?: string) =>
  got.post(new URL(path, server.issuer), {
    form,
    headers: { ...(origin && { origin }) },
    throwHttpErrors: false,
    retry: { limit: 0 },
  });
const allowed = 'access-control-allow-origin';

describe('a 429 of the token endpoint', () => {
  test('is readable for a web origin, with its headers', async () => {
    const { statusCode, headers } = await post('oauth/token', ORIGIN);
    expect(statusCode).toBe(429);
    expect(headers[allowed]).toBe(ORIGIN);
    expect(headers.vary).toMatch(/origin/i);
    const exposed = headers['access-control-expose-headers'] ?? '';
    for (const name of ['Retry-After', 'X-RateLimit-Reset']) expect(exposed).toContain(name);
  });

  test.each([
    'http://evil.example',
    `${ORIGIN}.evil.example`,
    `${ORIGIN}/`,
    'null',
    '*',
    undefined,
  ])('origin %p may not', async (origin) => {
    proves('RFC 9700 §2.6 CORS');
    const { statusCode, headers } = await post('OAuth/Token/', origin);
    expect(statusCode).toBe(429);
    expect(headers).not.toHaveProperty(allowed);
  });
});

test.each([{ status: 503 }, { rateLimited: true }] as const)(
  'an injected %j is readable too',
  async (fault) => {
    server.faults.add({ endpoint: '/oauth/token', ...fault });
    const { statusCode, headers } = await post('oauth/token', ORIGIN);
    expect(statusCode).toBe('status' in fault ? 503 : 429);
    expect(headers[allowed]).toBe(ORIGIN);
  },
);

test('a page of this server has no CORS headers', async () => {
  proves('RFC 9700 §2.6 CORS');
  const { headers } = await post('u/login/x', ORIGIN);
  expect(headers).not.toHaveProperty(allowed);
});

test("the engine's refusal of another application's origin is not changed", async () => {
  const free = await startDemo((tenant) => {
    tenant.clients[0]!.web_origins = [ORIGIN];
    tenant.clients[1]!.web_origins = ['http://localhost:9999/'];
  });
  const ask = (origin: string) =>
    got.post(new URL('oauth/token', free.issuer), {
      form,
      headers: { origin },
      throwHttpErrors: false,
    });
  const { statusCode, headers } = await ask(ORIGIN);
  expect(statusCode).toBe(400);
  expect(headers).not.toHaveProperty(allowed);
  expect((await ask('http://localhost:9999')).headers[allowed]).toBe('http://localhost:9999');
});

describe('the metadata', () => {
  test('has the issuer with its slash, and the paths of Auth0', async () => {
    const { issuer } = server;
    expect(await discover(server)).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}authorize`,
      token_endpoint: `${issuer}oauth/token`,
      userinfo_endpoint: `${issuer}userinfo`,
      revocation_endpoint: `${issuer}oauth/revoke`,
      pushed_authorization_request_endpoint: `${issuer}oauth/par`,
      device_authorization_endpoint: `${issuer}oauth/device/code`,
      jwks_uri: `${issuer}.well-known/jwks.json`,
      end_session_endpoint: `${issuer}oidc/logout`,
      code_challenge_methods_supported: ['S256'],
      response_types_supported: ['code', 'id_token'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    });
  });

  test('is the same at the path of RFC 8414 section 3', async () => {
    expect(await discover(server, 'oauth-authorization-server')).toEqual(await discover(server));
  });

  test('does not follow the Host or X-Forwarded headers', async () => {
    proves('RFC 9700 §4.13');
    const plain = await discover(server);
    expect(await discover(server, 'openid-configuration', 'evil.example')).toEqual(plain);
  });
});
