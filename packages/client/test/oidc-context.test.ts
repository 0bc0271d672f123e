import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Middleware } from 'koa';
import nock from 'nock';
import type { AuthOptions } from '../src/index.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { codeOf, startWebApp, type WebApp } from './support/web-app.ts';

let issuer: IssuerStandIn;
const apps: WebApp[] = [];

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
});

afterEach(async () => {
  for (const { served } of apps.splice(0)) await served.close();
  nock.cleanAll();
});

async function start(options: Partial<AuthOptions> = {}, page?: Middleware): Promise<WebApp> {
  const app = await startWebApp(issuer, options, page);
  apps.push(app);
  return app;
}

describe('refresh()', () => {
  const page: Middleware = async (ctx, next) => {
    if (ctx.path === '/refresh') ctx.body = await ctx.oidc.refresh();
    else await next();
  };
  const tokenOf = async (app: WebApp) => (await (await app.browser.get('/private')).json()).token;

  test('is a new token although the old one lasts, and later requests have it', async () => {
    const app = await start({}, page);
    await app.signIn();
    expect(await tokenOf(app)).toBe('access-1');
    app.grant({}, { id_token: undefined, access_token: 'access-2', refresh_token: 'refresh-2' });
    const response = await app.browser.get('/refresh');
    expect(await response.json()).toMatchObject({
      value: 'access-2',
      requestedScope: 'openid read',
    });
    expect(issuer.tokenRequests.at(-1)?.form.get('refresh_token')).toBe('refresh-1');
    expect(await tokenOf(app)).toBe('access-2');
    expect(issuer.tokenRequests).toHaveLength(2);
  });

  test('without a refresh token takes a sign-in, and the session keeps its token', async () => {
    const app = await start({}, page);
    await app.signIn({}, { refresh_token: undefined });
    const response = await app.browser.get('/refresh');
    expect([response.status, await codeOf(response)]).toEqual([401, 'ERR_LOGIN_REQUIRED']);
    expect(await tokenOf(app)).toBe('access-1');
  });

  test('is for who is signed in', async () => {
    const app = await start({}, page);
    expect(await codeOf(await app.browser.get('/refresh'))).toBe('ERR_LOGIN_REQUIRED');
    expect(issuer.tokenRequests).toEqual([]);
  });
});
