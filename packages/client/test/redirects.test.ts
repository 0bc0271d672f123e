import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { BASE_URL, startWebApp, type WebApp } from './support/web-app.ts';

describe('redirects', () => {
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

  /** Sends a form as a page of the app does. `fetch` cannot: it sets Sec-Fetch-Mode itself. */
  async function submit(path: string) {
    const cookie = await app.browser.jar.getCookieString(BASE_URL);
    const headers = { cookie, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' };
    const sent = request(app.served.origin + path, { method: 'POST', headers }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const body = Buffer.concat(await response.toArray()).toString();
    return { status: response.statusCode, headers: response.headers, body };
  }

  // Chromium applies the form-action of the page to redirects too (CSP Level 3 §6.4.2.1).
  test.each(['/logout', '/more'])('a form gets a page that leads on: POST %s', async (path) => {
    await app.signIn();
    const { status, headers, body } = await submit(path);
    expect([status, headers.location]).toEqual([200, undefined]);
    expect(headers['referrer-policy']).toBe('no-referrer');
    const [, refresh = ''] = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(body) ?? [];
    expect(refresh).toMatch(/^https:\/\/issuer\.example\/[^<>]*&amp;/);
    expect(body).toContain(`<a href="${refresh}">`);
  });

  test('a form that stays in the app is redirected', async () => {
    await app.served.close();
    app = await startWebApp(issuer, { idpLogout: false });
    await app.signIn();
    const { status, headers } = await submit('/logout');
    expect([status, headers.location]).toEqual([303, `${BASE_URL}/`]);
  });

  test('redirects go to the issuer’s origin and our own only', async () => {
    proves('RFC 9700 §4.11.1', 'FAPI 2.0 §5.3.3.1-4');
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
});

describe('a silent sign-in', () => {
  let issuer: IssuerStandIn;
  let app: WebApp;

  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer();
    app = await startWebApp(issuer, {}, async (ctx, next) => {
      if (ctx.path === '/silent') {
        await ctx.oidc.login({ authorizationParams: { prompt: 'none' }, returnTo: '/private' });
      } else await next();
    });
  });
  afterEach(async () => {
    await app.served.close();
    nock.cleanAll();
  });

  // OpenID Connect Core §3.1.2.6: what an issuer says that may ask the user nothing.
  const SILENT_ERRORS = [
    'login_required',
    'consent_required',
    'interaction_required',
    'account_selection_required',
  ];

  describe('a sign-in that asks the user nothing', () => {
    test.each(SILENT_ERRORS)('%s is for the app, and begins no other sign-in', async (error) => {
      const { request, callback } = await app.begin('/silent');
      expect(request.get('prompt')).toBe('none');
      const response = await app.browser.get(callback({ code: undefined, error }));
      expect([response.status, response.headers.get('location')]).toEqual([403, null]);
      expect(await response.json()).toMatchObject({
        code: 'ERR_AUTHORIZATION_REFUSED',
        detail: error,
      });
      expect(issuer.tokenRequests).toEqual([]);
      expect(await app.browser.cookieNames()).toEqual(['__Host-recent.session']);
    });

    test('the next page asks the user, and no longer silently', async () => {
      const { callback } = await app.begin('/silent');
      await app.browser.get(callback({ code: undefined, error: 'login_required' }));
      const { request } = await app.begin('/private');
      expect(request.get('prompt')).toBeNull();
    });

    test('no silent sign-in is made unless the app asks for it', async () => {
      proves('ASVS 7.6.2');
      const requests = [await app.begin('/login'), await app.begin('/private')];
      for (const { request } of requests) expect(request.has('prompt')).toBe(false);
    });
  });
});
