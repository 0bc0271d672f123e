import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { resourceOf } from '../../src/tenant/tenant.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

test.each([
  [API, API],
  ['legacy-api', 'urn:api:legacy-api'],
  ['https://a.example/#x', 'urn:api:https%3A%2F%2Fa.example%2F%23x'],
])('the API %s is the resource %s', (identifier, resource) => {
  expect(resourceOf(identifier)).toBe(resource);
});

test.each(['https://other.example/api', 'legacy', 'urn:api:%zz'])(
  'the unknown audience %s is refused with "Service not found"',
  async (audience) => {
    proves('ASVS 9.2.4');
    const page = await openBrowser().get(authorizationRequest(server, { audience }).url);
    expect(Object.fromEntries(callbackOf(page))).toEqual({
      error: 'access_denied',
      error_description: `Service not found: ${audience}`,
      state: 'state-1',
    });
  },
);

describe('dialects of the access token', () => {
  test('an API identified by a name gets tokens in the form of RFC 9068 section 2', async () => {
    proves('RFC 9068 §5 scope');
    const legacy = await startDemo((tenant) => {
      Object.assign(tenant.resourceServers[0]!, {
        identifier: 'legacy-api',
        token_dialect: 'rfc9068_profile_authz',
        token_lifetime: 60,
        enforce_policies: false,
      });
    });
    const { tokens } = await tokensFor(legacy, 'bob', { audience: 'legacy-api' });
    expect(decodeProtectedHeader(tokens.access_token ?? '').typ).toBe('at+jwt');
    const claims = decodeJwt(tokens.access_token ?? '');
    expect(claims).toMatchObject({
      aud: ['legacy-api', `${legacy.issuer}userinfo`],
      client_id: 'contacts-web',
      jti: expect.any(String),
    });
    expect(claims).not.toHaveProperty('azp');
    expect(claims.scope).toContain('create:contacts');
    expect(claims.exp! - claims.iat!).toBe(60);
  });

  test('a dialect without authz has no permissions', async () => {
    const plain = await startDemo((tenant) => {
      tenant.resourceServers[0]!.token_dialect = 'access_token';
    });
    const { tokens } = await tokensFor(plain, 'bob');
    expect(decodeJwt(tokens.access_token ?? '')).not.toHaveProperty('permissions');
  });
});

test('a pushed authorization request (RFC 9126) keeps audience and offline_access', async () => {
  const request = authorizationRequest(server);
  const params = Object.fromEntries(new URL(request.url).searchParams);
  const { request_uri } = await got
    .post(`${server.issuer}oauth/par`, {
      form: { ...params, client_secret: 'contacts-web-demo-secret' },
    })
    .json<{ request_uri: string }>();
  const url = new URL('authorize', server.issuer);
  url.search = new URLSearchParams({ client_id: 'contacts-web', request_uri }).toString();
  const callback = await signIn(openBrowser(), { ...request, url: url.href });
  const { status, body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callback.get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: request.verifier,
  });
  expect(status).toBe(200);
  expect(body.refresh_token).toBeTruthy();
  expect(decodeJwt(body.access_token ?? '').aud).toContain(API);
});
