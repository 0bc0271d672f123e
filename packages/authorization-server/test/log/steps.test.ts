import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { AuthorizationServer } from '../../src/index.ts';
import { droppedScopes, knownGrantType, refusalType } from '../../src/log/steps.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import {
  API,
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

const oidcWith = (params: Record<string, unknown>) =>
  ({ params }) as unknown as KoaContextWithOIDC['oidc'];

describe('a refusal', () => {
  const atToken = (grant_type: string, reason = '') =>
    refusalType('/oauth/token', reason, { oidc: oidcWith({ grant_type }) });

  test.each([
    ['authorization_code', 'feacft'],
    ['refresh_token', 'fertft'],
    ['client_credentials', 'feccft'],
    ['password', 'fepft'],
    ['http://auth0.com/oauth/grant-type/password-realm', 'fepft'],
    ['http://auth0.com/oauth/grant-type/mfa-otp', 'feotpft'],
    ['urn:ietf:params:oauth:grant-type:device_code', 'fede'],
    ['constructor', undefined],
    ['', undefined],
  ])('of the grant %s is %s', (grantType, type) => {
    expect(atToken(grantType)).toBe(type);
  });

  test('of a reused refresh token is ferrt, of a reused code feacft', () => {
    expect(atToken('refresh_token', 'refresh token already used')).toBe('ferrt');
    expect(atToken('authorization_code', 'already used')).toBe('feacft');
  });

  test.each([
    ['/authorize', {}, 'f'],
    ['/authorize/uid', {}, 'f'],
    ['/authorize', { prompt: 'none' }, 'fsa'],
    ['/oauth/par', {}, 'fpar'],
    ['/oidc/logout', {}, 'flo'],
    ['/v2/logout', {}, 'flo'],
    ['/userinfo', {}, undefined],
    ['/oauth/revoke', {}, undefined],
  ])('at %s with %j is %s', (endpoint, params, type) => {
    expect(refusalType(endpoint, '', { oidc: oidcWith(params) })).toBe(type);
  });

  test('has a type before the engine, for too many requests and for a foreign origin', () => {
    expect(refusalType('/oauth/token', '', { status: 400 })).toBeUndefined();
    expect(refusalType('/oauth/token', '', { status: 429 })).toBe('api_limit');
    expect(refusalType('/userinfo', 'origin http://x not allowed for client: a', {})).toBe('fco');
  });

  test.each(['magic', ['password'], undefined])('the grant type %p is not repeated', (value) => {
    expect(knownGrantType(oidcWith({ grant_type: value }))).toBeUndefined();
  });
});

