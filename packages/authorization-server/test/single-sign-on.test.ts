import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../src/index.ts';
import { takeClock } from './support/clock.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  authorizationRequest,
  type Browser,
  CALLBACK,
  callbackOf,
  openBrowser,
  type Page,
  requestTokens,
  signIn,
} from './support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo((tenant) => {
    const [first] = tenant.clients;
    tenant.clients.push({ ...first!, client_id: 'second-web', name: 'Second application' });
  });
});
afterAll(stopServers);

const signedIn = async (user = 'alice'): Promise<Browser> => {
  const browser = openBrowser();
  await signIn(browser, authorizationRequest(server), user);
  return browser;
};

const ask = (browser: Browser, change: Record<string, string>): Promise<Page> =>
  browser.get(authorizationRequest(server, change).url);

const password = (browser: Browser, page: Page): Promise<Page> =>
  browser.submit(page, { username: 'alice@example.com', password: 'alice-demo' });

/** Returns the claims of the session in the ID token. */
const sessionOf = async (callback: URLSearchParams, verifier: string) => {
  const { body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callback.get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: verifier,
  });
  const { sub, auth_time } = decodeJwt(body.id_token ?? '');
  return { sub, auth_time };
};

test('a second application needs no second login, only consent, and that once', async () => {
  const browser = await signedIn();
  const first = await ask(browser, { client_id: 'second-web' });
  expect(first.url).toContain('/u/consent/');
  await browser.submit(first, { action: 'accept' });
  const second = await ask(browser, { client_id: 'second-web', state: 'another state' });
  expect(Object.fromEntries(callbackOf(second))).toEqual({
    code: expect.any(String),
    state: 'another state',
  });
});

test('another browser needs a login', async () => {
  await signedIn();
  expect((await ask(openBrowser(), {})).url).toContain('/u/login/');
});

describe('a login within a session is forced by', () => {
  test.each<Record<string, string>>([{ prompt: 'login' }, { max_age: '0' }])(
    '%j, and then goes on without consent',
    async (change) => {
      const browser = await signedIn();
      const request = authorizationRequest(server, change);
      const page = await browser.get(request.url);
      expect(page.url).toContain('/u/login/');
      const callback = callbackOf(await password(browser, page));
      expect(callback.get('state')).toBe('state-1');
      expect(await sessionOf(callback, request.verifier)).toEqual({
        sub: 'auth0|alice',
        auth_time: expect.any(Number),
      });
    },
  );

  test('a max_age that is over, and not by one that is not', async () => {
    const clock = takeClock();
    const browser = await signedIn();
    expect(callbackOf(await ask(browser, { max_age: '3600' })).get('code')).toBeTruthy();
    clock.pass(2100);
    expect((await ask(browser, { max_age: '1' })).url).toContain('/u/login/');
    const silent = await ask(browser, { max_age: '1', prompt: 'none' });
    expect(callbackOf(silent).get('error')).toBe('login_required');
  });
});

describe('consent', () => {
  test('is remembered, and forced by prompt=consent', async () => {
    const browser = await signedIn('bob');
    expect(callbackOf(await ask(browser, {})).get('code')).toBeTruthy();
    const page = await ask(browser, { prompt: 'consent' });
    expect(page.url).toContain('/u/consent/');
    const callback = callbackOf(await browser.submit(page, { action: 'accept' }));
    expect(callback.get('code')).toBeTruthy();
  });

  test('once given, is not taken back by a refusal', async () => {
    const browser = await signedIn('carol');
    const page = await ask(browser, { prompt: 'consent' });
    const refused = callbackOf(await browser.submit(page, { action: 'decline' }));
    expect(refused.get('error')).toBe('access_denied');
    expect(callbackOf(await ask(browser, {})).get('code')).toBeTruthy();
  });
});

test.each(['', 'a b+c&d=e', 'ünï%20côde', 'x'.repeat(1000)])(
  'state %p is echoed as it was sent',
  async (state) => {
    const success = callbackOf(await ask(await signedIn(), { state }));
    const failure = callbackOf(await ask(openBrowser(), { state, prompt: 'none' }));
    expect([success, failure].map((callback) => callback.get('state') ?? '')).toEqual([
      state,
      state,
    ]);
  },
);
