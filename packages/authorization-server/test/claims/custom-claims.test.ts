import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { settleClaimScopes } from '../../src/actions/login-outcome.ts';
import { isClaimScope } from '../../src/claims/custom-claims.ts';
import { addScope, changeScope, isScope, removeScope } from '../../src/claims/scope-changes.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

describe('custom claims', () => {
  afterAll(stopServers);

  const ROLES = 'https://contacts.example.com/roles';
  const OTHER = 'https://contacts.example.com/other';
  const [api] = loadTenant(demoTenantFile).resourceServers;

  test.each([
    [ROLES, true],
    ['http://localhost:3000/hobby', true],
    ['openid', false],
    ['read:contacts', false],
    ['urn:contacts:roles', false],
    ['https://', false],
    ['https://x.auth0.com/roles', false],
  ])('%s: %s', (scope, is) => {
    expect(isClaimScope(scope, api)).toBe(is);
  });

  test('a scope of the API is never a claim, even if it is a URL', () => {
    const scopes = [...(api?.scopes ?? []), { value: ROLES }];
    expect(isClaimScope(ROLES, api && { ...api, scopes })).toBe(false);
  });

  test('a claim comes from an Action, then from app_metadata; otherwise it leaves the scope', () => {
    const outcome = { accessToken: {}, idToken: { [ROLES]: ['admin'] } };
    const appMetadata = { [ROLES]: ['never'], 'https://x.example/plan': 'gold', roles: ['never'] };
    const asked = ['openid', ROLES, 'https://x.example/plan', OTHER];
    expect(settleClaimScopes(outcome, asked, { api, appMetadata })).toEqual({
      accessToken: { 'https://x.example/plan': 'gold' },
      idToken: { [ROLES]: ['admin'], 'https://x.example/plan': 'gold' },
      scope: { added: [], removed: [OTHER] },
    });
  });

  describe('through the whole flow', () => {
    const scopeOf = (tokens: Record<string, string>) => ({
      response: tokens.scope,
      token: decodeJwt(tokens.access_token ?? '').scope,
    });

    test('a claim that the demo’s Action sets is in both tokens and in the scope; no page asks for it', async () => {
      const server = await startDemo();
      const browser = openBrowser();
      const request = authorizationRequest(server, { scope: `openid ${ROLES} ${OTHER}` });
      const login = await browser.get(request.url);
      const page = await browser.submit(login, {
        username: 'bob@example.com',
        password: 'bob-demo',
      });
      expect(page.url).toContain('/u/consent/');
      expect(page.body).not.toContain(ROLES);

      const { tokens } = await tokensFor(server, 'bob', { scope: `openid ${ROLES} ${OTHER}` });
      expect(scopeOf(tokens)).toEqual({ response: `openid ${ROLES}`, token: `openid ${ROLES}` });
      expect(decodeJwt(tokens.access_token ?? '')[ROLES]).toEqual(['reader']);
      expect(decodeJwt(tokens.id_token ?? '')[ROLES]).toEqual(['reader']);
    });

    test('without an Action the claim comes from app_metadata, after a refresh and at userinfo too', async () => {
      const server = await startDemo((tenant) => {
        Object.assign(tenant, { postLogin: [] });
        tenant.users[1]!.app_metadata = { [ROLES]: ['chief'] };
      });
      const scope = `openid offline_access read:contacts ${ROLES}`;
      const { tokens } = await tokensFor(server, 'bob', { scope: `${scope} ${OTHER}` });
      const granted = scopeOf(tokens).response?.split(' ') ?? [];
      expect(new Set(granted)).toEqual(new Set(scope.split(' ')));
      expect(scopeOf(tokens).token).toBe(scopeOf(tokens).response);

      const refresh = (refresh_token = '', more = {}) =>
        requestTokens(server, { grant_type: 'refresh_token', refresh_token, ...more });
      const second = await refresh(tokens.refresh_token);
      expect(new Set(second.body.scope?.split(' '))).toEqual(new Set(granted));
      expect(decodeJwt(second.body.access_token ?? '')[ROLES]).toEqual(['chief']);
      // The scope that was answered may be sent again, whole or narrower.
      const third = await refresh(second.body.refresh_token, { scope: tokens.scope });
      expect(new Set(third.body.scope?.split(' '))).toEqual(new Set(granted));
      const narrow = await refresh(third.body.refresh_token, { scope: `openid ${ROLES}` });
      expect(narrow.body.scope).toBe(`openid ${ROLES}`);

      const claims = await got(`${server.issuer}userinfo`, {
        headers: { authorization: `Bearer ${tokens.access_token}` },
      }).json();
      expect(claims).toMatchObject({ sub: 'auth0|bob', [ROLES]: ['chief'] });
    });

    test('without an API the claim is in the ID token and the scope of the response', async () => {
      const server = await startDemo((tenant) => {
        tenant.users[1]!.app_metadata = { 'https://x.example/plan': 'gold' };
      });
      const { tokens } = await tokensFor(server, 'bob', {
        scope: `openid https://x.example/plan ${OTHER}`,
        audience: undefined,
      });
      expect(tokens.scope).toBe('openid https://x.example/plan');
      expect(decodeJwt(tokens.id_token ?? '')['https://x.example/plan']).toBe('gold');
    });

    test('a name of app_metadata that is no URL can’t be requested', async () => {
      const server = await startDemo((tenant) => {
        Object.assign(tenant, { postLogin: [actionOf('')] });
        tenant.users[1]!.app_metadata = { plan: 'secret', sub: 'secret' };
      });
      const { tokens } = await tokensFor(server, 'bob', {
        scope: 'openid plan sub https://x.example/plan read:contacts',
      });
      expect(tokens.scope).toBe('openid read:contacts');
      expect(JSON.stringify(decodeJwt(tokens.id_token ?? ''))).not.toContain('secret');
    });

    test('a request of only such a scope without a value gets no error and no scope', async () => {
      const server = await startDemo();
      const request = authorizationRequest(server, { scope: OTHER, nonce: undefined });
      const callback = await signIn(openBrowser(), request);
      expect(callback.get('error')).toBeNull();
      const { status, body } = await requestTokens(server, {
        grant_type: 'authorization_code',
        code: callback.get('code') ?? '',
        redirect_uri: 'http://localhost:3000/callback',
        code_verifier: request.verifier,
      });
      expect(status).toBe(200);
      expect(body.scope ?? '').toBe('');
      expect(decodeJwt(body.access_token ?? '').aud).toBe(API);
    });
  });
});

