import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import Koa from 'koa';
import nock from 'nock';
import { type Served, serve } from './support/browser.ts';
import { standInForIssuer } from './support/issuer-stand-in.ts';
import { OPTIONS } from './support/options.ts';

// Two versions in one tree, or two paths to one: an app has auth() of one, a library requiresAuth() of
// the other.
const one = await import('../src/index.ts');
jest.resetModules();
const other = await import('../src/index.ts');

let served: Served | undefined;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
});

afterEach(async () => {
  await served?.close();
  nock.cleanAll();
});

const compose =
  (outer: Koa.Middleware, inner: Koa.Middleware): Koa.Middleware =>
  (ctx, next) =>
    outer(ctx, async () => void (await inner(ctx, next)));

test('they are two copies, and know each other’s errors by their codes', () => {
  expect(one.OidcError).not.toBe(other.OidcError);
  const errors = [
    new one.OidcError('ERR_LOGIN_REQUIRED'),
    new one.AuthorizationRefused('access_denied'),
    new one.InsufficientScope('read'),
    new one.StepUpRequired({ maxAge: 1 }),
    new one.ApiError('ERR_API_UNAVAILABLE', {}),
  ];
  for (const error of errors) {
    expect(error).not.toBeInstanceOf(other.OidcError);
    expect(other.hasCode(error, error.code)).toBe(true);
    expect(one.hasCode(error, error.code)).toBe(true);
    expect(other.hasCode(error, 'ERR_SESSION_STORE')).toBe(false);
  }
});

test('auth() of the one and requiresAuth() of the other sign in, step up and ask for consent', async () => {
  const issuer = standInForIssuer();
  const app = new Koa();
  app.silent = true;
  app.use(one.auth({ ...OPTIONS, authorizationParams: { scope: 'openid read' } }));
  app.use(async function routes(ctx, next) {
    const guards: Record<string, Koa.Middleware> = {
      '/private': other.requiresAuth(),
      '/recent': other.requiresAuth({ maxAge: 60 }),
      '/wide': other.requiresAuth({ scope: 'write' }),
      '/admin': other.claimEquals('role', 'admin'),
      '/surface': compose(one.requiresAuth(), other.requiresAuth({ incrementalConsent: false })),
    };
    await (guards[ctx.path] ?? ((_ctx, go) => go()))(ctx, next);
  });
  app.use(async function errorsOfTheOther(ctx) {
    // A library behind throws errors of its own copy.
    if (ctx.query.needs) throw new other.InsufficientScope(String(ctx.query.needs));
    ctx.body = ctx.oidc.user;
  });
  served = await serve(app, OPTIONS.baseURL);
  const browser = served.browser();
  const askedAt = async (path: string) => {
    const response = await browser.get(path);
    expect([path, response.status]).toEqual([path, 302]);
    return new URL(response.headers.get('location') ?? '').searchParams;
  };

  const asked = await askedAt('/private');
  issuer.onTokenRequest = () => [
    200,
    {
      access_token: 'access-1',
      token_type: 'Bearer',
      expires_in: 3600,
      id_token: issuer.idToken({ nonce: asked.get('nonce'), auth_time: 1, role: 'user' }),
    },
  ];
  const answer = new URLSearchParams({
    code: 'code-1',
    state: asked.get('state') ?? '',
    iss: 'https://issuer.example/',
  });
  expect((await browser.get(`/callback?${answer}`)).headers.get('location')).toBe('/private');
  expect((await browser.get('/private')).status).toBe(200);

  expect((await askedAt('/recent')).get('max_age')).toBe('60');
  expect((await askedAt('/wide')).get('scope')).toBe('openid read write');
  expect((await askedAt('/private?needs=delete')).get('scope')).toBe('openid read delete');
  expect((await browser.get('/admin')).status).toBe(403);
  expect((await browser.get('/surface?needs=delete')).status).toBe(403);
  // Used, and of an error of either copy: the cookie of the sign-in goes.
  const again = await browser.get(`/callback?${answer}`);
  expect(again.headers.get('location')).toBe('/');
});
