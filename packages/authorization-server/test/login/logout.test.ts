import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  tokensFor,
} from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

const silently = async (browser: ReturnType<typeof openBrowser>) => {
  const { url } = authorizationRequest(server, { prompt: 'none' });
  return callbackOf(await browser.get(url)).get('error');
};

const to = (path: string, params: Record<string, string>) =>
  `${server.issuer}${path}?${new URLSearchParams(params)}`;

describe('/v2/logout', () => {
  test('ends the session and redirects to returnTo; the refresh token stays valid', async () => {
    const { browser, tokens } = await tokensFor(server);
    expect(await silently(browser)).toBeNull();
    const params = { client_id: 'contacts-web', returnTo: 'http://localhost:3000' };
    const page = await browser.get(to('v2/logout', params));
    expect(page.statusCode).toBe(302);
    expect(page.headers.location).toBe('http://localhost:3000/');
    expect(await silently(browser)).toBe('login_required');
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
    expect((await requestTokens(server, form)).status).toBe(200);
  });

  test('redirects to the first allowed URL without returnTo, and works without a session', async () => {
    const page = await openBrowser().get(to('v2/logout', { client_id: 'contacts-web' }));
    expect(page.headers.location).toBe('http://localhost:3000/');
  });

  test('shows a page when no URL is allowed', async () => {
    const page = await openBrowser().get(to('v2/logout', { client_id: 'contacts-cli' }));
    expect(page.statusCode).toBe(200);
    expect(page.body).toContain('You are signed out');
  });

  test.each([
    ['a foreign URL', { client_id: 'contacts-web', returnTo: 'http://evil.example/<b>' }],
    ['an allowed URL with more', { client_id: 'contacts-web', returnTo: 'http://localhost:3000/' }],
    ['an unknown client', { client_id: 'x', returnTo: 'http://localhost:3000' }],
    ['a URL of another client', { client_id: 'contacts-cli', returnTo: 'http://localhost:3000' }],
    ['a foreign URL without a client', { returnTo: 'http://evil.example/' }],
  ])('%s is a page with 400, and the session stays', async (_name, params) => {
    proves('RFC 9700 §4.11.2');
    const { browser } = await tokensFor(server);
    const page = await browser.get(to('v2/logout', params));
    expect(page.statusCode).toBe(400);
    expect(page.headers.location).toBeUndefined();
    expect(page.body).toContain('Logout URL mismatch');
    expect(page.body).not.toContain('<b>');
    expect(await silently(browser)).toBeNull();
  });
});

describe('/oidc/logout, OpenID Connect RP-Initiated Logout', () => {
  test('with the ID token it redirects at once to the allowed URL, with the state', async () => {
    const { browser, tokens } = await tokensFor(server);
    const page = await browser.get(
      to('oidc/logout', {
        id_token_hint: tokens.id_token ?? '',
        post_logout_redirect_uri: 'http://localhost:3000',
        state: 'bye',
      }),
    );
    expect(page.headers.location).toBe('http://localhost:3000/?state=bye');
    expect(await silently(browser)).toBe('login_required');
  });

  test('with the session’s sid as logout_hint it redirects at once', async () => {
    const { browser, tokens } = await tokensFor(server);
    const page = await browser.get(
      to('oidc/logout', {
        client_id: 'contacts-web',
        logout_hint: String(decodeJwt(tokens.id_token ?? '').sid),
        post_logout_redirect_uri: 'http://localhost:3000',
      }),
    );
    expect(page.headers.location).toBe('http://localhost:3000/');
    expect(await silently(browser)).toBe('login_required');
  });

  test.each<Record<string, string>>([{}, { logout_hint: 'another' }, { logout_hint: '' }])(
    'with %j it asks first',
    async (hint) => {
      proves('ASVS 10.6.2');
      const { browser } = await tokensFor(server);
      const page = await browser.get(to('oidc/logout', { client_id: 'contacts-web', ...hint }));
      expect(page.body).toContain('Sign out?');
      expect(await silently(browser)).toBeNull();
    },
  );

  test('without a hint it asks first', async () => {
    proves('ASVS 10.6.2');
    const { browser } = await tokensFor(server);
    const page = await browser.get(to('oidc/logout', {}));
    expect(page.body).toContain('Sign out?');
    expect(await silently(browser)).toBeNull();
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    const confirm = { ...page, url: `${server.issuer}oidc/logout/confirm` } as typeof page;
    const done = await browser.submit(confirm, { xsrf, logout: 'yes' });
    expect(done.body).toContain('You are signed out');
    expect(await silently(browser)).toBe('login_required');
  });

  test('the session of a browser that is not signed in ends after an hour', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'logout-'));
    const state = `file:${join(folder, 'state.db')}`;
    const kept = await startDemo(undefined, { state });
    const answer = await fetch(`${kept.issuer}oidc/logout`);
    const [cookie = ''] = answer.headers.getSetCookie();
    const id = /^issuer_session=([^;]+)/.exec(cookie)?.[1] ?? '';
    const isThere = (seconds: number): boolean => {
      const store = openStateStore(state, () => Math.floor(Date.now() / 1000) + seconds);
      const found = store.read('Session', id);
      store.close();
      return found !== undefined;
    };
    expect([isThere(3500), isThere(3700)]).toEqual([true, false]);
    await kept.close();
    rmSync(folder, { recursive: true });
  });

  test('a URL that is not allowed is a page with 400', async () => {
    const { browser, tokens } = await tokensFor(server);
    const page = await browser.get(
      to('oidc/logout', {
        id_token_hint: tokens.id_token ?? '',
        post_logout_redirect_uri: 'http://evil.example/',
      }),
    );
    expect(page.statusCode).toBe(400);
    expect(page.headers.location).toBeUndefined();
  });
});
