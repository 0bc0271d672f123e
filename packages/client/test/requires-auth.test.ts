import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Middleware } from 'koa';
import Koa from 'koa';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import {
  type ApiError,
  auth,
  type OidcError,
  type RequiresAuthOptions,
  requiresAuth,
} from '../src/index.ts';
import { type SessionStore, storeKey } from '../src/session/session-store.ts';
import { memoryStore } from '../src/session/stores/memory.ts';
import { type Browser, type Served, serve } from './support/browser.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';

const BASE_URL = 'https://app.example';
const API = 'https://api.example';
const BASE_SCOPE = 'openid profile read';

let issuer: IssuerStandIn;
let store: SessionStore;
let served: Served | undefined;
let now: number;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  now = Date.now();
  store = memoryStore({ now: () => now });
});

afterEach(async () => {
  await served?.close();
  served = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

const callApi: Middleware = async (ctx) => {
  ctx.body = (await ctx.oidc.api.get('things')).body;
};

/** An app whose every page needs a sign-in like this. */
async function start(options?: RequiresAuthOptions, page: Middleware = callApi): Promise<Browser> {
  const app = new Koa();
  app.silent = true;
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      const { status, headers } = error as OidcError;
      ctx.status = status ?? 500;
      ctx.set({ ...headers } as Record<string, string>);
      ctx.body = JSON.stringify(error);
      ctx.type = 'json';
    }
  });
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL: BASE_URL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: BASE_SCOPE },
      session: { store },
      api: { baseURL: API },
      now: () => now,
    }),
  );
  app.use(requiresAuth(options));
  app.use(page);
  served = await serve(app, BASE_URL);
  return served.browser();
}

const location = (response: Response) => new URL(response.headers.get('location') ?? '', BASE_URL);
const answerOf = async (response: Response) => (await response.json()) as Record<string, unknown>;

interface Granted {
  /** Undefined: as asked. */
  scope?: string;
  claims?: Record<string, unknown>;
  refreshToken?: string;
}

/** Follows the redirect of a page like the authorization server. */
async function signIn(browser: Browser, response: Response, granted: Granted = {}) {
  if (response.status !== 302) throw new Error(`no redirect: ${await response.text()}`);
  const request = Object.fromEntries(location(response).searchParams);
  const { nonce, state = '' } = request;
  issuer.onTokenRequest = () => [
    200,
    {
      access_token: 'access-1',
      token_type: 'Bearer',
      expires_in: 3600,
      id_token: issuer.idToken({ nonce, ...granted.claims }),
      refresh_token: granted.refreshToken,
      scope: granted.scope,
    },
  ];
  const params = new URLSearchParams({ code: 'code-1', state, iss: ISSUER });
  const back = await browser.get(`/callback?${params}`);
  if (back.status !== 302) throw new Error(`no sign-in: ${await back.text()}`);
  return { request, returnTo: location(back).href };
}

function refuseWith(scope: string, times = 1): void {
  const challenge = `Bearer error="insufficient_scope", scope="${scope}"`;
  nock(API).get('/things').times(times).reply(403, {}, { 'WWW-Authenticate': challenge });
}