describe('over HTTP, in the JSON log and in the record of transactions', () => {
  const { logger, lines } = keptLog();
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo(
      (tenant) => {
        tenant.attack_protection.brute_force_protection.max_attempts = 2;
        tenant.clients[0]!.oidc_logout = undefined;
        tenant.clients[1]!.web_origins = ['http://localhost:5173'];
        tenant.rate_limits = { token: { limit: 1000, window: 3600 } };
      },
      { logger },
    );
  });
  afterAll(stopServers);

  /** Returns the new entries of both logs. */
  const since = async (
    run: () => Promise<unknown>,
  ): Promise<{ json: unknown[]; steps: unknown[] }> => {
    const before = { lines: lines.length, steps: allSteps().length };
    await run();
    return {
      json: lines.slice(before.lines).flatMap(({ type }) => type ?? []),
      steps: allSteps()
        .slice(before.steps)
        .flatMap(({ type }) => type ?? []),
    };
  };
  const allSteps = () =>
    server
      .log()
      .flatMap(({ steps }) => steps)
      .sort((a, b) => a.at.localeCompare(b.at));
  const both = (...types: string[]) => ({ json: types, steps: types });
  const machine = (more: Record<string, string> = {}, headers = {}) =>
    got.post(new URL('oauth/token', server.issuer), {
      form: {
        grant_type: 'client_credentials',
        client_id: 'contacts-cli',
        client_secret: 'contacts-cli-demo-secret',
        audience: API,
        ...more,
      },
      headers,
      throwHttpErrors: false,
    });
  const refresh = (refresh_token = '') =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token });

  test('a login, its refresh and a reused token have their types', async () => {
    let tokens: Record<string, string> = {};
    expect(
      await since(async () => {
        ({ tokens } = await tokensFor(server));
      }),
    ).toEqual(both('s', 'seacft'));
    expect(await since(() => refresh(tokens.refresh_token))).toEqual(both('sertft'));
    expect(await since(() => refresh(tokens.refresh_token))).toEqual(both('ferrt'));
    expect(await since(() => refresh('bogus'))).toEqual(both('fertft'));
  });

  test('a revoked refresh token is srrt; another client’s, and a second revocation, are not', async () => {
    const { tokens } = await tokensFor(server);
    const revoke = (client_id: string) => () =>
      got.post(new URL('oauth/revoke', server.issuer), {
        form: {
          token: tokens.refresh_token,
          client_id,
          client_secret: `${client_id}-demo-secret`,
        },
      });
    expect(await since(revoke('contacts-cli'))).toEqual(both());
    expect(await since(revoke('contacts-web'))).toEqual(both('srrt'));
    expect(await since(revoke('contacts-web'))).toEqual(both());
  });

  test('a silent request is ssa with a session and fsa without', async () => {
    const { browser } = await tokensFor(server);
    const { url } = authorizationRequest(server, { prompt: 'none' });
    expect(await since(() => browser.get(url))).toEqual(both('ssa'));
    expect(await since(() => openBrowser().get(url))).toEqual(both('fsa'));
  });

  test('a wrong password, too many of them and an unknown user have their types', async () => {
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(server).url);
    const enter = (username: string) =>
      since(() => browser.submit(login, { username, password: 'wrong' }));
    expect(await enter('carol@example.com')).toEqual(both('fp'));
    expect(await enter('carol@example.com')).toEqual(both('fp'));
    expect(await enter('carol@example.com')).toEqual(both('limit_wc'));
    expect(await enter('unknown@example.com')).toEqual(both('fu'));
  });

  test('a declined login and an invalid code have their types', async () => {
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(server).url);
    const consent = await browser.submit(login, {
      username: 'bob@example.com',
      password: 'bob-demo',
    });
    expect(await since(() => browser.submit(consent, { action: 'decline' }))).toEqual(both('f'));
    const form = { grant_type: 'authorization_code', code: 'bogus', code_verifier: 'x'.repeat(43) };
    expect(await since(() => requestTokens(server, form))).toEqual(both('feacft'));
  });

  test('client credentials have their types', async () => {
    expect(await since(() => machine())).toEqual(both('seccft'));
    expect(await since(() => machine({ client_secret: 'wrong' }))).toEqual(both('feccft'));
    expect(await since(() => machine({}, { origin: 'http://evil.example' }))).toEqual(both('fco'));
  });

  test('a refused pushed authorization request is fpar', async () => {
    const form = { client_id: 'contacts-cli', client_secret: 'wrong' };
    const push = () =>
      got.post(new URL('oauth/par', server.issuer), { form, throwHttpErrors: false });
    expect(await since(push)).toEqual(both('fpar'));
  });

  test('a logout is slo, a refused one flo', async () => {
    const { browser, tokens } = await tokensFor(server);
    const v2 = (returnTo: string) =>
      since(() => browser.get(`${server.issuer}v2/logout?${new URLSearchParams({ returnTo })}`));
    expect(await v2('http://evil.example/')).toEqual(both('flo'));
    expect(await v2('http://localhost:3000')).toEqual(both('slo'));
    expect(server.log()[0]).toMatchObject({
      user: 'auth0|alice',
      steps: [{ step: 'request', endpoint: '/v2/logout' }, { step: 'logout' }],
    });

    const again = openBrowser();
    await signIn(again, authorizationRequest(server));
    const hint = (change: Record<string, string>) =>
      again.get(`${server.issuer}oidc/logout?${new URLSearchParams(change)}`);
    const refused = await since(() =>
      hint({ client_id: 'contacts-web', post_logout_redirect_uri: 'http://evil.example/' }),
    );
    expect(refused).toEqual(both('flo'));
    expect(decodeJwt(tokens.id_token ?? '').sub).toBe('auth0|alice');
    const page = await hint({ client_id: 'contacts-web' });
    const form = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    const ended = await since(() =>
      again.submit({ ...page, url: `${server.issuer}oidc/logout/confirm` } as typeof page, {
        xsrf: form,
        logout: 'yes',
      }),
    );
    expect(ended).toEqual(both('slo'));
  });

  test('a denial of an Action is a failed login', async () => {
    const kept = keptLog();
    const strict = await startDemo(
      (tenant) => {
        Object.assign(tenant, { postLogin: [actionOf("api.access.deny('no')")] });
      },
      { logger: kept.logger },
    );
    await signIn(openBrowser(), authorizationRequest(strict));
    expect(kept.lines.flatMap(({ type }) => type ?? [])).toEqual(['f']);
    expect(strict.log()[0]?.steps.flatMap(({ type }) => type ?? [])).toEqual(['f']);
  });

  test('the page shows the types', async () => {
    const shown = await startDemo(undefined, { control: 0 });
    await tokensFor(shown);
    const { body } = await got(`${shown.issuer}log`);
    expect(body).toContain('<code>s</code>');
    expect(body).toContain('<code>seacft</code>');
  });

  test('too many requests are api_limit', async () => {
    const kept = keptLog();
    const busy = await startDemo(
      (tenant) => {
        tenant.rate_limits = { token: { limit: 1, window: 3600 } };
      },
      { logger: kept.logger },
    );
    for (const _ of [1, 2]) await requestTokens(busy, { grant_type: 'client_credentials' });
    expect(busy.log()[0]?.steps.at(-1)).toMatchObject({ status: 429, type: 'api_limit' });
    expect(kept.lines.at(-1)).toMatchObject({ type: 'api_limit', endpoint: '/oauth/token' });
  });
});

