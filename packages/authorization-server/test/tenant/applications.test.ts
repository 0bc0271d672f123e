import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser, requestTokens, signIn } from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

describe('a loopback callback without a port (RFC 8252 section 7.3)', () => {
  test.each([1024, 45_454, 65_535])('accepts the port %d', async (port) => {
    const redirect_uri = `http://127.0.0.1:${port}/callback`;
    const change = {
      client_id: 'contacts-cli',
      redirect_uri,
      scope: 'read:contacts',
      nonce: undefined,
    };
    const request = authorizationRequest(server, change);
    const callback = await signIn(openBrowser(), request, 'bob');
    const form = {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri,
      code_verifier: request.verifier,
    };
    const { body } = await requestTokens(server, form, 'contacts-cli');
    expect(decodeJwt(body.access_token ?? '')).toMatchObject({
      sub: 'auth0|bob',
      azp: 'contacts-cli',
      scope: 'read:contacts',
    });
  });
});

describe('a redirect_uri that is not allowed is a page with 400, never a redirect', () => {
  test.each([
    ['another host', 'contacts-web', 'http://evil.example/callback'],
    ['another port of localhost', 'contacts-web', 'http://localhost:3999/callback'],
    ['a longer path', 'contacts-web', 'http://localhost:3000/callback/x'],
    ['a query', 'contacts-web', 'http://localhost:3000/callback?x=1'],
    ['a fragment', 'contacts-web', 'http://localhost:3000/callback#x'],
    ['a path above', 'contacts-web', 'http://localhost:3000/a/../callback'],
    ['no URL', 'contacts-web', '"><script>alert(1)</script>'],
    ['localhost for 127.0.0.1', 'contacts-cli', 'http://localhost:4000/callback'],
    ['another path', 'contacts-cli', 'http://127.0.0.1:4000/other'],
  ])('%s', async (_name, client_id, redirect_uri) => {
    proves('RFC 9700 §2.1 redirect URI', 'RFC 9700 §4.1', 'ASVS 10.4.1');
    const { url } = authorizationRequest(server, { client_id, redirect_uri });
    const page = await openBrowser().get(url);
    expect(page.statusCode).toBe(400);
    expect(page.headers.location).toBeUndefined();
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).toContain('Callback URL mismatch');
    expect(page.body).not.toContain('<script');
    expect(page.body).not.toContain('node_modules');
  });
});

describe('a native application (RFC 8252 section 7.1)', () => {
  const APP = 'com.example.app://callback';
  const start = () =>
    startDemo((tenant) => {
      const [web] = tenant.clients;
      tenant.clients.push({
        ...web!,
        client_id: 'app',
        client_secret: undefined,
        token_endpoint_auth_method: 'none',
        app_type: 'native',
        callbacks: [APP, 'http://127.0.0.1:5000/callback', 'https://app.example/callback'],
        allowed_logout_urls: ['com.example.app://bye'],
      });
    });

  test('signs in and out by its own scheme', async () => {
    const native = await start();
    const request = authorizationRequest(native, { client_id: 'app', redirect_uri: APP });
    const browser = openBrowser();
    const callback = await signIn(browser, request);
    const form = {
      grant_type: 'authorization_code',
      client_id: 'app',
      code: callback.get('code') ?? '',
      redirect_uri: APP,
      code_verifier: request.verifier,
    };
    const tokens = await got
      .post(`${native.issuer}oauth/token`, { form })
      .json<{ id_token: string }>();
    expect(decodeJwt(tokens.id_token).aud).toBe('app');
    const logout = `${native.issuer}v2/logout?client_id=app&returnTo=com.example.app://bye`;
    expect((await browser.get(logout)).headers.location).toBe('com.example.app://bye');
  });

  test.each(['com.example.other://callback', `${APP}/x`, `${APP}?x=1`, 'com.example.app:callback'])(
    '%s is refused',
    async (redirect_uri) => {
      const { url } = authorizationRequest(await start(), { client_id: 'app', redirect_uri });
      const page = await openBrowser().get(url);
      expect([page.statusCode, page.headers.location]).toEqual([400, undefined]);
    },
  );
});

test('an unknown client is a page with 400', async () => {
  proves('RFC 9700 §4.11.2');
  const { url } = authorizationRequest(server, { client_id: '<script>x' });
  const page = await openBrowser().get(url);
  expect(page.statusCode).toBe(400);
  expect(page.body).toContain('Unknown client');
  expect(page.body).not.toContain('<script');
});
