import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { requiresAuth } from '../src/index.ts';
import { type IssuerStandIn, signJws, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

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
