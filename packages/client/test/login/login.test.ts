import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { CookieJar } from 'tough-cookie';
import { proves } from '../../../../test/support/proves.ts';
import { auth } from '../../src/index.ts';
import { storeKey } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { storeWith } from '../support/store-with.ts';
import { BASE_URL, codeOf, startWebApp, type WebApp } from '../support/web-app.ts';

let issuer: IssuerStandIn;
let apps: WebApp[];

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  apps = [];
});

afterEach(async () => {
  for (const { served } of apps) await served.close();
  nock.cleanAll();
});

async function start(
  ...[options, page]: [Parameters<typeof startWebApp>[1]?, Parameters<typeof startWebApp>[2]?]
) {
  const app = await startWebApp(issuer, options, page);
  apps.push(app);
  return app;
}

function standInWith(metadata: Record<string, unknown>): void {
  nock.cleanAll();
  issuer = standInForIssuer(metadata);
}

/** Begins a login in another browser, which opened the app under this host, and returns its state. */
async function stateOf(origin: string, headers: Record<string, string>): Promise<string> {
  const [response] = (await once(get(`${origin}/login`, { headers }), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  return new URL(response.headers.location ?? '').searchParams.get('state') ?? '';
}

const location = (response: Response) => new URL(response.headers.get('location') ?? '', BASE_URL);

describe('authorization request', () => {
  test.each([
    'response_type',
    'state',
    'nonce',
    'redirect_uri',
    'client_id',
    'code_challenge',
    'request_uri',
  ])('a route of the app cannot set %s', async (name) => {
    const { browser } = await start({}, async (ctx, next) => {
      if (ctx.path !== '/go') return next();
      await ctx.oidc.login({ authorizationParams: { [name]: 'mine' } });
    });
    const response = await browser.get('/go');
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe('ERR_LOGIN_PARAMETERS');
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('a path of 2000 bytes is returned to, and a longer one is reported', async () => {
    const { browser, begin, grant, events } = await start();
    const path = `/private?q=${'x'.repeat(1989)}`;
    const { request, callback } = await begin(`/login?returnTo=${path}`);
    grant({ nonce: request.get('nonce') });
    expect(location(await browser.get(callback())).href).toBe(BASE_URL + path);
    expect(events.map(({ type }) => type)).not.toContain('warning');

    await begin(`/login?returnTo=${path}x`);
    const detail = expect.stringContaining('returnTo has more than 2000 characters');
    expect(events.at(-1)).toEqual({ type: 'warning', code: undefined, detail });
  });

  test('max_age=0 is sent, and a sign-in of before does not count', async () => {
    const { browser, begin, grant } = await start({
      authorizationParams: { scope: 'openid', max_age: 0 },
    });
    const first = await begin();
    expect(first.request.get('max_age')).toBe('0');
    const [nonce, now] = [first.request.get('nonce'), Math.floor(Date.now() / 1000)];
    grant({ nonce, auth_time: now - 100 });
    expect(await codeOf(await browser.get(first.callback()))).toBe('ERR_ID_TOKEN');
    const second = await begin();
    grant({ nonce: second.request.get('nonce'), auth_time: now });
    expect((await browser.get(second.callback())).status).toBe(302);
  });

  test('a failed discovery is shared by those who wait, and the next try asks again', async () => {
    nock.cleanAll();
    let asked = 0;
    nock(ISSUER)
      .get('/.well-known/openid-configuration')
      .reply(() => {
        asked += 1;
        return [503, ''];
      });
    const { browser, events } = await start();
    const answers = await Promise.all([1, 2, 3].map(() => browser.get('/login')));
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(asked).toBe(1);
    expect(events.filter(({ type }) => type === 'sign_in_refused')).toHaveLength(3);
    nock.cleanAll();
    issuer = standInForIssuer();
    // The issuer is not asked again for 250 ms after it failed once.
    await sleep(300);
    expect((await browser.get('/login')).status).toBe(302);
  });
});

test.each<[string, string | null]>([
  ['resource', 'https://api.example'],
  ['audience', null],
])('the code of a sign-in with %s is exchanged for it (RFC 8707 §2.2)', async (name, expected) => {
  const { browser, begin } = await start({
    authorizationParams: { scope: 'openid', [name]: 'https://api.example' },
  });
  const { callback } = await begin();
  expect((await browser.get(callback())).status).toBe(302);
  const [sent] = issuer.tokenRequests;
  expect([sent?.form.get('resource'), sent?.form.get('audience')]).toEqual([expected, null]);
});

describe('pushed authorization requests (RFC 9126)', () => {
  const PAR = { pushed_authorization_request_endpoint: `${ISSUER}oauth/par` };

  test('only client_id and request_uri go through the browser', async () => {
    standInWith(PAR);
    const { browser, begin } = await start({ pushedAuthorizationRequests: true });
    const { request, callback } = await begin('/login?returnTo=/private');
    expect(Object.fromEntries(request)).toEqual({
      client_id: 'client-1',
      request_uri: 'urn:ietf:params:oauth:request_uri:1',
    });
    const [pushed] = issuer.pushedRequests;
    expect([...(pushed?.form.keys() ?? [])].sort()).toEqual([
      'audience',
      'client_id',
      'code_challenge',
      'code_challenge_method',
      'nonce',
      'redirect_uri',
      'response_type',
      'scope',
      'state',
    ]);
    expect(pushed?.authorization).toMatch(/^Basic /);
    expect(location(await browser.get(callback())).href).toBe(`${BASE_URL}/private`);
  });

  test('the issuer’s metadata may demand it', async () => {
    standInWith({ ...PAR, require_pushed_authorization_requests: true });
    const { begin } = await start();
    expect([...(await begin()).request.keys()]).toEqual(['client_id', 'request_uri']);
  });

  test.each<[string, Record<string, unknown>, object]>([
    ['where it was asked for', {}, { pushedAuthorizationRequests: true }],
    ['where the metadata demands it', { require_pushed_authorization_requests: true }, {}],
  ])('an issuer without the endpoint is not used, %s', async (_name, metadata, options) => {
    standInWith(metadata);
    const { browser } = await start(options);
    const response = await browser.get('/login');
    expect(response.status).toBe(502);
    expect(await codeOf(response)).toBe('ERR_ISSUER_UNSUITABLE');
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('a refused request is no sign-in, and falls back to nothing', async () => {
    standInWith(PAR);
    issuer.onPushedRequest = () => [401, { error: 'invalid_client' }];
    const { browser, events } = await start({ pushedAuthorizationRequests: true });
    const response = await browser.get('/login');
    expect(response.status).toBe(502);
    expect(response.headers.get('location')).toBeNull();
    expect(events.at(-1)).toEqual({
      type: 'sign_in_refused',
      durationMs: expect.any(Number),
      code: 'ERR_PUSHED_REQUEST',
      detail: 'pushed authorization request: invalid_client',
    });
  });
});

test('a public client proves itself by PKCE alone', async () => {
  const { browser, begin } = await start({ clientSecret: undefined, clientAuthMethod: 'none' });
  const { callback } = await begin();
  expect((await browser.get(callback())).status).toBe(302);
  const [sent] = issuer.tokenRequests;
  expect(sent?.authorization).toBeUndefined();
  expect([...(sent?.form.keys() ?? [])].sort()).toEqual([
    'client_id',
    'code',
    'code_verifier',
    'grant_type',
    'redirect_uri',
  ]);
});

describe('callback', () => {
  test.each(['state', 'code', 'iss', 'error', 'error_description', 'session_state'])(
    '%s twice: 400, and no token request',
    async (name) => {
      proves('RFC 9207 §2.4 other issuer');
      const { browser, begin } = await start();
      const { callback } = await begin();
      const params = new URLSearchParams(callback({ [name]: 'a' }).split('?')[1]);
      params.append(name, 'b');
      const response = await browser.get(`/callback?${params}`);
      expect(response.status).toBe(400);
      expect(await codeOf(response)).toBe('ERR_AUTHORIZATION_RESPONSE');
      expect(issuer.tokenRequests).toHaveLength(0);
    },
  );

  test('unknown parameters are ignored', async () => {
    const { browser, begin } = await start();
    const { callback } = await begin();
    expect((await browser.get(callback({ session_state: 'x', foo: 'y' }))).status).toBe(302);
  });

  test.each<[string, number, string]>([
    ['access_denied', 403, 'ERR_AUTHORIZATION_REFUSED'],
    ['login_required', 403, 'ERR_AUTHORIZATION_REFUSED'],
    ['temporarily_unavailable', 503, 'ERR_AUTHORIZATION_UNAVAILABLE'],
  ])('error=%s is a %i, and the sign-in is over', async (error, status, code) => {
    const { browser, begin, events } = await start();
    const { callback } = await begin();
    const response = await browser.get(
      callback({ code: undefined, error, error_description: 'Ada <b>said</b> no' }),
    );
    expect(response.status).toBe(status);
    expect(await codeOf(response)).toBe(code);
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
    expect((await browser.get(callback())).status).toBe(400);
    expect(events.slice(0, -1)).toContainEqual({
      type: 'sign_in_refused',
      durationMs: expect.any(Number),
      code,
      detail: error,
    });
    expect(JSON.stringify(events)).not.toContain('Ada');
  });

  const expired = {
    code: undefined,
    error: 'temporarily_unavailable',
    error_description: 'authentication_expired',
  };

  test('a login page that became too old at Keycloak is asked for again, once', async () => {
    const { browser, begin, events } = await start({}, async (ctx, next) => {
      if (ctx.path !== '/go') return next();
      await ctx.oidc.login({ returnTo: '/private', authorizationParams: { prompt: 'login' } });
    });
    const { callback } = await begin('/go');
    const again = location(await browser.get(callback(expired)));
    expect(again.origin + again.pathname).toBe(`${ISSUER}authorize`);
    expect(again.searchParams.get('prompt')).toBe('login');
    const state = again.searchParams.get('state') ?? '';
    expect(callback()).not.toContain(state);
    expect(events).toEqual([]);

    expect((await browser.get(callback({ ...expired, state }))).status).toBe(503);
  });

  test('no other description makes it ask again', async () => {
    const { browser, begin } = await start();
    const { callback } = await begin();
    const other = { ...expired, error_description: 'maintenance' };
    expect((await browser.get(callback(other))).status).toBe(503);
  });

  test.each<[string, Record<string, string>, number, RegExp]>([
    ['another browser', { host: new URL(BASE_URL).host }, 0, /^it began in another browser/],
    [
      'another host',
      { host: 'localhost:3000' },
      0,
      /^it began under another host or scheme than https:\/\/app\.example/,
    ],
    [
      'http, which the proxy names',
      { host: new URL(BASE_URL).host, 'x-forwarded-proto': 'http' },
      0,
      /^it began under another host or scheme than/,
    ],
    ['a user who took long', { host: new URL(BASE_URL).host }, 601, /more than ten minutes$/],
  ])('a callback without its cookie names its cause: %s', async (_name, headers, age, cause) => {
    let now = Date.now();
    const { served, browser, events } = await start({ now: () => now });
    const state = await stateOf(served.origin, headers);
    now += age * 1000;
    const response = await browser.get(`/callback?code=c&iss=${ISSUER}&state=${state}`);
    const { code, detail } = (await response.json()) as Record<string, string>;
    expect([response.status, code]).toEqual([400, 'ERR_UNEXPECTED_CALLBACK']);
    expect(detail).toMatch(cause);
    expect(events).toContainEqual({
      type: 'sign_in_refused',
      durationMs: expect.any(Number),
      code,
      detail,
    });
  });

  test('a callback that failed says at a reload that it was used before', async () => {
    const { browser, begin } = await start();
    const { callback } = await begin();
    issuer.onTokenRequest = () => [503, {}];
    expect((await browser.get(callback())).status).toBe(503);
    const reloaded = await browser.get(callback());
    expect(await reloaded.json()).toMatchObject({ detail: 'it was used before' });
  });

  test('a callback that was used before says so, a state of others too', async () => {
    const { browser, begin, events } = await start();
    const { callback } = await begin();
    await browser.get(callback());
    const again = await browser.get(callback(), { 'sec-fetch-dest': 'empty' });
    expect(await again.json()).toMatchObject({ detail: 'it was used before' });
    await browser.post('/logout');
    expect((await browser.get(callback({ state: 'of-others' }))).status).toBe(400);
    expect(events.at(-1)).toMatchObject({ detail: 'its "state" is none of this app' });
  });

  test.each([
    ['access_denied', 'its "state" is none of this app; it reports access_denied'],
    ['<script>', 'its "state" is none of this app'],
  ])('a callback without a state reports its error: %s', async (error, detail) => {
    const { browser, events } = await start();
    const response = await browser.get(`/callback?${new URLSearchParams({ error })}`);
    expect(await response.json()).toMatchObject({ code: 'ERR_UNEXPECTED_CALLBACK', detail });
    expect(events.at(-1)).toMatchObject({ detail });
  });

  test('the back button on a used callback leads a signed-in user home', async () => {
    proves('RFC 9700 §4.3');
    const { browser, begin, events } = await start();
    const { callback } = await begin('/login?returnTo=/private');
    await browser.get(callback());
    const again = await browser.get(callback());
    expect(again.status).toBe(302);
    expect(location(again).href).toBe(`${BASE_URL}/`);
    expect(issuer.tokenRequests).toHaveLength(1);
    expect(events.map(({ type }) => type)).not.toContain('sign_in_refused');
  });

  test('a callback by POST is refused clearly, before anything is read of it', async () => {
    const { browser, begin } = await start();
    const { callback } = await begin();
    const form = Object.fromEntries(new URLSearchParams(callback().split('?')[1]));
    const headers = { origin: new URL(ISSUER).origin, 'sec-fetch-site': 'cross-site' };
    const response = await browser.post('/callback', headers, form);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(await response.json()).toMatchObject({
      code: 'ERR_AUTHORIZATION_RESPONSE',
      detail: expect.stringContaining('form_post'),
    });
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test('redirect_uri is the same twice, whatever the proxy makes of the request', async () => {
    proves('RFC 9700 §4.13');
    const baseURL = 'https://app.example:8443/shop';
    const { browser, begin } = await start({ baseURL });
    const { request, callback } = await begin('/login?returnTo=/shop/login');
    expect(request.get('redirect_uri')).toBe(`${baseURL}/callback`);
    const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' };
    const finished = await browser.get(callback(), headers);
    expect([finished.status, finished.headers.get('location')]).toEqual([302, '/shop/']);
    expect(issuer.tokenRequests[0]?.form.get('redirect_uri')).toBe(`${baseURL}/callback`);
    expect((await browser.get(callback())).headers.get('location')).toBe('/shop/');
  });

  test('another user replaces all of the one before', async () => {
    const store = memoryStore();
    const { browser, signIn, begin, grant, events } = await start({ session: { store } });
    await signIn({ name: 'Ada', role: 'admin' });
    const [before] = await browser.jar.getCookies(BASE_URL);
    const { request, callback } = await begin();
    grant(
      { nonce: request.get('nonce'), sub: 'user-2', name: 'Bob' },
      { refresh_token: undefined },
    );
    await browser.get(callback());
    expect(await (await browser.get('/')).json()).toMatchObject({
      user: { sub: 'user-2', name: 'Bob' },
    });
    expect(await (await browser.get('/')).text()).not.toContain('admin');
    expect(await store.read(storeKey(before?.value ?? ''))).toBeUndefined();
    expect(issuer.revocations.map((form) => form.get('token'))).toEqual(['refresh-1']);
    expect(events.filter(({ type }) => type === 'session_ended')).toEqual([
      { type: 'session_ended', reason: 'replaced', sessions: 1 },
    ]);
  });

  test('two processes with one store make one token request of one callback', async () => {
    const store = memoryStore();
    const [one, other] = [await start({ session: { store } }), await start({ session: { store } })];
    const { callback } = await one.begin();
    const copies = await Promise.all(
      [one, other, one, other].map(async ({ served }) =>
        served.browser(await CookieJar.deserialize(await one.browser.jar.serialize())),
      ),
    );
    const answers = await Promise.all(copies.map((browser) => browser.get(callback())));
    expect(answers.map(({ status }) => status).sort()).toEqual([302, 400, 400, 400]);
    expect(issuer.tokenRequests).toHaveLength(1);
  });

  test('a store that cannot remember the callback: 503, no token request, and the sign-in can go on', async () => {
    const store = memoryStore();
    let isAway = true;
    const once: typeof store.once = (...args) =>
      isAway ? Promise.reject(new Error('away')) : store.once(...args);
    const { browser, begin } = await start({ session: { store: storeWith(store, { once }) } });
    const { callback } = await begin();
    const response = await browser.get(callback());
    expect(response.status).toBe(503);
    expect(await codeOf(response)).toBe('ERR_SESSION_STORE');
    expect(issuer.tokenRequests).toHaveLength(0);
    isAway = false;
    expect((await browser.get(callback())).status).toBe(302);
  });

  test('the answer to a request that went to another issuer is not accepted', async () => {
    proves('RFC 9700 §4.4');
    const { browser, begin } = await start();
    const { callback } = await begin();
    await apps.pop()?.served.close();
    nock.cleanAll();
    issuer = standInForIssuer();
    // The same app and secret by now, but of another issuer.
    const moved = await startWebApp(issuer, { issuerBaseURL: 'https://other.example/' });
    apps.push(moved);
    nock('https://other.example').get('/.well-known/openid-configuration').reply(200, {
      issuer: 'https://other.example/',
      jwks_uri: 'https://other.example/jwks',
      token_endpoint: 'https://other.example/oauth/token',
      authorization_endpoint: 'https://other.example/authorize',
    });
    const response = await moved.served
      .browser(browser.jar)
      .get(callback({ iss: 'https://other.example/' }));
    // Its cookie opens for its own issuer and client only.
    expect(await codeOf(response)).toBe('ERR_UNEXPECTED_CALLBACK');
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test('neither redirect is cached or sends a Referer', async () => {
    proves('RFC 9700 §4.2');
    const { browser, begin } = await start();
    const { callback } = await begin();
    const { headers } = await browser.get(callback());
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  });
});

describe('acr (OpenID Connect Core §5.5.1.1)', () => {
  const claims = JSON.stringify({ id_token: { acr: { essential: true, values: ['mfa', 'hw'] } } });

  test.each<[string, object, string | undefined, number]>([
    ['asked for as essential, and there', { claims }, 'hw', 302],
    ['asked for as essential, and another', { claims }, 'pwd', 502],
    ['asked for as essential, and missing', { claims }, undefined, 502],
    ['wished for, and another', { acr_values: 'mfa' }, 'pwd', 302],
    ['wished for, and missing', { acr_values: 'mfa' }, undefined, 302],
  ])('%s', async (_name, params, acr, status) => {
    const { browser, begin, grant } = await start({
      authorizationParams: { scope: 'openid', ...params },
    });
    const { request, callback } = await begin();
    grant({ nonce: request.get('nonce'), acr });
    expect((await browser.get(callback())).status).toBe(status);
  });
});

test('scope must contain openid', () => {
  expect(() =>
    auth({
      issuerBaseURL: ISSUER,
      baseURL: BASE_URL,
      clientID: 'c',
      clientSecret: 's',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'profile' },
    }),
  ).toThrow('must contain "openid"');
});
