import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

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
    expect(await app.browser.cookieNames()).toEqual([]);
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
