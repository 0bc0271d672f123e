import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { ruleOf } from '../support/rule-of.ts';
import {
  API,
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const startWith = (body: string) =>
  startDemo((tenant) => Object.assign(tenant, { postLogin: [actionOf(body)] }));

test('a denial of an Action is access_denied with its reason, before any consent', async () => {
  const server = await startWith(`api.access.deny('not today');`);
  const callback = await signIn(openBrowser(), authorizationRequest(server));
  expect(Object.fromEntries(callback)).toEqual({
    error: 'access_denied',
    error_description: 'not today',
    state: 'state-1',
  });
});

test('an Action that throws denies with access_denied, never a page with 500', async () => {
  const server = await startWith(`throw new Error('it broke');`);
  const callback = await signIn(openBrowser(), authorizationRequest(server));
  expect(callback.get('error')).toBe('access_denied');
  expect(callback.get('error_description')).toBe('it broke');
});

test('an Action runs once per login, and at every refresh, which it can deny', async () => {
  const server = await startWith(`
    global.runs = (global.runs ?? 0) + 1;
    api.accessToken.setCustomClaim('https://x.example/run', [global.runs, event.transaction.protocol]);
    if (global.runs === 3) api.access.deny('enough');`);
  const { tokens } = await tokensFor(server);
  const claim = (token = '') => decodeJwt(token)['https://x.example/run'];
  expect(claim(tokens.access_token)).toEqual([1, 'oidc-basic-profile']);

  const refresh = (refresh_token = '') =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token });
  const second = await refresh(tokens.refresh_token);
  expect(claim(second.body.access_token)).toEqual([2, 'oauth2-refresh-token']);
  expect(await refresh(second.body.refresh_token)).toEqual({
    status: 403,
    body: { error: 'access_denied', error_description: 'enough' },
  });
  // Denied, not used up.
  expect((await refresh(second.body.refresh_token)).status).toBe(200);
});

test('an Action runs for a login without any page as well', async () => {
  const server = await startWith(`
    if (event.transaction.prompt?.includes('none')) api.access.deny('seen');`);
  const { browser } = await tokensFor(server);
  const silent = authorizationRequest(server, { prompt: 'none' });
  expect((await signIn(browser, silent)).get('error_description')).toBe('seen');
});

test('a standard claim that an Action sets still needs its scope, in all three places', async () => {
  const server = await startWith(`
    api.idToken.setCustomClaim('email', 'x@example.com');
    api.idToken.setCustomClaim('nickname', 'nick');
    api.accessToken.setCustomClaim('email', 'x@example.com');
    api.idToken.setCustomClaim('https://x.example/own', 1);`);
  const { tokens } = await tokensFor(server, 'alice', { scope: 'openid profile read:contacts' });
  const expected = { nickname: 'nick', 'https://x.example/own': 1 };
  const identity = decodeJwt(tokens.id_token ?? '');
  expect(identity).toMatchObject(expected);
  expect(identity).not.toHaveProperty('email');
  const claims = await got(`${server.issuer}userinfo`, {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  }).json();
  expect(claims).toMatchObject(expected);
  expect(claims).not.toHaveProperty('email');
  expect(decodeJwt(tokens.access_token ?? '')).not.toHaveProperty('email');
});

