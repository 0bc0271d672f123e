import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { takeClock } from '../support/clock.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const SEEN = 'https://x.example/seen';

const startWith = (body: string, change: Partial<Tenant> = {}) =>
  startDemo((tenant) => Object.assign(tenant, { postLogin: [actionOf(body)], ...change }));

const useAction = (server: AuthorizationServer, body: string) =>
  server.useTenant({ ...server.tenant, postLogin: [actionOf(body)] });

const refresh = (server: AuthorizationServer, refresh_token = '') =>
  requestTokens(server, { grant_type: 'refresh_token', refresh_token });

const seen = (tokens: Record<string, string>) => decodeJwt(tokens.id_token ?? '')[SEEN];

/** Checks whether the browser still has a session. */
async function isSignedIn(server: AuthorizationServer, browser: ReturnType<typeof openBrowser>) {
  useAction(server, '');
  const callback = await signIn(browser, authorizationRequest(server, { prompt: 'none' }));
  return callback.get('error') !== 'login_required';
}

describe('api.session.revoke', () => {
  test.each([
    ['ends the session and its refresh tokens', '', 403],
    ['can keep the refresh tokens', ', { preserveRefreshTokens: true }', 200],
  ])('%s', async (_name, options, status) => {
    const server = await startWith('');
    const { browser, tokens } = await tokensFor(server);
    const other = await tokensFor(server);
    useAction(server, `api.session.revoke('out'${options});`);
    const page = await browser.get(authorizationRequest(server).url);
    expect(Object.fromEntries(callbackOf(page))).toMatchObject({
      error: 'access_denied',
      error_description: 'out',
    });
    expect(await isSignedIn(server, browser)).toBe(false);
    expect((await refresh(server, tokens.refresh_token)).status).toBe(status);
    // Another session of the same user stays.
    expect(await isSignedIn(server, other.browser)).toBe(true);
    expect((await refresh(server, other.tokens.refresh_token)).status).toBe(200);
  });

  test('ends the session that just began, and at a refresh that of the sign-in', async () => {
    const server = await startWith(`api.session.revoke('out');`);
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server));
    expect(await isSignedIn(server, browser)).toBe(false);
    const login = await tokensFor(server);
    useAction(server, `api.session.revoke('out');`);
    const { status, body } = await refresh(server, login.tokens.refresh_token);
    expect([status, body.error_description]).toEqual([403, 'out']);
    expect(await isSignedIn(server, login.browser)).toBe(false);
  });
});

describe('the end of a session', () => {
  test.each([
    [
      'setExpiresAt',
      `api.session.setExpiresAt(Date.now() + 9e9).session.setExpiresAt(Date.now() + 3000);`,
    ],
    ['setIdleExpiresAt', 'api.session.setIdleExpiresAt(Date.now() + 3000);'],
  ])('is the earliest of %s', async (_name, body) => {
    const clock = takeClock();
    const server = await startWith(body);
    const { browser } = await tokensFor(server);
    const unchanged = await tokensFor(await startWith(''));
    // The sign-in itself must end in time.
    clock.pass(3500);
    expect(await isSignedIn(server, browser)).toBe(false);
    expect(unchanged.tokens).toHaveProperty('id_token');
  });

  test('can be earlier than the first time of a JavaScript Date', async () => {
    const clock = takeClock();
    const server = await startWith('');
    const { browser } = await tokensFor(server);
    useAction(server, 'api.session.setExpiresAt(-1e20);');
    for (let login = 0; login < 2; login += 1) {
      const { statusCode } = await browser.get(authorizationRequest(server).url);
      expect(statusCode).toBeLessThan(400);
    }
    clock.pass(1100);
    expect(await isSignedIn(server, browser)).toBe(false);
  });

  test('can be set at a refresh', async () => {
    const clock = takeClock();
    const server = await startWith('');
    const { browser, tokens } = await tokensFor(server);
    useAction(server, 'api.session.setExpiresAt(Date.now());');
    await refresh(server, tokens.refresh_token);
    clock.pass(1100);
    expect(await isSignedIn(server, browser)).toBe(false);
  });

  test('is in the event, with the lifetimes of the tenant', async () => {
    const server = await startWith(`
      const { created_at, expires_at, idle_expires_at } = event.session;
      api.idToken.setCustomClaim('${SEEN}', [expires_at, idle_expires_at].map((end) =>
        Math.round((Date.parse(end) - Date.parse(created_at)) / 3600000)));`);
    expect(seen((await tokensFor(server)).tokens)).toEqual([168, 72]);
  });
});

test('a non-persistent session cookie has no end', async () => {
  const cookiesOf = async (mode: string) => {
    const server = await startWith(`api.session.setCookieMode('${mode}');`);
    const { browser } = await tokensFor(server);
    const page = await browser.get(authorizationRequest(server).url);
    return page.headers['set-cookie']?.filter((line) => line.startsWith('issuer_session_'));
  };
  expect(await cookiesOf('persistent')).toEqual([expect.stringContaining('expires=')]);
  expect(await cookiesOf('non-persistent')).toEqual([expect.not.stringContaining('expires=')]);
});

