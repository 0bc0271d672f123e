import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
} from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

const discover = (from: AuthorizationServer, path = 'openid-configuration', host?: string) =>
  got(`${from.url}/.well-known/${path}`, {
    headers:
      host === undefined ? {} : { host, 'x-forwarded-host': host, 'x-forwarded-proto': 'https' },
  }).json<Record<string, unknown>>();

describe('metadata', () => {
  test('names the issuer with its slash, and Auth0’s paths', async () => {
    const { issuer } = server;
    expect(await discover(server)).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}authorize`,
      token_endpoint: `${issuer}oauth/token`,
      userinfo_endpoint: `${issuer}userinfo`,
      revocation_endpoint: `${issuer}oauth/revoke`,
      pushed_authorization_request_endpoint: `${issuer}oauth/par`,
      jwks_uri: `${issuer}.well-known/jwks.json`,
      end_session_endpoint: `${issuer}oidc/logout`,
      code_challenge_methods_supported: ['S256'],
      response_types_supported: ['code'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    });
  });

  test('is the same for RFC 8414', async () => {
    expect(await discover(server, 'oauth-authorization-server')).toEqual(await discover(server));
  });

  test('does not follow the Host or X-Forwarded headers', async () => {
    const plain = await discover(server);
    expect(await discover(server, 'openid-configuration', 'evil.example')).toEqual(plain);
  });
});

describe('iss in the authorization response, RFC 9207', () => {
  const both = async (from: AuthorizationServer) => {
    const success = await signIn(openBrowser(), authorizationRequest(from));
    const silent = authorizationRequest(from, { prompt: 'none' });
    const failure = callbackOf(await openBrowser().get(silent.url));
    const { authorization_response_iss_parameter_supported: flag } = await discover(from);
    return { success: success.get('iss'), failure: failure.get('iss'), flag };
  };

  test('is not there, as at Auth0', async () => {
    expect(await both(server)).toEqual({ success: null, failure: null, flag: undefined });
  });

  test('is there when the tenant’s flag says so', async () => {
    const flagged = await startDemo((tenant) => {
      tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
    });
    const { issuer } = flagged;
    expect(await both(flagged)).toEqual({ success: issuer, failure: issuer, flag: true });
  });
});

describe('iss of a refusal', () => {
  const refusal = async (from: AuthorizationServer, path: string, response_mode: string) => {
    const { url } = authorizationRequest(from, { prompt: 'none', response_mode });
    const { body, headers } = await openBrowser().get(url.replace('/authorize', path));
    expect(`${headers.location}${body}`).toContain('login_required');
    return `${headers.location}${body}`.includes('iss');
  };

  test.each([
    ['/authorize', 'form_post'],
    ['/authorize', 'fragment'],
    ['/authorize', 'query'],
    ['/AUTHORIZE/', 'query'],
  ])('is nowhere in the answer of %s with %s, unless the flag is on', async (path, mode) => {
    expect(await refusal(server, path, mode)).toBe(false);
    const flagged = await startDemo((tenant) => {
      tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
    });
    expect(await refusal(flagged, path, mode)).toBe(true);
  });
});

test('an unknown refresh token is refused in Auth0’s words', async () => {
  const form = { grant_type: 'refresh_token', refresh_token: 'bogus' };
  expect(await requestTokens(server, form)).toEqual({
    status: 403,
    body: { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' },
  });
});
