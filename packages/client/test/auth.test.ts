import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Context, Middleware } from 'koa';
import Koa from 'koa';
import nock from 'nock';
import { CookieJar } from 'tough-cookie';
import { proves } from '../../../test/support/proves.ts';
import {
  type AuthOptions,
  auth,
  type ClientEvent,
  type OidcError,
  requiresAuth,
} from '../src/index.ts';
import { type NewSession, type SessionStore, storeKey } from '../src/session/session-store.ts';
import { memoryStore } from '../src/session/stores/memory.ts';
import { type Browser, type Served, serve } from './support/browser.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { storeWith } from './support/store-with.ts';

const BASE_URL = 'https://app.example';
const API = 'https://api.example/v1/';

let issuer: IssuerStandIn;
let store: SessionStore;
let served: Served | undefined;
let warnings: ClientEvent[];
let now: number;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  store = memoryStore({ now: () => now });
  warnings = [];
  now = Date.now();
});

afterEach(async () => {
  await served?.close();
  served = undefined;
  nock.cleanAll();
});

// It replaces node:http for all test files of a process until it is restored.
afterAll(() => nock.restore());

async function start(
  options: Partial<AuthOptions> = {},
  before: Middleware = (_ctx, next) => next(),
): Promise<Browser> {
  const app = new Koa();
  app.silent = true;
  app.use(before);
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      const { status, headers, code, message } = error as OidcError;
      ctx.status = status ?? 500;
      ctx.set({ ...headers } as Record<string, string>);
      ctx.body = { code, message };
    }
  });
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL: BASE_URL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid profile read', audience: 'https://api.example' },
      session: { store },
      api: { baseURL: API },
      onEvent: (event) => {
        if (event.type === 'warning') warnings.push(event);
      },
      now: () => now,
      ...options,
    }),
  );
  app.use(async function page(ctx, next) {
    if (ctx.path === '/') {
      ctx.body = { user: ctx.oidc.user, authenticated: ctx.oidc.isAuthenticated() };
    } else if (ctx.path === '/private') {
      await requiresAuth()(ctx, async () => {
        ctx.body = { token: (await ctx.oidc.accessToken()).value };
      });
    } else if (ctx.path === '/api') {
      ctx.body = (await ctx.oidc.api.get('things')).body;
    } else await next();
  });
  served = await serve(app, BASE_URL);
  return served.browser();
}

const location = (response: Response) => new URL(response.headers.get('location') ?? '', BASE_URL);

/** Starts a login; the token endpoint will answer it well. */
async function begin(browser: Browser, path = '/login?returnTo=/private') {
  const request = location(await browser.get(path)).searchParams;
  const state = request.get('state') ?? '';
  grant({ nonce: request.get('nonce') });
  const callback = `/callback?${new URLSearchParams({ code: 'code-1', state, iss: ISSUER })}`;
  return { request, state, callback };
}

function grant(claims: Record<string, unknown>, response: Record<string, unknown> = {}): void {
  issuer.onTokenRequest = () => [
    200,
    {
      access_token: 'access-1',
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: 'refresh-1',
      id_token: issuer.idToken({ name: 'Ada-Augusta Lovelace', ...claims }),
      ...response,
    },
  ];
}

async function signIn(browser: Browser): Promise<void> {
  const { callback } = await begin(browser);
  const response = await browser.get(callback);
  if (response.status !== 302) throw new Error(`no sign-in: ${await response.text()}`);
}

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