describe('a scope that was asked for and is not in the token', () => {
  const tenant = loadTenant(demoTenantFile);
  const [api] = tenant.resourceServers;
  const user = tenant.users.find(({ email }) => email === 'bob@example.com');
  const application = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
  const login = { issued: [], user, application, api };
  const none = { added: [], removed: [] };

  test.each([
    [
      'an Action',
      'read:contacts',
      { changes: { ...none, removed: ['read:contacts'] } },
      'an Action',
    ],
    ['a rule', 'read:contacts', { changes: { ...none, only: [] } }, 'a rule'],
    ['an earlier sign-in', 'read:contacts', { granted: [] }, 'not granted at the sign-in'],
    ['no Action sets it', 'https://x.example/roles', {}, 'no Action set this claim'],
    ['the API', 'read:nothing', {}, 'has no such scope'],
    ['no API', 'read:contacts', { api: undefined }, 'no audience was asked for'],
    ['the roles', 'read:activity', {}, "no role of the user's permits it"],
    [
      'the application',
      'offline_access',
      { application: application && { ...application, grant_types: ['authorization_code'] } },
      'no grant type refresh_token',
    ],
    [
      'an API without offline access',
      'offline_access',
      { api: api && { ...api, allow_offline_access: false } },
      'allows no offline access',
    ],
  ])('%s removed the scope', (_name, scope, change, why) => {
    const dropped = droppedScopes(tenant, { ...login, asked: [scope], ...change } as never);
    expect(dropped).toEqual([{ scope, why: expect.stringContaining(why) }]);
  });

  test('an issued scope is not reported as dropped; an unknown reason is undefined', () => {
    const token = { ...login, asked: ['openid', 'email'], issued: ['openid'] };
    expect(droppedScopes(tenant, token)).toEqual([{ scope: 'email', why: undefined }]);
  });
});
