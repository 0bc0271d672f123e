import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { BASE_URL, codeOf, startWebApp, type WebApp } from '../support/web-app.ts';

let issuer: IssuerStandIn;
let app: WebApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  app = await startWebApp(issuer, { baseURL: BASE_URL });
});

afterEach(async () => {
  await app.served.close();
  nock.cleanAll();
});

afterAll(() => nock.restore());

const CROSS_SITE = { 'sec-fetch-site': 'cross-site', origin: 'https://portal.example' };
const loginWith = (parameters: Record<string, string>) =>
  `/login?${new URLSearchParams(parameters)}`;

describe('a sign-in that another site begins (OpenID Connect Core §4)', () => {
  test('sends login_hint on, and comes back to target_link_uri', async () => {
    const target_link_uri = `${BASE_URL}/orders?id=1#top`;
    const path = loginWith({ iss: ISSUER, login_hint: 'ann@example.com', target_link_uri });
    const { request, callback } = await app.begin(path);
    expect(request.get('login_hint')).toBe('ann@example.com');
    const back = await app.browser.get(callback());
    expect(back.headers.get('location')).toBe('/orders?id=1#top');
  });

  test.each([
    ['another site', 'https://evil.example/orders'],
    ['another port', `${BASE_URL}:8443/orders`],
    ['a user name that looks like this host', 'https://app.example@evil.example/'],
    ['a script', 'javascript:alert(1)'],
    ['a path that leaves the host', `${BASE_URL}//evil.example`],
    ['no URL', 'orders'],
  ])('comes back to the start page for %s', async (_name, target_link_uri) => {
    const { callback } = await app.begin(loginWith({ iss: ISSUER, target_link_uri }));
    expect((await app.browser.get(callback())).headers.get('location')).toBe('/');
  });

  test.each([
    ['another issuer', 'https://evil.example/'],
    ['the issuer without its slash', ISSUER.slice(0, -1)],
    ['no issuer', ''],
  ])('begins none for %s', async (_name, iss) => {
    const response = await app.browser.get(loginWith({ iss, login_hint: 'ann' }));
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe('ERR_ISSUER_MISMATCH');
    expect(await app.browser.cookieNames()).toEqual([]);
  });

  test.each([
    ['twice', `${loginWith({ iss: ISSUER, login_hint: 'a' })}&login_hint=b`],
    ['too long', loginWith({ iss: ISSUER, login_hint: 'a'.repeat(256) })],
  ])('a login_hint that is %s is a 400', async (_name, path) => {
    const response = await app.browser.get(path);
    expect([response.status, await codeOf(response)]).toEqual([400, 'ERR_LOGIN_PARAMETERS']);
  });

  test('comes back to the start page if the path and login_hint exceed a cookie', async () => {
    const parameters = { target_link_uri: `${BASE_URL}/${'p'.repeat(1900)}`, iss: ISSUER };
    const hint = '漢'.repeat(255);
    const { request, callback } = await app.begin(loginWith({ ...parameters, login_hint: hint }));
    expect(request.get('login_hint')).toBe(hint);
    const [cookie = ''] = (await app.browser.jar.getCookieString(BASE_URL)).split('; ');
    expect(cookie.length).toBeLessThanOrEqual(4097);
    expect((await app.browser.get(callback())).headers.get('location')).toBe('/');
  });

  test('takes nothing else from the query, and no hint without iss', async () => {
    const prompt = { prompt: 'none', scope: 'admin', returnTo: '/other' };
    const { request, callback } = await app.begin(loginWith({ iss: ISSUER, ...prompt }));
    expect([request.get('prompt'), request.get('scope')]).toEqual([null, 'openid read']);
    expect((await app.browser.get(callback())).headers.get('location')).toBe('/');
    const plain = await app.begin('/login?login_hint=ann');
    expect(plain.request.has('login_hint')).toBe(false);
  });

  test.each(['iframe', 'frame', 'embed', 'object'])('begins none in an %s', async (destination) => {
    const headers = { ...CROSS_SITE, 'sec-fetch-dest': destination };
    const response = await app.browser.get(loginWith({ iss: ISSUER }), headers);
    expect([response.status, await codeOf(response)]).toEqual([403, 'ERR_CROSS_SITE']);
    expect(await app.browser.cookieNames()).toEqual([]);
  });

  test('by POST it does no more than a link: the same address by GET', async () => {
    const form = {
      iss: ISSUER,
      login_hint: 'ann&iss=x',
      target_link_uri: `${BASE_URL}/orders`,
      scope: 'admin',
    };
    await app.signIn();
    const cookies = await app.browser.cookieNames();
    const response = await app.browser.post('/login', CROSS_SITE, form);
    const { scope, ...passedOn } = form;
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe(loginWith(passedOn));
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(await app.browser.cookieNames()).toEqual(cookies);
    const { request } = await app.begin(response.headers.get('location') ?? '');
    expect(request.get('login_hint')).toBe('ann&iss=x');
  });

  test.each<[string, Record<string, string>]>([
    ['without iss', { login_hint: 'ann' }],
    ['without fields', {}],
  ])('a POST of another site %s is refused', async (_name, form) => {
    const response = await app.browser.post('/login', CROSS_SITE, form);
    expect([response.status, await codeOf(response)]).toEqual([403, 'ERR_CROSS_SITE']);
  });

  test('a POST of the app itself is left to the app', async () => {
    const response = await app.browser.post('/login', {}, { iss: ISSUER });
    expect(response.status).toBe(404);
  });
});