describe('an issuer with another address inside the network', () => {
  const inside = 'http://sso.inside:8080';

  function serveMetadata(): void {
    nock(inside)
      .get('/metadata')
      .reply(200, {
        issuer: ISSUER,
        jwks_uri: `${inside}/jwks`,
        authorization_endpoint: `${ISSUER}authorize`,
        token_endpoint: `${inside}/token`,
      });
  }

  test('is asked there, and browsers get its public address', async () => {
    serveMetadata();
    const browser = await start({ metadataURL: `${inside}/metadata`, unsafeAllowHTTP: true });
    const { status, headers } = await browser.get('/login');
    expect(status).toBe(302);
    expect(headers.get('location')).toMatch(`${ISSUER}authorize?`);
  });

  test('needs its metadata to name the public address', async () => {
    serveMetadata();
    const browser = await start({
      issuerBaseURL: 'https://other.example/',
      metadataURL: `${inside}/metadata`,
      unsafeAllowHTTP: true,
    });
    expect((await browser.get('/login')).status).toBe(503);
  });
});

describe('login (RFC 6749 §4.1.1, RFC 7636, OpenID Connect Core §3.1.2.1)', () => {
  test('redirects with exactly the parameters of the flow, whatever the query asks for', async () => {
    const browser = await start();
    const response = await browser.get('/login?returnTo=/private&prompt=none&scope=admin');
    expect(response.status).toBe(302);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const url = location(response);
    expect(url.origin + url.pathname).toBe(`${ISSUER}authorize`);
    const { state, nonce, code_challenge, ...rest } = Object.fromEntries(url.searchParams);
    expect(rest).toEqual({
      response_type: 'code',
      client_id: 'client-1',
      redirect_uri: `${BASE_URL}/callback`,
      scope: 'openid profile read',
      audience: 'https://api.example',
      code_challenge_method: 'S256',
    });
    expect(state).toMatch(/^[\w-]{43}\./);
    for (const value of [nonce, code_challenge]) expect(value).toMatch(/^[\w-]{43}$/);
  });

  test('keeps each transaction in a sealed __Host- cookie for ten minutes', async () => {
    const browser = await start();
    const response = await browser.get('/login');
    const [cookie = ''] = response.headers.getSetCookie();
    expect(cookie).toMatch(/^__Host-login\.session\.[\w-]{16}=/);
    expect(cookie).toMatch(/; path=\/; /i);
    expect(cookie).toMatch(/samesite=lax; secure; httponly/i);
    const state = location(response).searchParams.get('state') ?? '';
    expect(cookie).not.toContain(state);
    const [stored] = await browser.jar.getCookies(BASE_URL);
    expect(stored?.maxAge ?? Number(stored?.TTL()) / 1000).toBeCloseTo(600, -1);
  });

  test('a sixth login in one browser removes the oldest, and no other', async () => {
    const browser = await start();
    const started = [];
    for (let i = 0; i < 6; i += 1) {
      now += 10;
      started.push(await begin(browser));
    }
    expect(await browser.cookieNames()).toHaveLength(5);
    const [oldest, next] = started;
    expect((await browser.get(oldest?.callback ?? '')).status).toBe(400);
    grant({ nonce: next?.request.get('nonce') });
    expect((await browser.get(next?.callback ?? '')).status).toBe(302);
  });

  test.each([
    ['Sec-Purpose', 'prefetch;prerender'],
    ['Purpose', 'prefetch'],
    ['Next-Router-Prefetch', '1'],
  ])('a prefetch (%s: %s) starts none', async (name, value) => {
    const browser = await start();
    const response = await browser.get('/login', { [name]: value });
    expect(response.status).toBe(401);
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('a wrong path to return to becomes the start page', async () => {
    const browser = await start();
    const { callback } = await begin(browser, '/login?returnTo=https://evil.example/');
    expect(location(await browser.get(callback)).href).toBe(`${BASE_URL}/`);
  });

  test('the issuer being down is a 503, and the next try asks it again', async () => {
    nock.cleanAll();
    nock(ISSUER).get('/.well-known/openid-configuration').replyWithError('down');
    const browser = await start();
    const down = await browser.get('/login');
    expect(down.status).toBe(503);
    expect(down.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await browser.get('/')).status).toBe(200);
  });

  test('an issuer without S256 is not used', async () => {
    proves('RFC 9700 §2.1.1');
    nock.cleanAll();
    issuer = standInForIssuer({ code_challenge_methods_supported: ['plain'] });
    const browser = await start();
    expect(await codeOf(await browser.get('/login'))).toBe('ERR_ISSUER_UNSUITABLE');
  });
});

test('HEAD is answered like GET (RFC 9110 §9.3.2)', async () => {
  const browser = await start();
  const { status, headers } = await browser.head('/login');
  expect(status).toBe(302);
  expect(headers.get('location')).toContain(`${ISSUER}authorize?`);
});

describe('callback (RFC 6749 §4.1.2)', () => {
  test('exchanges the code with its secret and verifier, opens a session and returns', async () => {
    const browser = await start();
    const { request, callback } = await begin(browser, '/login?returnTo=/private%3Fa=1');
    const response = await browser.get(callback);
    expect(response.status).toBe(302);
    expect(location(response).href).toBe(`${BASE_URL}/private?a=1`);

    const [sent] = issuer.tokenRequests;
    const { code_verifier, ...form } = Object.fromEntries(sent?.form ?? []);
    expect(form).toEqual({
      grant_type: 'authorization_code',
      code: 'code-1',
      redirect_uri: `${BASE_URL}/callback`,
    });
    const challenge = createHash('sha256')
      .update(code_verifier ?? '')
      .digest('base64url');
    expect(challenge).toBe(request.get('code_challenge'));
    expect(sent?.authorization).toBe(
      `Basic ${Buffer.from('client-1:client-secret-1').toString('base64')}`,
    );
    expect(await browser.cookieNames()).toEqual(['__Host-session', '__Host-recent.session']);
    expect(await (await browser.get('/')).json()).toEqual({
      authenticated: true,
      user: { sub: 'user-1', name: 'Ada-Augusta Lovelace' },
    });
  });

  test.each([
    [
      'a prefetch',
      (path: string, browser: Browser) => browser.get(path, { 'sec-purpose': 'prefetch' }),
    ],
    ['a HEAD request', (path: string, browser: Browser) => browser.head(path)],
  ])('%s uses no code: the page that the user opens does', async (_name, send) => {
    const browser = await start();
    const { callback } = await begin(browser);
    expect((await send(callback, browser)).status).toBe(401);
    expect(issuer.tokenRequests).toEqual([]);
    expect(location(await browser.get(callback)).href).toBe(`${BASE_URL}/private`);
  });

  test('the store holds no token, code or claim in clear, and no session id', async () => {
    const written: string[] = [];
    const spied = storeWith(store, {
      create: (key: string, session: NewSession) => {
        written.push(key, session.sealed);
        return store.create(key, session);
      },
    });
    const browser = await start({ session: { store: spied } });
    await signIn(browser);
    const [cookie] = await browser.jar.getCookies(BASE_URL);
    expect(written[0]).toBe(storeKey(cookie?.value ?? ''));
    for (const secret of ['access-1', 'refresh-1', 'Augusta Lovelace', cookie?.value ?? '']) {
      expect(written.join()).not.toContain(secret);
    }
  });

  const refused: [name: string, change: (params: URLSearchParams) => void, code: string][] = [
    ['no state', (p) => p.delete('state'), 'ERR_UNEXPECTED_CALLBACK'],
    [
      'a state that was not issued',
      (p) => p.set('state', 'x'.repeat(43)),
      'ERR_UNEXPECTED_CALLBACK',
    ],
    ['two states', (p) => p.append('state', 'y'), 'ERR_AUTHORIZATION_RESPONSE'],
    ['two codes', (p) => p.append('code', 'y'), 'ERR_AUTHORIZATION_RESPONSE'],
    ['two issuers', (p) => p.append('iss', ISSUER), 'ERR_AUTHORIZATION_RESPONSE'],
    ['no code', (p) => p.delete('code'), 'ERR_AUTHORIZATION_RESPONSE'],
    ['another iss', (p) => p.set('iss', 'https://evil.example/'), 'ERR_ISSUER_MISMATCH'],
    ['iss without its slash', (p) => p.set('iss', ISSUER.slice(0, -1)), 'ERR_ISSUER_MISMATCH'],
    ['no iss, though promised', (p) => p.delete('iss'), 'ERR_ISSUER_MISMATCH'],
  ];
  test.each(refused)('%s: 400, and no token request', async (_name, change, code) => {
    proves('RFC 9700 §4.4', 'RFC 9700 §4.6', 'ASVS 10.2.1');
    const browser = await start();
    const { callback } = await begin(browser);
    const params = new URLSearchParams(callback.split('?')[1]);
    change(params);
    const response = await browser.get(`/callback?${params}`);
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe(code);
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test('a callback without a login is a 400, and no token request', async () => {
    proves('RFC 9700 §4.7');
    const browser = await start();
    const response = await browser.get('/callback?code=c&state=s');
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe('ERR_UNEXPECTED_CALLBACK');
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test('another browser cannot finish a login', async () => {
    proves('RFC 9700 §2.1 CSRF', 'ASVS 10.1.2');
    const browser = await start();
    const { callback } = await begin(browser);
    const other = served?.browser();
    expect((await other?.get(callback))?.status).toBe(400);
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test('the same callback twice, even with the cookie put back, makes one token request', async () => {
    const browser = await start();
    const { callback } = await begin(browser);
    const copy = await CookieJar.deserialize(await browser.jar.serialize());
    const answers = await Promise.all([
      browser.get(callback),
      served?.browser(copy).get(callback),
      browser.get(callback),
    ]);
    const statuses = answers.map((response) => response?.status).sort();
    expect(statuses).toEqual([302, 400, 400]);
    expect(issuer.tokenRequests).toHaveLength(1);
  });

  test.each([
    ['changed', (value: string) => `${value.slice(0, -4)}AAAA`],
    ['cut', (value: string) => value.slice(0, 40)],
    ['empty', () => ''],
  ])('a transaction cookie that was %s counts as none', async (_name, change) => {
    const browser = await start();
    const { callback } = await begin(browser);
    const [cookie] = await browser.jar.getCookies(BASE_URL);
    if (!cookie) throw new Error('no cookie');
    cookie.value = change(cookie.value);
    await browser.jar.setCookie(cookie, BASE_URL);
    expect(await codeOf(await browser.get(callback))).toBe('ERR_UNEXPECTED_CALLBACK');
  });

  test('the cookie of one login under the name of another counts as none', async () => {
    const browser = await start();
    const [first, second] = [await begin(browser), await begin(browser)];
    const [a, b] = await browser.jar.getCookies(BASE_URL);
    if (!a || !b) throw new Error('no cookies');
    [a.value, b.value] = [b.value, a.value];
    await browser.jar.setCookie(a, BASE_URL);
    await browser.jar.setCookie(b, BASE_URL);
    for (const { callback } of [first, second]) {
      expect(await codeOf(await browser.get(callback))).toBe('ERR_UNEXPECTED_CALLBACK');
    }
  });

  test('a transaction older than ten minutes counts as none', async () => {
    const browser = await start();
    const { callback } = await begin(browser);
    now += 601_000;
    expect(await codeOf(await browser.get(callback))).toBe('ERR_UNEXPECTED_CALLBACK');
  });

  test('two tabs both finish, in either order', async () => {
    const browser = await start();
    const first = await begin(browser);
    const second = await begin(browser);
    expect((await browser.get(second.callback)).status).toBe(302);
    grant({ nonce: first.request.get('nonce') });
    expect((await browser.get(first.callback)).status).toBe(302);
  });

  test('an error of the issuer is reported, its transaction gone, its text bounded', async () => {
    const browser = await start();
    const { state } = await begin(browser);
    const error_description = `no\u0000 <script>${'x'.repeat(1000)}`;
    const params = { error: 'access_denied', error_description, state, iss: ISSUER };
    const response = await browser.get(`/callback?${new URLSearchParams(params)}`);
    expect(response.status).toBe(403);
    const text = await response.text();
    expect(text).toContain('ERR_AUTHORIZATION_REFUSED');
    expect(text).not.toContain('script');
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
    expect(issuer.tokenRequests).toHaveLength(0);
  });

  test.each([
    ['an error from another issuer', { error: 'access_denied', iss: 'https://evil.example/' }],
    ['an error without the promised iss', { error: 'access_denied' }],
  ])('%s is not believed', async (_name, params) => {
    proves('RFC 9207 §2.4 missing iss');
    const browser = await start();
    const { state } = await begin(browser);
    const response = await browser.get(`/callback?${new URLSearchParams({ ...params, state })}`);
    expect(await codeOf(response)).toBe('ERR_ISSUER_MISMATCH');
  });

  test.each([
    ['an ID token for another nonce', { nonce: 'other' }, {}, 502, 'ERR_ID_TOKEN'],
    ['no ID token', {}, { id_token: undefined }, 502, 'ERR_TOKEN_RESPONSE'],
    ['another token type', {}, { token_type: 'DPoP' }, 502, 'ERR_TOKEN_RESPONSE'],
    ['an ID token for another client', { aud: 'client-2' }, {}, 502, 'ERR_ID_TOKEN'],
  ])('%s opens no session', async (_name, claims, response, status, code) => {
    proves('RFC 9700 §4.5', 'ASVS 10.5.1');
    const browser = await start();
    const { callback, request } = await begin(browser);
    grant({ nonce: request.get('nonce'), ...claims }, response);
    const answer = await browser.get(callback);
    expect(answer.status).toBe(status);
    expect(await codeOf(answer)).toBe(code);
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
  });

  test.each([
    ['invalid_grant', 400, 'ERR_CODE_REFUSED'],
    ['invalid_client', 502, 'ERR_TOKEN_REQUEST_REFUSED'],
  ])('a code answered with %s: %i, and no session', async (error, status, code) => {
    const browser = await start();
    const { callback } = await begin(browser);
    issuer.onTokenRequest = () => [403, { error, error_description: 'Invalid code' }];
    const answer = await browser.get(callback);
    expect(answer.status).toBe(status);
    expect(await codeOf(answer)).toBe(code);
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
  });

  test('without an error handler of the app, the used transaction is cleared all the same', async () => {
    const app = new Koa();
    app.silent = true;
    app.use(
      auth({
        issuerBaseURL: ISSUER,
        baseURL: BASE_URL,
        clientID: 'client-1',
        clientSecret: 'client-secret-1',
        secret: 's-secret-of-the-tests-0123456789',
      }),
    );
    served = await serve(app, BASE_URL);
    const browser = served.browser();
    const { state } = await begin(browser);
    const params = new URLSearchParams({ error: 'access_denied', state, iss: ISSUER });
    const response = await browser.get(`/callback?${params}`);
    expect(response.status).toBe(403);
    expect(await response.text()).toBe(
      'the authorization server refused the sign-in (ERR_AUTHORIZATION_REFUSED)',
    );
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
  });
});

describe('cookies that others planted', () => {
  const planted = Array.from({ length: 700 }, (_, index) => `__Host-login.${index}=`);
  const shaped = planted
    .slice(0, 300)
    .map((_, i) => `__Host-login.${String(i).padStart(16, '0')}=`);
  const cases: [string, string[]][] = [
    ['with any name', planted],
    ['with the name of a login', shaped],
    ['with a name that no header may have', ['__Host-login.é=1', '__Host-login."[=1']],
  ];

  test.each(cases)('%s cost a few Set-Cookie headers and no memory', async (_name, cookies) => {
    const asked: string[] = [];
    const browser = await start({}, async function spy(ctx, next) {
      ctx.cookies.get = (name) => {
        asked.push(name);
        return undefined;
      };
      await next();
    });
    const cookie = Buffer.from(cookies.join('; ')).toString('latin1');
    for (const response of [
      await browser.get('/login', { cookie }),
      await browser.post('/logout', { cookie }),
      await browser.get('/callback?code=c&state=made-up', { cookie }),
    ]) {
      expect(response.status).toBeLessThanOrEqual(400);
      expect(response.headers.getSetCookie().length).toBeLessThanOrEqual(22);
    }
    // The cookies module keeps what it compiled of each name for ever.
    expect(asked).toEqual([]);
  });
});

describe('session', () => {
  test('a new login gets a new id, and the old one is dead in the store', async () => {
    proves('ASVS 7.2.4');
    const browser = await start();
    await signIn(browser);
    const [before] = await browser.jar.getCookies(BASE_URL);
    await signIn(browser);
    const [after] = await browser.jar.getCookies(BASE_URL);
    expect(after?.value).not.toBe(before?.value);
    expect(await store.read(storeKey(before?.value ?? ''))).toBeUndefined();
  });

  test('a new login of the same user revokes nothing: the new tokens could end too (RFC 7009 §2.1)', async () => {
    const browser = await start();
    await signIn(browser);
    const { callback, request } = await begin(browser);
    grant({ nonce: request.get('nonce') }, { refresh_token: 'refresh-2' });
    const answer = await browser.get(callback);
    expect(answer.status).toBe(302);
    // The same user may look at the pages of before.
    expect(answer.headers.get('clear-site-data')).toBeNull();
    expect(issuer.revocations).toEqual([]);
  });

  test('a login of another user goes on though the old refresh token could not be revoked', async () => {
    const browser = await start();
    await signIn(browser);
    issuer.revocationStatus = 503;
    const { callback, request } = await begin(browser);
    grant({ nonce: request.get('nonce'), sub: 'user-2' });
    expect((await browser.get(callback)).status).toBe(302);
    expect(warnings).toHaveLength(1);
    expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: true });
  });

  test('ends after a day without a request, but not when used', async () => {
    proves('ASVS 7.3.1');
    const browser = await start();
    await signIn(browser);
    for (let i = 0; i < 3; i += 1) {
      now += 86_000_000;
      expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: true });
    }
    now += 86_400_000;
    expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: false });
  });

  test('ends a week after the sign-in, used or not', async () => {
    proves('ASVS 7.3.2');
    const browser = await start();
    await signIn(browser);
    for (let day = 0; day < 7; day += 1) {
      expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: true });
      now += 86_399_000;
    }
    now += 7000;
    expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: false });
  });

  test('an old secret still opens, a retired one does not', async () => {
    const [old, fresh] = ['o-secret-of-the-tests-0123456789', 'f-secret-of-the-tests-0123456789'];
    const browser = await start({ secret: old });
    await signIn(browser);
    await served?.close();
    const { jar } = browser;
    await start({ secret: [fresh, old] });
    expect(await (await served?.browser(jar).get('/'))?.json()).toMatchObject({
      authenticated: true,
    });
    await served?.close();
    await start({ secret: fresh });
    expect(await (await served?.browser(jar).get('/'))?.json()).toMatchObject({
      authenticated: false,
    });
  });

  test('visits without a user write nothing', async () => {
    const fail = async () => {
      throw new Error('written');
    };
    const guarded = storeWith(store, { create: fail, update: fail, touch: fail, destroy: fail });
    const browser = await start({ session: { store: guarded } });
    const response = await browser.get('/');
    expect(response.status).toBe(200);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test('a store that cannot be written is a 503, and leaves no half session', async () => {
    const create = async () => {
      throw new Error('the disk is full');
    };
    const browser = await start({ session: { store: storeWith(store, { create }) } });
    const { callback } = await begin(browser);
    const response = await browser.get(callback);
    expect(response.status).toBe(503);
    expect(await codeOf(response)).toBe('ERR_SESSION_STORE');
    expect(await browser.cookieNames()).toEqual(['__Host-recent.session']);
  });
});

