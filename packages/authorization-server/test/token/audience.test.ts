import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  tokensFor,
} from '../support/sign-in.ts';

const OTHER = 'other-api';
const MACHINE = { grant_type: 'client_credentials' };

describe('the default audience of a tenant', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      tenant.tenant.default_audience = API;
      const change = { identifier: OTHER, enforce_policies: false };
      tenant.resourceServers.push({ ...tenant.resourceServers[0]!, ...change });
    });
  });
  afterAll(stopServers);

  test.each<[string, string | undefined, string | undefined]>([
    ['no audience', undefined, API],
    ['an empty audience', '', API],
    ['another API', OTHER, OTHER],
  ])('a sign-in with %s', async (_name, audience, expected) => {
    const { tokens } = await tokensFor(server, 'bob', {
      audience,
      scope: 'openid offline_access read:contacts',
    });
    expect(decodeJwt(tokens.access_token ?? '')).toMatchObject({
      aud: [expected, `${server.issuer}userinfo`],
      scope: 'openid offline_access read:contacts',
    });
    const refreshed = await requestTokens(server, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    expect(decodeJwt(refreshed.body.access_token ?? '').aud).toContain(expected);
  });

  test('a sign-in for userinfo alone has an opaque token', async () => {
    const audience = `${server.issuer}userinfo`;
    const { tokens } = await tokensFor(server, 'bob', { audience, scope: 'openid email' });
    expect(tokens.access_token).not.toContain('.');
  });

  test('an unknown API is refused as without a default', async () => {
    const { url } = authorizationRequest(server, { audience: 'https://other.example/' });
    expect(callbackOf(await openBrowser().get(url)).get('error')).toBe('access_denied');
  });

  test('client credentials without an audience are for it; their grant is checked', async () => {
    const { status, body } = await requestTokens(server, MACHINE, 'contacts-cli');
    expect(status).toBe(200);
    expect(decodeJwt(body.access_token ?? '')).toMatchObject({ aud: API, scope: 'read:contacts' });
    const other = await requestTokens(server, { ...MACHINE, audience: OTHER }, 'contacts-cli');
    expect(other.body.error_description).toContain('Client is not authorized to access');
    const scope = 'delete:contacts';
    expect((await requestTokens(server, { ...MACHINE, scope }, 'contacts-cli')).status).toBe(403);
  });
});

test('an empty default audience, as an export has it, is none', async () => {
  const server = await startDemo((tenant) => {
    tenant.tenant.default_audience = '';
  });
  const { tokens } = await tokensFor(server, 'bob', { audience: undefined, scope: 'openid' });
  expect(tokens.access_token).not.toContain('.');
  const { body } = await requestTokens(server, MACHINE, 'contacts-cli');
  expect(body.error_description).toBe('Non-global clients are not allowed access to APIv1');
  await stopServers();
});
