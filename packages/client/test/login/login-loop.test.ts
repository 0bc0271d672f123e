import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Koa, { type Middleware } from 'koa';
import nock from 'nock';
import { answerErrors } from '../../../../test/support/app-under-test.ts';
import { type AuthOptions, auth, requiresAuth } from '../../src/index.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { type Browser, type Served, serve } from '../support/browser.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { storeWith } from '../support/store-with.ts';

let issuer: IssuerStandIn;
let served: Served | undefined;
let authTime: () => number | undefined;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  authTime = () => undefined;
});

afterEach(async () => {
  await served?.close();
  served = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

interface Parts {
  options?: Partial<AuthOptions>;
  before?: Middleware;
  guard?: Middleware;
  page?: Middleware;
}

const showPath: Middleware = (ctx) => {
  ctx.body = { path: ctx.path };
};

/** An app of which each page needs a user. */
async function start({
  options,
  before,
  guard = requiresAuth(),
  page = showPath,
}: Parts = {}): Promise<Browser> {
  const app = new Koa();
  app.silent = true;
  app.use(answerErrors);
  if (before) app.use(before);
  const baseURL = options?.baseURL ?? 'https://app.example';
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid' },
      onEvent: () => {},
      ...options,
    }),
  );
  app.use(guard);
  app.use(page);
  served = await serve(app, baseURL);
  return served.browser();
}

const locationOf = (response: Response) => response.headers.get('location') ?? '';

/** Opens a page as a browser that is signed in at the issuer: each redirect is followed, up to 30. */
async function open(browser: Browser, path: string, toServer = (path: string) => path) {
  const paths: string[] = [];
  let at = path;
  for (;;) {
    paths.push(at);
    const response = await browser.get(toServer(at));
    if (response.status !== 302 || paths.length > 30) {
      return { paths, status: response.status, body: (await response.json()) as Body };
    }
    const next = new URL(locationOf(response), 'https://app.example');
    at = next.origin === new URL(ISSUER).origin ? authorize(next) : next.pathname + next.search;
  }
}

interface Body {
  readonly path?: string;
  readonly code?: string;
  readonly detail?: string;
}

function authorize({ searchParams }: URL): string {
  const { nonce, state = '', redirect_uri = '' } = Object.fromEntries(searchParams);
  issuer.onTokenRequest = ({ form }) =>
    form.has('refresh_token')
      ? [400, { error: 'invalid_grant', error_description: 'Ada left' }]
      : [
          200,
          {
            access_token: 'access-1',
            token_type: 'Bearer',
            expires_in: 3600,
            refresh_token: searchParams.get('scope')?.includes('offline') ? 'refresh-1' : undefined,
            id_token: issuer.idToken({ nonce, auth_time: authTime() }),
          },
        ];
  const answer = new URLSearchParams({ code: 'code-1', state, iss: ISSUER });
  return `${new URL(redirect_uri).pathname}?${answer}`;
}

describe('baseURL with a path', () => {
  const options = { baseURL: 'https://app.example/shop' };
  const mount: Middleware = async (ctx, next) => {
    const { path } = ctx;
    ctx.path = path.slice('/shop'.length);
    await next();
    ctx.path = path;
  };

  test.each<[string, Middleware | undefined, (path: string) => string, string]>([
    ['that the proxy passes on', undefined, (path) => path, '/shop/orders'],
    ['under which the app is mounted', mount, (path) => path, '/orders'],
    ['that the proxy removes', undefined, (path) => path.slice('/shop'.length), '/orders'],
  ])('%s: the sign-in comes back to the page', async (_name, before, toServer, seen) => {
    const browser = await start({ options, ...(before && { before }) });
    const { paths, status, body } = await open(browser, '/shop/orders?x=1', toServer);
    expect([status, body.path, paths.at(-1)]).toEqual([200, seen, '/shop/orders?x=1']);
    expect(paths).toHaveLength(3);
    const logout = await browser.post(toServer('/shop/logout'));
    const home = new URL(locationOf(logout)).searchParams.get('post_logout_redirect_uri');
    expect(home).toBe(options.baseURL);
  });

  test('a callback at another path is an error that names both', async () => {
    const browser = await start({ options });
    const { status, body } = await open(browser, '/shop/orders', (path) => `/inner${path}`);
    expect([status, body.code]).toEqual([500, 'ERR_LOGIN_LOOP']);
    expect(body.detail).toMatch(/came to \/inner\/shop\/callback, not to \/shop\/callback/);
  });

  test('parameters named like those of a callback are left to the page', async () => {
    const browser = await start();
    expect((await open(browser, '/search?state=x&code=y')).status).toBe(200);
  });
});