test('metadata and devices of a session are in the event of its next login, and of no other session', async () => {
  const server = await startWith(`
    const { metadata, device, clients, cookie } = event.session;
    api.idToken.setCustomClaim('${SEEN}', { metadata, device, clients, mode: cookie.mode });
    api.session.setMetadata('plan', 'gold').session.setMetadata('old', 'x').session.deleteMetadata('old');`);
  const { browser, tokens } = await tokensFor(server);
  const ip = '127.0.0.1';
  const user_agent = expect.stringContaining('got');
  expect(seen(tokens)).toEqual({
    metadata: {},
    device: {
      ...{ initial_ip: expect.stringContaining(ip), last_ip: expect.stringContaining(ip) },
      ...{ initial_user_agent: user_agent, last_user_agent: user_agent },
    },
    clients: [{ client_id: 'contacts-web' }],
    mode: 'persistent',
  });
  const again = authorizationRequest(server);
  const code = (await signIn(browser, again)).get('code') ?? '';
  const { body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    ...{ code, redirect_uri: 'http://localhost:3000/callback', code_verifier: again.verifier },
  });
  expect(seen(body)).toMatchObject({ metadata: { plan: 'gold' } });
  expect(seen((await tokensFor(server)).tokens)).toMatchObject({ metadata: {} });
});

test('metadata of a refresh token is in the event of a later Action, and of the next refresh', async () => {
  const server = await startDemo((tenant) =>
    Object.assign(tenant, {
      postLogin: [
        actionOf(
          `api.refreshToken.setMetadata('count', String(Number(event.refresh_token?.metadata.count ?? 0) + 1));`,
        ),
        actionOf(`api.idToken.setCustomClaim('${SEEN}', event.refresh_token?.metadata ?? null);`),
      ],
    }),
  );
  const { tokens } = await tokensFor(server);
  expect(seen(tokens)).toBeUndefined();
  const second = await refresh(server, tokens.refresh_token);
  expect(seen(second.body)).toEqual({ count: '2' });
  expect(seen((await refresh(server, second.body.refresh_token)).body)).toEqual({ count: '3' });
});

describe('a refresh token', () => {
  const notRotating = (tenant: Tenant) =>
    Object.assign(tenant.clients[0]?.refresh_token ?? {}, { rotation_type: 'non-rotating' });

  test.each([
    ['that rotates', () => {}],
    ['that does not rotate', notRotating],
  ])('%s ends when an Action says, at the sign-in and at a refresh', async (_name, change) => {
    const clock = takeClock();
    const end = 'api.refreshToken.setExpiresAt(Date.now());';
    const server = await startDemo((tenant) => {
      change(tenant);
      Object.assign(tenant, { postLogin: [actionOf(end)] });
    });
    const first = await tokensFor(server);
    useAction(server, '');
    const second = await tokensFor(server);
    useAction(server, end);
    const { body } = await refresh(server, second.tokens.refresh_token);
    useAction(server, '');
    clock.pass(1100);
    expect((await refresh(server, first.tokens.refresh_token)).status).toBe(403);
    const latest = body.refresh_token ?? second.tokens.refresh_token;
    expect((await refresh(server, latest)).status).toBe(403);
  });

  test('is revoked at a refresh with the reason', async () => {
    const server = await startWith(`
      if (event.refresh_token) api.refreshToken.revoke('stolen');`);
    const { tokens } = await tokensFor(server);
    expect(await refresh(server, tokens.refresh_token)).toEqual({
      status: 403,
      body: { error: 'access_denied', error_description: 'stolen' },
    });
    useAction(server, '');
    expect((await refresh(server, tokens.refresh_token)).body.error).toBe('invalid_grant');
  });
});

describe('the login is denied', () => {
  test.each([
    [
      'by a time that is not a number',
      `api.session.setExpiresAt('soon');`,
      /setExpiresAt: give a time in milli/,
    ],
    ['by an invalid key', `api.session.setMetadata('a b', 'x');`, /a key has at most 255 letters/],
    ['by the prototype', `api.session.setMetadata('__proto__', 'x');`, /a key has at most/],
    [
      'by a value that is not a text',
      `api.refreshToken.setMetadata('a', 1);`,
      /"a" must be a text of at/,
    ],
    ['by a long value', `api.session.setMetadata('a', 'x'.repeat(256));`, /at most 255 characters/],
    [
      'by too many keys',
      `for (let n = 0; n < 26; n += 1) api.session.setMetadata('k' + n, 'x');`,
      /there are at most 25 keys/,
    ],
    [
      'by an unknown cookie mode',
      `api.session.setCookieMode('eternal');`,
      /give persistent or non-/,
    ],
    ['by revoking a missing refresh token', `api.refreshToken.revoke('x');`, /only a refresh has/],
  ])('%s', async (_name, body, reason) => {
    const server = await startWith(body);
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toMatch(reason);
  });
});
