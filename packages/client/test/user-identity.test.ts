import { afterEach, beforeEach, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

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