describe('an answer whose headers leave early', () => {
  const stream = () => {
    let left = 3;
    return new Readable({
      read() {
        left -= 1;
        this.push(left >= 0 ? 'part ' : null);
      },
    });
  };

  test.each<[string, (ctx: Context) => void]>([
    [
      'as a stream',
      (ctx) => {
        ctx.body = stream();
      },
    ],
    [
      'flushed by hand',
      (ctx) => {
        ctx.respond = false;
        ctx.res.statusCode = 200;
        // The length of the redirect's own text.
        ctx.remove('Content-Length');
        ctx.res.flushHeaders();
        stream().pipe(ctx.res);
      },
    ],
  ])('an early answer still carries the session’s cookie, %s', async (_name, answer) => {
    const browser = await start({}, async (ctx, next) => {
      await next();
      if (ctx.path !== '/callback') return;
      ctx.status = 200;
      answer(ctx);
    });
    const { callback } = await begin(browser);
    const response = await browser.get(callback);
    expect(await response.text()).toBe('part part part ');
    expect(await browser.cookieNames()).toEqual(['__Host-session', '__Host-recent.session']);
    expect(await (await browser.get('/')).json()).toMatchObject({ authenticated: true });
  });
});

describe('requiresAuth', () => {
  test('sends a page to sign in and brings it back', async () => {
    const browser = await start();
    const { callback } = await begin(browser, '/private?tab=2');
    expect(location(await browser.get(callback)).href).toBe(`${BASE_URL}/private?tab=2`);
    expect(await (await browser.get('/private')).json()).toEqual({ token: 'access-1' });
  });

  test.each([
    ['a script', { 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors' }],
    ['an XMLHttpRequest', { 'x-requested-with': 'XMLHttpRequest' }],
    ['a client of JSON', { accept: 'application/json', 'sec-fetch-dest': '' }],
    ['a prefetch', { 'sec-purpose': 'prefetch' }],
  ])('%s gets a 401 and no cookie', async (_name, headers) => {
    const browser = await start();
    const response = await browser.get('/private', {
      'sec-fetch-mode': '',
      ...(headers as Record<string, string>),
    });
    expect(response.status).toBe(401);
    expect(await codeOf(response)).toBe('ERR_LOGIN_REQUIRED');
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('a form whose session ended gets a 401, no redirect', async () => {
    const browser = await start();
    expect((await browser.post('/private')).status).toBe(401);
  });

  test('a refused refresh token leads to a new sign-in', async () => {
    const browser = await start();
    await signIn(browser);
    issuer.onTokenRequest = () => [400, { error: 'invalid_grant' }];
    now += 3_600_000;
    const response = await browser.get('/private');
    expect(response.status).toBe(302);
    expect(location(response).origin).toBe(new URL(ISSUER).origin);
  });
});

describe('access token and API', () => {
  test('100 requests at once with an expired token make one refresh', async () => {
    const browser = await start();
    await signIn(browser);
    now += 3_600_000;
    issuer.tokenRequests.length = 0;
    grant({}, { access_token: 'access-2', refresh_token: 'refresh-2', id_token: undefined });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => (await browser.get('/private')).json()),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set(['{"token":"access-2"}']),
    );
    expect(issuer.tokenRequests.map(({ form }) => form.get('refresh_token'))).toEqual([
      'refresh-1',
    ]);
  });

  test('the API gets the token of the session', async () => {
    const browser = await start();
    await signIn(browser);
    const api = nock('https://api.example').matchHeader('authorization', 'Bearer access-1');
    api.get('/v1/things').reply(200, { items: [1] });
    expect(await (await browser.get('/api')).json()).toEqual({ items: [1] });
  });

  test('without a session there is no request to the API', async () => {
    const browser = await start();
    expect(await codeOf(await browser.get('/api'))).toBe('ERR_LOGIN_REQUIRED');
  });
});
