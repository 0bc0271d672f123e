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

/** The metadata of a tenant, as Auth0 publishes it. */
const auth0Metadata = (issuer: string): Record<string, unknown> => ({
  issuer,
  authorization_endpoint: `${issuer}authorize`,
  token_endpoint: `${issuer}oauth/token`,
  device_authorization_endpoint: `${issuer}oauth/device/code`,
  userinfo_endpoint: `${issuer}userinfo`,
  mfa_challenge_endpoint: `${issuer}mfa/challenge`,
  jwks_uri: `${issuer}.well-known/jwks.json`,
  registration_endpoint: `${issuer}oidc/register`,
  revocation_endpoint: `${issuer}oauth/revoke`,
  scopes_supported:
    `openid profile offline_access name given_name family_name nickname email email_verified
    picture created_at identities phone address`.split(/\s+/),
  response_types_supported: [
    ...['code', 'token', 'id_token', 'code token', 'code id_token', 'token id_token'],
    'code token id_token',
  ],
  code_challenge_methods_supported: ['S256', 'plain'],
  response_modes_supported: ['query', 'fragment', 'form_post'],
  subject_types_supported: ['public'],
  token_endpoint_auth_methods_supported:
    `client_secret_basic client_secret_post private_key_jwt tls_client_auth
    self_signed_tls_client_auth`.split(/\s+/),
  token_endpoint_auth_signing_alg_values_supported: ['RS256', 'RS384', 'PS256'],
  claims_supported:
    `aud auth_time created_at email email_verified exp family_name given_name iat identities iss
    name nickname phone_number picture sub`.split(/\s+/),
  request_uri_parameter_supported: false,
  request_parameter_supported: true,
  id_token_signing_alg_values_supported: ['HS256', 'RS256', 'PS256'],
  tls_client_certificate_bound_access_tokens: true,
  request_object_signing_alg_values_supported: ['RS256', 'RS384', 'PS256'],
  backchannel_logout_supported: true,
  backchannel_logout_session_supported: true,
  end_session_endpoint: `${issuer}oidc/logout`,
  backchannel_authentication_endpoint: `${issuer}bc-authorize`,
  backchannel_token_delivery_modes_supported: ['poll'],
  global_token_revocation_endpoint: `${issuer}oauth/global-token-revocation/connection/{connectionName}`,
  global_token_revocation_endpoint_auth_methods_supported: ['global-token-revocation+jwt'],
});

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

  test("has Auth0's members, except what is not served", async () => {
    const auth0 = auth0Metadata(server.issuer);
    const ours = await discover(server);
    const absent = Object.keys(auth0).filter((name) => !(name in ours));
    expect(absent).toEqual([
      'mfa_challenge_endpoint',
      'registration_endpoint',
      'tls_client_certificate_bound_access_tokens',
      'request_object_signing_alg_values_supported',
      'backchannel_authentication_endpoint',
      'backchannel_token_delivery_modes_supported',
      'global_token_revocation_endpoint',
      'global_token_revocation_endpoint_auth_methods_supported',
    ]);
    const differences = Object.entries(auth0)
      .filter(([name]) => name in ours)
      .flatMap(([name, theirs]) => {
        const own = ours[name];
        if (!Array.isArray(theirs) || !Array.isArray(own)) {
          return theirs === own ? [] : [`${name}: ${own}`];
        }
        const missing = theirs.filter((one) => !own.includes(one)).map((one) => `-${one}`);
        return missing.length === 0 ? [] : [`${name}: ${missing.join(' ')}`];
      });
    expect(differences).toEqual([
      'scopes_supported: -name -given_name -family_name -nickname -email_verified -picture -created_at -identities -phone -address',
      'response_types_supported: -token -code token -code id_token -token id_token -code token id_token',
      'code_challenge_methods_supported: -plain',
      'token_endpoint_auth_methods_supported: -tls_client_auth -self_signed_tls_client_auth',
      'token_endpoint_auth_signing_alg_values_supported: -RS384',
      'claims_supported: -created_at -identities -phone_number',
      'request_parameter_supported: false',
      'id_token_signing_alg_values_supported: -PS256',
    ]);
  });

  test('names no logout endpoint if the tenant does not announce it', async () => {
    const quiet = await startDemo((tenant) => {
      tenant.tenant.oidc_logout = { rp_logout_end_session_endpoint_discovery: false };
    });
    expect(await discover(quiet)).not.toHaveProperty('end_session_endpoint');
    expect((await got(`${quiet.issuer}oidc/logout`)).statusCode).toBe(200);
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
