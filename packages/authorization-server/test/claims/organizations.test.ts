import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { requestedOrganization } from '../../src/claims/organizations.ts';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

const addOrganizations = (tenant: Tenant): void => {
  tenant.organizations = [
    {
      id: 'org_acme',
      name: 'acme',
      display_name: 'Acme Ltd',
      metadata: { plan: 'gold' },
      members: ['auth0|alice', 'bob@example.com'],
    },
    { id: 'org_globex', name: 'globex', metadata: {}, members: ['auth0|alice'] },
  ];
};

let server: AuthorizationServer;
let tenant: Tenant;
beforeAll(async () => {
  server = await startDemo((loaded) => {
    tenant = loaded;
    addOrganizations(tenant);
    const body =
      "api.idToken.setCustomClaim('https://x.example/organization', event.organization ?? 'none');";
    Object.assign(tenant, { postLogin: [actionOf(body)] });
  });
});
afterAll(stopServers);

const claimsOf = (tokens: Record<string, string>) => ({
  access: decodeJwt(tokens.access_token ?? ''),
  identity: decodeJwt(tokens.id_token ?? ''),
});
const refresh = (refresh_token = '') =>
  requestTokens(server, { grant_type: 'refresh_token', refresh_token });

describe('the parameter organization', () => {
  test.each([
    ['a member by id', 'alice', 'org_acme'],
    ['a member by e-mail address', 'bob', 'org_acme'],
  ])('%s has org_id in both tokens, also after a refresh', async (_name, user, organization) => {
    const { tokens } = await tokensFor(server, user, { organization });
    const refreshed = await refresh(tokens.refresh_token);
    for (const { access, identity } of [claimsOf(tokens), claimsOf(refreshed.body)]) {
      expect(access).toMatchObject({ org_id: 'org_acme' });
      expect(access).not.toHaveProperty('org_name');
      expect(identity).toMatchObject({
        org_id: 'org_acme',
        // Actions receive it, at the login and at the refresh.
        'https://x.example/organization': {
          id: 'org_acme',
          name: 'acme',
          display_name: 'Acme Ltd',
          metadata: { plan: 'gold' },
        },
      });
    }
  });

  test.each([
    ['none', { organization: undefined }],
    ['an empty one', { organization: '' }],
  ])('%s has no org_id', async (_name, change) => {
    const { tokens } = await tokensFor(server, 'alice', change);
    const { access, identity } = claimsOf(tokens);
    expect(access).not.toHaveProperty('org_id');
    expect(identity).not.toHaveProperty('org_id');
    expect(identity['https://x.example/organization']).toBe('none');
  });

  test('two logins of one session are for two organizations, each with its consent', async () => {
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server, { organization: 'org_acme' }));
    const page = await browser.get(
      authorizationRequest(server, { organization: 'org_globex' }).url,
    );
    expect(page.url).toContain('/u/consent/');
    const request = authorizationRequest(server, { organization: 'org_globex' });
    const callback = await signIn(browser, request);
    const { body } = await requestTokens(server, {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: 'http://localhost:3000/callback',
      code_verifier: request.verifier,
    });
    expect(claimsOf(body).access.org_id).toBe('org_globex');
  });

  test('with the flag of the tenant a name is accepted, and the tokens have org_name too', async () => {
    const naming = await startDemo((loaded) => {
      addOrganizations(loaded);
      loaded.tenant.allow_organization_name_in_authentication_api = true;
    });
    const { tokens } = await tokensFor(naming, 'alice', { organization: 'acme' });
    const { access, identity } = claimsOf(tokens);
    for (const claims of [access, identity]) {
      expect(claims).toMatchObject({ org_id: 'org_acme', org_name: 'acme' });
    }
  });
});

describe('a request is refused at the callback', () => {
  test.each(['org_unknown', 'acme', '<script>'])(
    'for the unknown organization %s',
    async (name) => {
      const page = await openBrowser().get(
        authorizationRequest(server, { organization: name }).url,
      );
      expect(Object.fromEntries(callbackOf(page))).toMatchObject({
        error: 'invalid_request',
        error_description: `parameter organization is invalid: ${name}`,
        state: 'state-1',
      });
    },
  );

  test.each([
    ['deny', 'org_acme', 'parameter organization is not allowed for this client'],
    ['require', undefined, 'parameter organization is required for this client'],
  ] as const)('with organization_usage: %s, %s', async (usage, organization, text) => {
    const choosy = await startDemo((loaded) => {
      addOrganizations(loaded);
      loaded.clients[0]!.organization_usage = usage;
    });
    const { url } = authorizationRequest(choosy, { organization });
    expect(Object.fromEntries(callbackOf(await openBrowser().get(url)))).toMatchObject({
      error: 'invalid_request',
      error_description: text,
    });
  });

  test.each([
    ['after the sign-in', {}],
    ['within a session, silently', { prompt: 'none' }],
  ])('for a user who is no member, %s', async (_name, change) => {
    const browser = openBrowser();
    if ('prompt' in change) await signIn(browser, authorizationRequest(server), 'carol');
    const request = authorizationRequest(server, { organization: 'org_acme', ...change });
    const callback = await signIn(browser, request, 'carol');
    expect(callback.get('code')).toBeNull();
    expect(Object.fromEntries(callback)).toMatchObject({
      error: 'access_denied',
      error_description: 'user auth0|carol is not part of the org_acme organization',
    });
  });
});

test('a former member gets no tokens by a refresh', async () => {
  const { tokens } = await tokensFor(server, 'alice', { organization: 'org_globex' });
  tenant.organizations[1]!.members = [];
  expect(await refresh(tokens.refresh_token)).toMatchObject({
    status: 403,
    body: { error: 'invalid_grant' },
  });
});

test.each([
  ['a name, without the flag', 'acme'],
  ['not a text', ['org_acme']],
])('%s is no organization of the tenant', (_name, value) => {
  expect(requestedOrganization(tenant, 'org_acme')).toBe(tenant.organizations[0]);
  expect(() => requestedOrganization(tenant, value)).toThrow('invalid_request');
});