describe('without a user', () => {
  test('a page is sent to sign in and comes back', async () => {
    const browser = await start();
    const { request, returnTo } = await signIn(browser, await browser.get('/page?tab=2'));
    expect(request.scope).toBe(BASE_SCOPE);
    expect(returnTo).toBe(`${BASE_URL}/page?tab=2`);
  });

  test.each([
    ['Sec-Purpose', 'prefetch'],
    ['Sec-Purpose', 'prefetch;prerender'],
    ['Sec-Purpose', 'prefetch;anonymous-client-ip'],
    ['X-Sec-Purpose', 'prefetch'],
    ['Purpose', 'prefetch'],
    ['X-Purpose', 'preview'],
    ['X-Moz', 'prefetch'],
    ['Next-Router-Prefetch', '1'],
  ])('a prefetch (%s: %s) begins no sign-in, of a page or by its route', async (name, value) => {
    proves('ASVS 7.6.2', 'FAPI 2.0 §5.3.3.1-12');
    const browser = await start();
    for (const path of ['/page', '/login']) {
      const response = await browser.get(path, { [name]: value });
      expect(response.status).toBe(401);
      expect(await answerOf(response)).toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    }
    expect(await browser.cookieNames()).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ['fetch()', { accept: '*/*', 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors' }],
    ['fetch() for HTML', { 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'same-origin' }],
    ['XMLHttpRequest', { 'sec-fetch-dest': '', 'x-requested-with': 'XMLHttpRequest' }],
  ])('%s gets a 401 in JSON and no cookie, from a page and from /login', async (_name, headers) => {
    proves('FAPI 2.0 §5.3.3.1-12');
    const browser = await start();
    for (const path of ['/page', '/login']) {
      const response = await browser.get(path, headers);
      expect(response.status).toBe(401);
      expect(response.headers.get('location')).toBeNull();
      expect(await answerOf(response)).toEqual({
        code: 'ERR_LOGIN_REQUIRED',
        status: 401,
        message: 'sign in to continue (ERR_LOGIN_REQUIRED)',
      });
    }
    expect(await browser.cookieNames()).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    [
      'a client of JSON',
      { accept: 'application/json', 'sec-fetch-dest': '', 'sec-fetch-mode': '' },
    ],
    ['an image', { accept: 'image/*', 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors' }],
  ])('%s gets a 401 and no cookie', async (_name, headers) => {
    const browser = await start();
    expect((await browser.get('/page', headers)).status).toBe(401);
    expect((await browser.post('/page')).status).toBe(401);
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('returnTo rejects a path that looks like a host', async () => {
    const browser = await start();
    const { returnTo } = await signIn(browser, await browser.get('//evil.example/x'));
    expect(returnTo).toBe(`${BASE_URL}/`);
  });
});

describe('a callback that is over', () => {
  const over = async () => {
    const browser = await start();
    const response = await browser.get('/page');
    const { request } = await signIn(browser, response);
    issuer.tokenRequests.length = 0;
    const { state = '' } = request;
    const path = `/callback?${new URLSearchParams({ code: 'code-1', state, iss: ISSUER })}`;
    return { browser, path };
  };

  test('leads home who is signed in, and asks the token endpoint nothing', async () => {
    const { browser, path } = await over();
    const response = await browser.get(path);
    expect(response.status).toBe(302);
    expect(location(response).href).toBe(`${BASE_URL}/`);
    expect(issuer.tokenRequests).toEqual([]);
    expect(await browser.cookieNames()).toEqual(['__Host-session', '__Host-recent.session']);
  });

  test('is a 400 for anyone else, and for a script', async () => {
    const { browser, path } = await over();
    expect((await browser.get(path, { 'sec-fetch-dest': 'empty' })).status).toBe(400);
    expect((await served?.browser().get(path))?.status).toBe(400);
    expect(issuer.tokenRequests).toEqual([]);
  });
});

describe('maxAge', () => {
  const seconds = () => Math.floor(now / 1000);
  const page: Middleware = (ctx) => {
    ctx.body = 'changed';
  };

  test('asks for a sign-in with max_age when there is no auth_time, or it is long ago', async () => {
    proves('ASVS 7.5.1');
    const browser = await start({ maxAge: 300 }, page);
    await signIn(browser, await browser.get('/login'));
    const { request, returnTo } = await signIn(browser, await browser.get('/password'), {
      claims: { auth_time: seconds() },
    });
    expect(request.max_age).toBe('300');
    expect(returnTo).toBe(`${BASE_URL}/password`);
    expect((await browser.get('/password')).status).toBe(200);

    now += 361_000;
    expect(location(await browser.get('/password')).searchParams.get('max_age')).toBe('300');
  });

  test('clocks that differ within the tolerance make no endless chain', async () => {
    const browser = await start({ maxAge: 0 }, page);
    await signIn(browser, await browser.get('/password'), {
      claims: { auth_time: seconds() - 50 },
    });
    expect((await browser.get('/password')).status).toBe(200);
  });

  test('a form and a script get a 401 that says so', async () => {
    const browser = await start({ maxAge: 0 }, page);
    await signIn(browser, await browser.get('/login'));
    for (const response of [
      await browser.post('/password'),
      await browser.get('/password', { 'sec-fetch-dest': 'empty' }),
    ]) {
      expect(response.status).toBe(401);
      expect(await answerOf(response)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });
    }
  });

  test('an authorization server that does not sign in again opens no session', async () => {
    const browser = await start({ maxAge: 300 }, page);
    await signIn(browser, await browser.get('/login'));
    const again = signIn(browser, await browser.get('/password'), {
      claims: { auth_time: seconds() - 1000 },
    });
    await expect(again).rejects.toThrow('ERR_ID_TOKEN');
  });
});

describe('acr (OpenID Connect Core §3.1.2.1)', () => {
  test('asks for a stronger sign-in, once', async () => {
    proves('ASVS 7.5.3');
    const browser = await start({ acr: 'mfa passkey' }, (ctx) => {
      ctx.body = 'in';
    });
    await signIn(browser, await browser.get('/login'), { claims: { acr: 'password' } });
    const { request } = await signIn(browser, await browser.get('/vault'), {
      claims: { acr: 'password' },
    });
    expect(request.acr_values).toBe('mfa passkey');
    const refused = await browser.get('/vault');
    expect(refused.status).toBe(401);
    expect(await answerOf(refused)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });

    await signIn(browser, await browser.get('/login'));
    await signIn(browser, await browser.get('/vault'), { claims: { acr: 'passkey' } });
    expect((await browser.get('/vault')).status).toBe(200);
  });
});

describe('a stronger or newer sign-in that the API demands (RFC 9470)', () => {
  const seconds = () => Math.floor(now / 1000);

  function demand(attributes: string, times = 1): void {
    const challenge = `Bearer realm="a", error="insufficient_user_authentication", ${attributes}`;
    const headers = { 'WWW-Authenticate': challenge };
    nock(API).get('/things').times(times).reply(401, {}, headers);
  }

  test('a page gets exactly that sign-in, and its GET is repeated', async () => {
    proves('ASVS 7.5.3');
    const browser = await start();
    await signIn(browser, await browser.get('/login'));
    demand('acr_values="urn:mfa passkey", max_age=300');
    const { request, returnTo } = await signIn(browser, await browser.get('/things?page=2'), {
      claims: { auth_time: seconds() },
    });
    expect(request).toMatchObject({ acr_values: 'urn:mfa passkey', max_age: '300' });
    expect(returnTo).toBe(`${BASE_URL}/things?page=2`);
    nock(API).get('/things').reply(200, { items: [] });
    expect(await answerOf(await browser.get('/things?page=2'))).toEqual({ items: [] });
  });

  test.each([
    ['acr_values', 'acr_values="mfa"'],
    ['max_age', 'max_age="300"'],
    ['a max_age of 0', 'max_age=0'],
    ['both', 'acr_values="mfa", max_age="300"'],
  ])(
    '%s: an issuer that does not raise it is asked once, in all processes',
    async (_name, sent) => {
      const browser = await start();
      await signIn(browser, await browser.get('/login'), { claims: { auth_time: seconds() } });
      demand(sent, 3);
      const claims = { auth_time: seconds() };
      await signIn(browser, await browser.get('/things'), { claims });
      now += 10_000;
      const refused = await browser.get('/things');
      expect(refused.status).toBe(401);
      expect(await answerOf(refused)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });

      const { jar } = browser;
      await served?.close();
      await start();
      const elsewhere = await served?.browser(jar).get('/things');
      expect(elsewhere?.status).toBe(401);
      expect(elsewhere?.headers.getSetCookie()).toEqual([]);
    },
  );

  test.each(['max_age=300', 'acr_values="mfa", max_age=300'])(
    '%s: when the sign-in is too old again, it is repeated',
    async (sent) => {
      const browser = await start();
      await signIn(browser, await browser.get('/login'));
      demand(sent, 2);
      const claims = { auth_time: seconds(), acr: 'mfa' };
      await signIn(browser, await browser.get('/things'), { claims });
      now += 301_000;
      const { searchParams } = location(await browser.get('/things'));
      expect(searchParams.get('max_age')).toBe('300');
    },
  );

  test('an issuer that ignores max_age opens no session (OpenID Connect Core §3.1.2.1)', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'));
    demand('max_age=300');
    const again = signIn(browser, await browser.get('/things'), {
      claims: { auth_time: seconds() - 1000 },
    });
    await expect(again).rejects.toThrow('ERR_ID_TOKEN');
  });

  test('routes that demand different strengths in turn end as a loop', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'));
    let response: Response;
    let signIns = 0;
    for (;;) {
      demand(`acr_values="level-${signIns % 2}"`);
      response = await browser.get('/things');
      if (response.status !== 302 || signIns > 9) break;
      await signIn(browser, response);
      signIns += 1;
    }
    expect(await answerOf(response)).toMatchObject({ code: 'ERR_LOGIN_LOOP' });
    expect(signIns).toBe(2);
  });

  test('a form and a script get the error, and the app what a button needs', async () => {
    const browser = await start({}, async (ctx) => {
      try {
        await callApi(ctx, async () => {});
      } catch (error) {
        const { requirement } = error as ApiError;
        ctx.status = 401;
        ctx.body = { requirement, params: ctx.oidc.stepUp(error) };
      }
    });
    await signIn(browser, await browser.get('/login'));
    demand('acr_values="mfa", max_age=60', 2);
    for (const response of [
      await browser.post('/things'),
      await browser.get('/things', { 'sec-fetch-dest': 'empty' }),
    ]) {
      expect(response.status).toBe(401);
      expect(await answerOf(response)).toEqual({
        requirement: { acr: 'mfa', maxAge: 60 },
        params: { authorizationParams: { acr_values: 'mfa', max_age: 60 }, scope: '' },
      });
    }
  });

  test('a challenge that names no usable sign-in can only surface', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'));
    for (const sent of ['x="y"', 'max_age="-1"', 'acr_values="mfa", max_age="1e9"']) {
      demand(sent);
      const response = await browser.get('/things');
      expect([response.status, response.headers.get('location')]).toEqual([401, null]);
      expect(await answerOf(response)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });
    }
  });
});