describe('changes of the scope', () => {
  test.each([
    ['nothing', undefined, 'a b'],
    ['added', addScope(undefined, 'c'), 'a b c'],
    ['added twice, or there already', addScope(addScope(undefined, 'a'), 'a'), 'a b'],
    ['removed', removeScope(undefined, 'a'), 'b'],
    ['added, then removed', removeScope(addScope(undefined, 'c'), 'c'), 'a b'],
    ['removed, then added', addScope(removeScope(undefined, 'a'), 'a'), 'a b'],
    ['replaced', { only: ['x', 'y'], added: [], removed: [] }, 'x y'],
    [
      'replaced, then changed',
      removeScope(addScope({ only: ['x'], added: [], removed: [] }, 'y'), 'x'),
      'y',
    ],
    ['all removed', removeScope(removeScope(undefined, 'a'), 'b'), undefined],
  ])('%s', (_name, changes, expected) => {
    expect(changeScope('a b', changes)).toBe(expected);
  });

  test('a scope may be added to none', () => {
    expect(changeScope(undefined, addScope(undefined, 'a'))).toBe('a');
  });

  test.each([
    ['read:contacts', true],
    ['', false],
    ['a b', false],
    ['a"b', false],
    ['a\\b', false],
    ['ä', false],
    [1, false],
    [undefined, false],
  ])('isScope(%p) is %p (RFC 6749 §3.3)', (scope, expected) => {
    expect(isScope(scope)).toBe(expected);
  });
});
