import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import { auth, type OidcError } from '@koa-oauth/client';
import { decodeJwt } from 'jose';
import Koa from 'koa';
import { FormBrowser } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const SCOPE = 'openid offline_access read:contacts update:contacts';
const LIFETIME = 600;

let server: AuthorizationServer;
let web: Server;
let skipped: number;

afterEach(async () => {
  web.closeAllConnections();
  await once(web.close(), 'close');
  await server.close();
});

/** Real time without requests after a failure. */
const FIRST_PAUSE_MS = 1000;

/** Connects the client to the authorization server. @returns the source of access tokens */
async function signIn(leeway: number) {
  skipped = 0;
  web = createServer().listen(0, '127.0.0.1');
  await once(web, 'listening');
  const baseURL = `http://localhost:${(web.address() as AddressInfo).port}`;
  const tenant = loadTenant(demoTenantFile);
  const [client] = tenant.clients;
  const [api] = tenant.resourceServers;
  if (!client || !api) throw new Error('the demo tenant has changed');
  client.callbacks.push(`${baseURL}/callback`);
  Object.assign(client.refresh_token, { leeway });
  Object.assign(api, { token_lifetime: LIFETIME });
  server = await startAuthorizationServer({ tenant });

  const app = new Koa();
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      const { status, code, scope } = error as OidcError & { scope?: string };
      ctx.status = status ?? 500;
      ctx.body = { code, scope };
    }
  });
  app.use(
    auth({
      issuerBaseURL: server.issuer,
      baseURL,
      clientID: 'contacts-web',
      clientSecret: 'contacts-web-demo-secret',
      clientAuthMethod: 'client_secret_post',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: SCOPE, audience: AUDIENCE },
      now: () => Date.now() + skipped * 1000,
    }),
  );
  app.use(async function token(ctx) {
    const { scope } = ctx.query;
    ctx.body = await ctx.oidc.accessToken(typeof scope === 'string' ? { scope } : {});
  });
  web.on('request', app.callback());

  const browser = new FormBrowser();
  const login = await browser.open(`${baseURL}/login`);
  const consent = await browser.submit(
    login,
    'form:has(input[name="username"]:not([type="hidden"]))',
    {
      username: 'alice@example.com',
      password: 'alice-demo',
    },
  );
  await browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
  return async function accessToken(query = '') {
    const { status, html } = await browser.open(`${baseURL}/token${query}`);
    return { status, ...JSON.parse(html.text) };
  };
}

/** Moves the clocks of client and issuer. */
function skip(seconds: number): void {
  skipped += seconds;
  server.clock = skipped;
}

const refreshes = () =>
  server
    .log()
    .filter((transaction) => JSON.stringify(transaction).includes('"grantType":"refresh_token"'));

describe('a token for fewer scopes', () => {
  test('has only the requested scopes, and the token of the sign-in keeps all of its own', async () => {
    proves('RFC 9700 §2.3');
    const accessToken = await signIn(0);
    const own = await accessToken();
    expect(own.scope.split(' ').sort()).toEqual(SCOPE.split(' ').sort());
    const narrow = await accessToken('?scope=read:contacts');
    expect(narrow).toMatchObject({ status: 200, scope: 'read:contacts' });
    expect(decodeJwt(narrow.value).scope).toBe('read:contacts');
    expect((await accessToken()).value).toBe(own.value);
    expect((await accessToken('?scope=read:contacts')).value).toBe(narrow.value);

    skip(LIFETIME + 1);
    const renewed = await accessToken();
    expect(renewed.value).not.toBe(own.value);
    expect(renewed.scope.split(' ').sort()).toEqual(SCOPE.split(' ').sort());
    const again = await accessToken('?scope=update:contacts');
    expect(again).toMatchObject({ status: 200, scope: 'update:contacts' });
  });

  test('a scope that was not granted is named', async () => {
    const accessToken = await signIn(0);
    expect(await accessToken('?scope=read:contacts+delete:contacts')).toEqual({
      status: 403,
      code: 'ERR_INSUFFICIENT_SCOPE',
      scope: 'delete:contacts',
    });
  });
});

describe('an answer lost after rotation', () => {
  const lose = () => server.faults.add({ endpoint: '/oauth/token', loseRefreshResponse: true });

  test('with a leeway the next refresh succeeds', async () => {
    const accessToken = await signIn(60);
    lose();
    skip(LIFETIME + 1);
    expect(await accessToken()).toMatchObject({ status: 503 });
    await sleep(FIRST_PAUSE_MS);
    expect(await accessToken()).toMatchObject({ status: 200 });
  });

  test('without a leeway a sign-in is needed, and no second refresh is sent', async () => {
    const accessToken = await signIn(0);
    lose();
    skip(LIFETIME + 1);
    expect(await accessToken()).toMatchObject({ status: 503 });
    await sleep(FIRST_PAUSE_MS);
    for (let i = 0; i < 3; i += 1) {
      expect(await accessToken()).toMatchObject({ status: 401, code: 'ERR_LOGIN_REQUIRED' });
    }
    expect(refreshes()).toHaveLength(2);
  });
});
