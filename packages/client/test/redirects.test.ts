import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { BASE_URL, startWebApp, type WebApp } from './support/web-app.ts';

let issuer: IssuerStandIn;
let app: WebApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  app = await startWebApp(issuer, {}, async (ctx, next) => {
    if (ctx.path === '/more') await ctx.oidc.login({ returnTo: '//evil.example' });
    else await next();
  });
});
afterEach(async () => {
  await app.served.close();
  nock.cleanAll();
});

// RFC 9700 §4.12: a 307 would send the form's fields along, a password among them.
describe('where a form is answered with a redirect', () => {
  test.each(['/logout', '/more'])('POST %s is answered 303', async (path) => {
    proves('RFC 9700 §4.12');
    await app.signIn();
    const response = await app.browser.post(path, {}, { password: 'typed' });
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).not.toContain('typed');
  });
});

test('redirects go to the issuer’s origin and our own only', async () => {
  proves('RFC 9700 §4.11.1');
  const origins = new Set<string>();
  const follow = async (path: string, method: 'get' | 'post' = 'get') => {
    const location = (await app.browser[method](path)).headers.get('location') ?? '/';
    origins.add(new URL(location, BASE_URL).origin);
  };
  const evil = encodeURIComponent('https://evil.example/');
  await follow(`/login?returnTo=${evil}`);
  await follow('/more');
  const { callback } = await app.begin(`/login?returnTo=${evil}`);
  await follow(callback({ returnTo: 'https://evil.example/', redirect_uri: '//evil.example' }));
  await follow(`/logout?returnTo=${evil}&post_logout_redirect_uri=${evil}`, 'post');
  expect([...origins].sort()).toEqual([BASE_URL, 'https://issuer.example']);
});