describe('sign-ins without effect end with an error', () => {
  const refresh: Middleware = async (ctx) => {
    await ctx.oidc.refresh();
  };
  const dropCookie: Middleware = async (ctx, next) => {
    await next();
    const cookies = [ctx.response.get('Set-Cookie')].flat().filter(Boolean);
    const kept = cookies.filter((line) => !line.startsWith('__Host-session='));
    ctx.remove('Set-Cookie');
    ctx.append('Set-Cookie', kept);
  };
  const emptyStore = storeWith(memoryStore(), { read: async () => undefined });
  const offline = { authorizationParams: { scope: 'openid offline_access' } };

  test.each<[string, Parts, string]>([
    ['the cookie of the session gets lost', { before: dropCookie }, 'does not send the cookie'],
    [
      'another process has the session',
      { options: { session: { store: emptyStore } } },
      'which all processes must share',
    ],
    ['refresh() lacks a refresh token', { page: refresh }, 'request the scope offline_access'],
    [
      'the new refresh token is refused',
      { page: refresh, options: offline },
      'can no longer be renewed: invalid_grant',
    ],
    [
      'the app itself begins the sign-in',
      {
        before: dropCookie,
        guard: (_ctx, next) => next(),
        page: async (ctx) => {
          if (!ctx.oidc.isAuthenticated()) await ctx.oidc.login({ returnTo: ctx.originalUrl });
        },
      },
      'does not send the cookie',
    ],
  ])('%s', async (_name, parts, reason) => {
    const browser = await start(parts);
    const { paths, status, body } = await open(browser, '/orders');
    expect([status, body.code]).toEqual([500, 'ERR_LOGIN_LOOP']);
    expect(body.detail).toContain(reason);
    expect(body.detail).not.toContain('Ada');
    expect(paths.filter((path) => path.startsWith('/callback'))).toHaveLength(3);
    expect((await browser.get('/login')).status).toBe(body.detail?.includes('cookie') ? 500 : 302);
  });

  test('so do those that are too old when the browser is back', async () => {
    const begun = Date.now();
    let delay = 0;
    const slowPage: Middleware = async (ctx, next) => {
      if (ctx.path === '/orders') delay += 2000;
      await next();
    };
    const now = () => begun + delay;
    authTime = () => Math.floor(now() / 1000);
    const guard = requiresAuth({ maxAge: 1 });
    const browser = await start({ before: slowPage, guard, options: { now, clockTolerance: 0 } });
    const { paths, status, body } = await open(browser, '/orders');
    expect([status, body.code]).toEqual([500, 'ERR_LOGIN_LOOP']);
    expect(body.detail).toContain('max_age');
    expect(paths.filter((path) => path.startsWith('/callback'))).toHaveLength(3);
  });

  test('after half a minute the browser may sign in again', async () => {
    const browser = await start({ page: refresh });
    await open(browser, '/orders');
    const cookies = await browser.jar.getCookies('https://app.example');
    const [counter] = cookies.filter(({ key }) => key === '__Host-recent.session');
    const seconds = (Number(counter?.expires?.valueOf()) - Date.now()) / 1000;
    expect(seconds).toBeGreaterThan(25);
    expect(seconds).toBeLessThanOrEqual(30);
  });

  test('a user who signs in and out many times is not refused', async () => {
    const browser = await start();
    for (let times = 0; times < 5; times += 1) {
      expect((await open(browser, '/orders')).status).toBe(200);
      expect((await browser.post('/logout')).status).toBe(303);
    }
  });

  test.each(['9.x', '9.x.', '9.x.1', '9.x.9999999999', '1e9.x.-1'])(
    'a counter of %s that others planted keeps no user from signing in',
    async (value) => {
      const browser = await start();
      const url = 'https://app.example/';
      await browser.jar.setCookie(`__Host-recent.session=${value}; Path=/; Secure`, url);
      expect((await open(browser, '/orders')).status).toBe(200);
    },
  );

  test.each(['3', '99.x', 'many', '-1.x', '1e9.x'])(
    'a counter of %s that others planted leaves a signed-in user alone',
    async (value) => {
      const browser = await start();
      await open(browser, '/orders');
      const url = 'https://app.example/';
      await browser.jar.setCookie(`__Host-recent.session=${value}; Path=/; Secure`, url);
      expect((await open(browser, '/orders')).status).toBe(200);
      expect((await browser.get('/login')).status).toBe(302);
    },
  );
});