describe('a scope that was not granted', () => {
  test('scope: a page asks for all scopes so far and the missing one, then opens', async () => {
    const browser = await start({ scope: 'write' }, (ctx) => {
      ctx.body = 'in';
    });
    await signIn(browser, await browser.get('/login'), { scope: 'openid profile read extra' });
    const { request, returnTo } = await signIn(browser, await browser.get('/edit?id=1'));
    expect(request.scope).toBe('openid profile read extra write');
    expect(returnTo).toBe(`${BASE_URL}/edit?id=1`);
    expect((await browser.get('/edit?id=1')).status).toBe(200);
  });

  test('a page asks for a scope that the API names, under a new session id', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    const [before] = await browser.jar.getCookies(BASE_URL);
    refuseWith('write');
    const { request, returnTo } = await signIn(browser, await browser.get('/edit'));
    expect(request.scope).toBe(`${BASE_SCOPE} write`);
    expect(returnTo).toBe(`${BASE_URL}/edit`);
    const after = (await browser.jar.getCookies(BASE_URL)).find(({ key }) => key === before?.key);
    expect(after?.value).not.toBe(before?.value);
    expect(await store.read(storeKey(before?.value ?? ''))).toBeUndefined();
    nock(API).get('/things').reply(200, { items: [] });
    expect(await answerOf(await browser.get('/edit'))).toEqual({ items: [] });
  });

  test('asked for and not granted, it is a 403 from then on, in every process', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('write', 3);
    await signIn(browser, await browser.get('/edit'), { scope: BASE_SCOPE });
    const refused = await browser.get('/edit');
    expect(refused.status).toBe(403);
    expect(await answerOf(refused)).toMatchObject({
      code: 'ERR_INSUFFICIENT_SCOPE',
      scope: 'write',
    });

    const { jar } = browser;
    await served?.close();
    await start();
    expect((await served?.browser(jar).get('/edit'))?.status).toBe(403);
  });

  test('an API that names ever new ones starts no endless chain', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    let status = 302;
    let signIns = 0;
    for (; status === 302 && signIns < 50; signIns += 1) {
      refuseWith(`scope-${signIns}`);
      const response = await browser.get('/edit');
      status = response.status;
      if (status === 302) await signIn(browser, response, { scope: BASE_SCOPE });
    }
    expect(status).toBe(403);
    expect(signIns).toBeLessThanOrEqual(21);
  });

  test('an API that names offline_access does not get it unless the app asked for it', async () => {
    proves('ASVS 10.2.3', 'FAPI 2.0 §5.3.3.1-13');
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('offline_access write');
    const { searchParams } = location(await browser.get('/edit'));
    expect(searchParams.get('scope')).toBe(`${BASE_SCOPE} write`);
    refuseWith('offline_access');
    expect((await browser.get('/edit')).status).toBe(403);
  });

  test('a refusal that names none can only surface', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('');
    expect((await browser.get('/edit')).status).toBe(403);
  });

  test('a form loses nothing to a redirect: it gets the scope, as a script does', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('write', 2);
    for (const response of [
      await browser.post('/edit'),
      await browser.get('/edit', { 'sec-fetch-dest': 'empty' }),
    ]) {
      expect(response.status).toBe(403);
      expect(await answerOf(response)).toMatchObject({ scope: 'write' });
      expect(response.headers.getSetCookie()).toEqual([]);
    }
  });

  test('incrementalConsent: false leaves it to the app, whatever stands before', async () => {
    const inner = requiresAuth({ incrementalConsent: false });
    const browser = await start({}, (ctx) =>
      inner(ctx, async () => {
        await callApi(ctx, async () => {});
      }),
    );
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('write');
    expect((await browser.get('/edit')).status).toBe(403);
  });

  test('incrementalConsent: false requests no scope with a newer sign-in either', async () => {
    const browser = await start(
      { maxAge: 300, scope: 'write', incrementalConsent: false },
      (ctx) => {
        ctx.body = 'in';
      },
    );
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    const { request } = await signIn(browser, await browser.get('/edit'), {
      scope: BASE_SCOPE,
      claims: { auth_time: Math.floor(now / 1000) },
    });
    expect(request).toMatchObject({ max_age: '300', scope: BASE_SCOPE });
    const response = await browser.get('/edit');
    expect(response.status).toBe(403);
    expect(await answerOf(response)).toMatchObject({ scope: 'write' });
  });

  test('a button of the app asks for the union, as often as it is pressed', async () => {
    const browser = await start({}, (ctx) => ctx.oidc.login({ scope: 'write', returnTo: '/edit' }));
    for (let press = 0; press < 2; press += 1) {
      const response = press === 0 ? await browser.get('/login') : await browser.get('/more');
      await signIn(browser, response, { scope: BASE_SCOPE });
      const pressed = await browser.post('/more');
      expect(pressed.status).toBe(303);
      const { searchParams } = location(pressed);
      expect(searchParams.get('scope')).toBe(`${BASE_SCOPE} write`);
    }
  });
});

