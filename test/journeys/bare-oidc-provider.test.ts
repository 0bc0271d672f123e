import type { Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { auth, requiresAuth } from '@koa-oauth/client';
import { auth as protect, requiredScopes } from '@koa-oauth/resource-server';
import { decodeJwt } from 'jose';
import Koa from 'koa';
import { answerErrors, close, listen } from '../support/app-under-test.ts';
import {
  API,
  type BareProvider,
  CLIENT,
  RESOURCE,
  startBareProvider,
  TOKEN_LIFETIME,
} from '../support/bare-provider.ts';
import { FormBrowser, type Page } from '../support/form-browser.ts';

const SCOPE = 'openid offline_access read:orders write:orders';

let bare: BareProvider;
let web: Server;
let api: Server;
let baseURL: string;
let skipped: number;

async function start(format: 'jwt' | 'opaque', pushedAuthorizationRequests: boolean) {
  skipped = 0;
  let apiURL: string;
  [web, baseURL] = await listen();
  [api, apiURL] = await listen();
  bare = await startBareProvider(baseURL, format);
  api.on('request', theApi(format).callback());
  web.on('request', theApp(apiURL, pushedAuthorizationRequests).callback());
}

afterEach(async () => {
  await Promise.all([close(web), close(api), bare.close()]);
});

function theApi(format: 'jwt' | 'opaque'): Koa {
  const app = new Koa();
  app.silent = true;
  if (format === 'jwt') {
    app.use(protect({ issuerBaseURL: bare.issuer, audience: RESOURCE }));
    app.use(requiredScopes('read:orders'));
  } else {
    app.use(async function introspected(ctx, next) {
      const { active, scope, aud } = await introspect(ctx.get('Authorization').slice(7));
      if (!active || aud !== RESOURCE || !scope.includes('read:orders')) ctx.throw(401);
      await next();
    });
  }
  app.use(function orders(ctx) {
    ctx.body = { orders: [1, 2] };
  });
  return app;
}

/** Introspection (RFC 7662). */
async function introspect(token: string) {
  const [id, secret] = [API.id, API.secret].map(encodeURIComponent);
  const response = await fetch(`${bare.issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ token }),
  });
  return (await response.json()) as { active: boolean; scope: string; aud: string };
}

function theApp(apiURL: string, pushedAuthorizationRequests: boolean): Koa {
  const app = new Koa();
  app.use(answerErrors);
  app.use(
    auth({
      ...CLIENT,
      issuerBaseURL: bare.issuer,
      baseURL,
      secret: 's-secret-of-the-tests-0123456789',
      // OpenID Connect Core §11: offline_access is granted only with a consent.
      authorizationParams: { scope: SCOPE, resource: RESOURCE, prompt: 'consent' },
      pushedAuthorizationRequests,
      routes: { backChannelLogout: '/backchannel-logout' },
      api: { baseURL: apiURL },
      now: () => Date.now() + skipped * 1000,
    }),
  );
  const signedIn = requiresAuth({ incrementalConsent: false });
  app.use(async function pages(ctx) {
    if (ctx.path === '/') {
      ctx.body = '<form method="post" action="/logout"></form>';
      return;
    }
    await signedIn(ctx, async () => {
      const { scope } = ctx.query;
      if (ctx.path === '/orders') ctx.body = (await ctx.oidc.api.get('orders')).body;
      else ctx.body = await ctx.oidc.accessToken(typeof scope === 'string' ? { scope } : {});
    });
  });
  return app;
}

async function signIn(browser: FormBrowser): Promise<Page> {
  const login = await browser.open(`${baseURL}/orders`);
  expect(login.url).toContain(`${bare.issuer}/interaction/`);
  const consent = await browser.submit(login, 'form', { login: 'alice', password: 'any' });
  return browser.submit(consent, 'form', {});
}

const shown = ({ html, status }: Page) => ({ status, ...JSON.parse(html.text) });

describe.each([
  ['JWT', false],
  ['opaque', true],
] as const)('a bare oidc-provider, access tokens %s, requests pushed: %s', (format, pushed) => {
  beforeEach(() => start(format === 'JWT' ? 'jwt' : 'opaque', pushed));
  const count = (name: string) => bare.events.filter((event) => event === name).length;

  test('signs in, calls the API, refreshes with rotation, narrows, signs out', async () => {
    const browser = new FormBrowser();
    const orders = await signIn(browser);
    expect(orders.url).toBe(`${baseURL}/orders`);
    expect(shown(orders)).toEqual({ status: 200, orders: [1, 2] });
    expect(count('pushed_authorization_request.success')).toBe(Number(pushed));

    const token = async (query = '') => shown(await browser.open(`${baseURL}/token${query}`));
    const first = await token();
    expect(first.value.split('.')).toHaveLength(format === 'JWT' ? 3 : 1);

    for (const refresh of [1, 2]) {
      skipped += TOKEN_LIFETIME + 1;
      const renewed = await token();
      expect(renewed.status).toBe(200);
      expect(renewed.value).not.toBe(first.value);
      expect(count('refresh_token.consumed')).toBe(refresh);
    }
    expect(shown(await browser.open(`${baseURL}/orders`)).orders).toEqual([1, 2]);

    const narrow = await token('?scope=read:orders');
    expect(narrow).toMatchObject({ status: 200, scope: 'read:orders' });
    if (format === 'JWT') expect(decodeJwt(narrow.value).scope).toBe('read:orders');
    else expect((await introspect(narrow.value)).scope).toBe('read:orders');
    expect(await token('?scope=delete:orders')).toMatchObject({
      status: 403,
      code: 'ERR_INSUFFICIENT_SCOPE',
    });

    const home = await browser.open(`${baseURL}/`);
    const confirm = await browser.submit(home, 'form', {});
    expect(confirm.url).toContain(`${bare.issuer}/session/end`);
    const out = await browser.submit(confirm, 'form', { logout: 'yes' });
    expect([out.url, out.status]).toEqual([`${baseURL}/`, 200]);
    expect([count('refresh_token.destroyed'), count('end_session.success')]).toEqual([1, 1]);
    const again = await browser.open(`${baseURL}/orders`);
    expect(again.html.querySelector('input[name="password"]')).not.toBeNull();
    expect(count('grant.error')).toBe(0);
  });

  test('a logout at the issuer ends the session here, through the back channel', async () => {
    const browser = new FormBrowser();
    await signIn(browser);
    const confirm = await browser.open(`${bare.issuer}/session/end`);
    await browser.submit(confirm, 'form', { logout: 'yes' });
    expect([count('backchannel.success'), count('backchannel.error')]).toEqual([1, 0]);
    const again = await browser.open(`${baseURL}/orders`);
    expect(again.html.querySelector('input[name="password"]')).not.toBeNull();
  });
});