describe('the scope of the access token and of the token response', () => {
  const scopesOf = (tokens: Record<string, string>): { response: string[]; token: string[] } => ({
    response: (tokens.scope ?? '').split(' '),
    token: String(decodeJwt(tokens.access_token ?? '').scope).split(' '),
  });

  test('follows addScope, whatever the roles permit, and removeScope', async () => {
    const server = await startWith(
      `api.accessToken.addScope('delete:contacts').accessToken.removeScope('email');`,
    );
    const { tokens } = await tokensFor(server, 'bob', {
      scope: 'openid email offline_access read:contacts',
    });
    const expected = ['openid', 'offline_access', 'read:contacts', 'delete:contacts'];
    expect(scopesOf(tokens)).toEqual({ response: expected, token: expected });
    // The permissions of his roles do not change.
    expect(decodeJwt(tokens.access_token ?? '').permissions).toEqual(['read:contacts']);
  });

  test('is settled again at a refresh', async () => {
    const server = await startWith(`
      if (event.transaction.protocol === 'oauth2-refresh-token') api.accessToken.removeScope('read:contacts');
      else api.accessToken.addScope('first:time');`);
    const { tokens } = await tokensFor(server, 'bob', {
      scope: 'openid offline_access read:contacts',
    });
    expect(scopesOf(tokens).token).toEqual([
      'openid',
      'offline_access',
      'read:contacts',
      'first:time',
    ]);
    const refreshed = await requestTokens(server, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    const expected = ['openid', 'offline_access'];
    expect(scopesOf(refreshed.body)).toEqual({ response: expected, token: expected });
  });

  test('follows removeScope for an opaque token too, and userinfo follows the scope', async () => {
    const server = await startWith(`api.accessToken.removeScope('email');`);
    const { tokens } = await tokensFor(server, 'alice', {
      scope: 'openid email',
      audience: undefined,
    });
    expect(tokens.scope).toBe('openid');
    const claims = await got(`${server.issuer}userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    }).json();
    expect(claims).not.toHaveProperty('email');
  });
});

test('an Action gets the number of logins, their method and the request', async () => {
  const server = await startWith(`
    api.idToken.setCustomClaim('https://x.example/told', {
      count: event.stats.logins_count,
      methods: event.authentication.methods,
      audience: event.request.query.audience,
      secret: event.request.body.client_secret ?? null,
    });`);
  const told = (tokens: Record<string, string>) =>
    decodeJwt(tokens.id_token ?? '')['https://x.example/told'];
  const { tokens } = await tokensFor(server, 'alice');
  expect(told(tokens)).toEqual({
    count: 1,
    methods: [{ name: 'pwd', timestamp: expect.stringMatching(/^\d{4}-.*Z$/) }],
    audience: API,
    secret: null,
  });
  expect(told((await tokensFor(server, 'alice')).tokens)).toMatchObject({ count: 2 });
  expect(told((await tokensFor(server, 'bob')).tokens)).toMatchObject({ count: 1 });
  // Nor is a silent request.
  const { browser } = await tokensFor(server, 'carol');
  await signIn(browser, authorizationRequest(server, { prompt: 'none' }));
  expect(told((await tokensFor(server, 'carol')).tokens)).toMatchObject({ count: 2 });
  // A refresh is no login.
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  expect(told(refreshed.body)).toMatchObject({
    count: 2,
    methods: [{ name: 'pwd' }],
    secret: null,
  });
});

test('metadata that an Action sets is stored for the next login, a refresh and a rule', async () => {
  const server = await startDemo((tenant) =>
    Object.assign(tenant, {
      loginRules: [
        ruleOf(`context.idToken['https://x.example/rule'] = user.app_metadata.seen ?? 0;
          callback(null, user, context);`),
      ],
      postLogin: [
        actionOf(`
          const { org_id, seen = 0 } = event.user.app_metadata;
          api.user.setAppMetadata('seen', seen + 1).user.setUserMetadata('last', event.transaction.protocol);
          api.idToken.setCustomClaim('https://x.example/told',
            [org_id, seen, event.user.user_metadata.last ?? null, event.transaction.metadata]);
          api.transaction.setMetadata('once', true);`),
      ],
    }),
  );
  const told = (tokens: Record<string, string>) => {
    const claims = decodeJwt(tokens.id_token ?? '');
    return [claims['https://x.example/rule'], claims['https://x.example/told']];
  };
  const { tokens } = await tokensFor(server);
  expect(told(tokens)).toEqual([0, ['acme', 0, null, {}]]);
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  expect(told(refreshed.body)).toEqual([1, ['acme', 1, 'oidc-basic-profile', {}]]);
  expect(told((await tokensFor(server)).tokens)).toEqual([
    2,
    ['acme', 2, 'oauth2-refresh-token', {}],
  ]);
  expect(told((await tokensFor(server, 'bob')).tokens)).toEqual([0, ['acme', 0, null, {}]]);
});

test('a denial does not undo changes of metadata', async () => {
  const server = await startWith(`
    const { tries = 0 } = event.user.app_metadata;
    api.user.setAppMetadata('tries', tries + 1).access.deny('try ' + tries);`);
  for (const text of ['try 0', 'try 1']) {
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toBe(text);
  }
});

test('a cached value is there at the next login of any user', async () => {
  const server = await startWith(`
    api.idToken.setCustomClaim('https://x.example/cached', api.cache.get('who')?.value);
    api.cache.set('who', event.user.email, { ttl: 60000 });`);
  const cached = (tokens: Record<string, string>) =>
    decodeJwt(tokens.id_token ?? '')['https://x.example/cached'];
  expect(cached((await tokensFor(server, 'alice')).tokens)).toBeUndefined();
  expect(cached((await tokensFor(server, 'bob')).tokens)).toBe('alice@example.com');
});

test('an Action gets facts of the session and the refresh token, never the token', async () => {
  const server = await startWith(`
    api.idToken.setCustomClaim('https://x.example/told', {
      session: event.session ?? null, refresh_token: event.refresh_token ?? null,
      locale: event.transaction.locale, hostname: event.request.hostname,
    });`);
  const { tokens } = await tokensFor(server, 'alice', { ui_locales: 'de en' });
  const told = (token = '') => decodeJwt(token)['https://x.example/told'];
  const time = expect.stringMatching(/^20\d\d-.*Z$/);
  const { sid } = decodeJwt(tokens.id_token ?? '');
  expect(told(tokens.id_token)).toMatchObject({
    session: { id: sid, created_at: time, authenticated_at: time, user_id: 'auth0|alice' },
    refresh_token: null,
    locale: 'de',
    hostname: 'localhost',
  });
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  expect(told(refreshed.body.id_token)).toMatchObject({
    session: null,
    refresh_token: {
      client_id: 'contacts-web',
      session_id: sid,
      created_at: time,
      expires_at: time,
      rotating: true,
    },
  });
  expect(JSON.stringify(told(refreshed.body.id_token))).not.toContain(tokens.refresh_token);
});

test.each([
  ['an object without a prototype', 'throw Object.create(null);', 'the reason could not be read'],
  ['a symbol', `throw Symbol('odd');`, 'Symbol(odd)'],
  ['lines', `throw new Error('one\\r\\ntwo');`, 'one two'],
  ['half a character', `api.access.deny('a\\ud800');`, 'a\ufffd'],
  ['a megabyte', `throw new Error('x'.repeat(1e6));`, 'x'.repeat(500)],
])('%s is access_denied at the callback, never a page with 500', async (_name, body, text) => {
  const server = await startWith(body);
  const callback = await signIn(openBrowser(), authorizationRequest(server));
  expect(Object.fromEntries(callback)).toEqual({
    error: 'access_denied',
    error_description: text,
    state: 'state-1',
  });
});