describe("the session's token", () => {
  test('a token that the API refuses is renewed and stored, and the call repeated', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { refreshToken: 'refresh-1' });
    issuer.onTokenRequest = () => [
      200,
      { access_token: 'access-2', token_type: 'Bearer', expires_in: 3600 },
    ];
    const invalid = { 'WWW-Authenticate': 'Bearer error="invalid_token"' };
    const api = (token: string) => nock(API).matchHeader('authorization', `Bearer ${token}`);
    api('access-1').get('/things').reply(401, {}, invalid);
    api('access-2').get('/things').times(2).reply(200, { ok: true });
    expect(await answerOf(await browser.get('/page'))).toEqual({ ok: true });
    expect(await answerOf(await browser.get('/page'))).toEqual({ ok: true });
    expect(issuer.tokenRequests.map(({ form }) => form.get('grant_type'))).toEqual([
      'authorization_code',
      'refresh_token',
    ]);
  });

  test('a token that the API refuses is a 401 without a refresh token, and no endless sign-in', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'));
    const challenge = { 'WWW-Authenticate': 'Bearer error="invalid_token"' };
    nock(API).get('/things').reply(401, {}, challenge);
    const response = await browser.get('/page');
    expect(response.status).toBe(401);
    expect(await answerOf(response)).toMatchObject({ code: 'ERR_API_TOKEN_REFUSED' });
  });

  test('a sign-in that replaces a dead one asks for the scopes it had', async () => {
    const browser = await start();
    await signIn(browser, await browser.get('/login'), { scope: BASE_SCOPE });
    refuseWith('write');
    await signIn(browser, await browser.get('/edit'));
    now += 3_700_000;
    const { searchParams } = location(await browser.get('/edit'));
    expect(searchParams.get('scope')).toBe(`${BASE_SCOPE} write`);
  });
});

test.each<[unknown, string]>([
  [{ maxAge: -1 }, 'maxAge'],
  [{ maxAge: '300' }, 'maxAge'],
  [{ acr: '' }, 'acr'],
  [{ scope: 'a"b' }, 'scope'],
  [{ scope: '' }, 'scope'],
  [{ incrementalConsent: 'no' }, 'incrementalConsent'],
  [{ maxage: 300 }, 'unknown: maxage'],
])('requiresAuth(%j) stops the start', (options, named) => {
  expect(() => requiresAuth(options as RequiresAuthOptions)).toThrow(named);
});
