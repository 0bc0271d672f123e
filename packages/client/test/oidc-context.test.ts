import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Middleware } from 'koa';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { type AuthOptions, requiresAuth } from '../src/index.ts';
import {
  ISSUER,
  type IssuerStandIn,
  signJws,
  standInForIssuer,
} from './support/issuer-stand-in.ts';
import { codeOf, startWebApp, type WebApp } from './support/web-app.ts';

describe('the context', () => {
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

    test('hasRefreshToken says whether it can work', async () => {
      const app = await start({}, (ctx) => {
        ctx.body = JSON.stringify(ctx.oidc.hasRefreshToken);
      });
      const answer = async () => (await app.browser.get('/')).json();
      expect(await answer()).toBe(false);
      await app.signIn();
      expect(await answer()).toBe(true);
      await app.signIn({}, { refresh_token: undefined });
      expect(await answer()).toBe(false);
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
});

describe('the user', () => {
  let issuer: IssuerStandIn;
  let app: WebApp;

  beforeEach(() => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
  });
  afterEach(async () => {
    await app.served.close();
    nock.cleanAll();
  });

  test('the user is who the ID token says; userinfo, which could name another, is not asked', async () => {
    const asked: string[] = [];
    issuer = standInForIssuer({ userinfo_endpoint: `${ISSUER}userinfo` });
    nock(ISSUER)
      .persist()
      .get('/userinfo')
      .reply((uri) => {
        asked.push(uri);
        return [200, { sub: 'admin', name: 'Somebody else' }];
      });
    app = await startWebApp(issuer);
    await app.signIn({ sub: 'user-1', name: 'Ada Lovelace' });
    const { user } = (await (await app.browser.get('/')).json()) as { user: object };
    expect(user).toEqual({ sub: 'user-1', name: 'Ada Lovelace' });
    expect(asked).toEqual([]);
  });

  test('two users with one e-mail address share no session', async () => {
    proves('ASVS 10.5.2');
    issuer = standInForIssuer();
    app = await startWebApp(issuer, {}, async (ctx, next) => {
      if (ctx.path === '/mine') {
        ctx.body = { sessions: (await ctx.oidc.sessions()).length };
      } else await next();
    });
    const email = 'ada@example.com';
    await app.signIn({ sub: 'user-1', email });
    const other = app.served.browser();
    const { request, callback } = await app.begin('/login', other);
    app.grant({ nonce: request.get('nonce'), sub: 'user-2', email });
    expect((await other.get(callback())).status).toBe(302);
    for (const browser of [app.browser, other]) {
      expect(await (await browser.get('/mine')).json()).toEqual({ sessions: 1 });
    }
  });
});

describe('an opaque access token', () => {
  let issuer: IssuerStandIn;
  let app: WebApp;

  beforeEach(() => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer();
  });
  afterEach(async () => {
    await app.served.close();
    nock.cleanAll();
  });

  // RFC 6749 §1.4, OAuth 2.1 §1.4: it is a string for the API, and opaque to the client.
  const liar = signJws(
    { alg: 'none', typ: 'at+jwt' },
    { iss: 'https://other.example/', sub: 'admin', exp: 1, scope: 'admin', roles: ['admin'] },
  );

  describe('what an access token says decides nothing here', () => {
    test.each([
      ['a JWT of another issuer that has expired', liar],
      ['no JWT', 'opaque'],
      ['what looks like one and is none', 'eyJ.e30.x'],
    ])('%s is used as it came', async (_name, value) => {
      app = await startWebApp(issuer, {}, async (ctx, next) => {
        if (ctx.path === '/token') ctx.body = await ctx.oidc.accessToken();
        else if (ctx.path === '/admin') await requiresAuth({ scope: 'admin' })(ctx, next);
        else await next();
      });
      await app.signIn({ sub: 'user-1' }, { access_token: value, scope: 'openid read' });
      const token = (await (await app.browser.get('/token')).json()) as Record<string, unknown>;
      expect(token).toMatchObject({ value, scope: 'openid read' });
      expect(issuer.tokenRequests).toHaveLength(1);
      const { user } = (await (await app.browser.get('/')).json()) as { user: object };
      expect(user).toEqual({ sub: 'user-1' });

      const response = await app.browser.post('/admin');
      expect([response.status, await response.json()]).toEqual([
        403,
        expect.objectContaining({ code: 'ERR_INSUFFICIENT_SCOPE' }),
      ]);
    });
  });
});
