import { createSecretKey } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, jwtVerify, SignJWT } from 'jose';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { ruleOf } from '../support/rule-of.ts';
import {
  authorizationRequest,
  type Browser,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const KEY = createSecretKey(Buffer.from('hush-hush-hush-hush-hush-hush-hush'));

/** Asks at another site how old the user is. */
const ASK_AGE: Tenant['postLogin'][number] = {
  name: 'Ask age',
  file: import.meta.filename,
  secrets: { WORD: 'hush-hush-hush-hush-hush-hush-hush' },
  code: `
    exports.onExecutePostLogin = async (event, api) => {
      if (event.user.app_metadata.age) return;
      const token = api.redirect.encodeToken({
        secret: event.secrets.WORD, payload: { email: event.user.email },
      });
      api.idToken.setCustomClaim('https://x.example/before', event.stats.logins_count);
      api.redirect.sendUserTo('https://forms.example.com/age', { query: { session_token: token } });
    };
    exports.onContinuePostLogin = async (event, api) => {
      const { age } = api.redirect.validateToken({ secret: event.secrets.WORD });
      api.user.setAppMetadata('age', age);
      api.idToken.setCustomClaim('https://x.example/age', age);
      api.idToken.setCustomClaim('https://x.example/request', [event.request.method, event.request.query.lang]);
    };`,
};
const LATER = actionOf(
  `api.idToken.setCustomClaim('https://x.example/later', event.user.app_metadata.age);`,
  'later',
);

const startWith = (change: Partial<Tenant>): Promise<AuthorizationServer> =>
  startDemo((tenant) => Object.assign(tenant, change));

/** Signs in, up to where the browser leaves for the other site. */
async function leave(server: AuthorizationServer, change = {}) {
  const browser = openBrowser();
  const request = authorizationRequest(server, change);
  const asked = await signIn(browser, request);
  return { browser, request, asked, state: asked.get('state') ?? '' };
}

const answerOf = (state: string, claims: object = {}): Promise<string> =>
  new SignJWT({ state, age: 42, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(KEY);

const continueUrl = (server: AuthorizationServer, fields: Record<string, string>): string =>
  `${server.issuer}continue?${new URLSearchParams(fields)}`;

/** From the page after `/continue` to the tokens. */
async function finish(
  server: AuthorizationServer,
  browser: Browser,
  request: { verifier: string },
  page: Awaited<ReturnType<Browser['get']>>,
) {
  const last = page.url.includes('/u/consent/')
    ? await browser.submit(page, { action: 'accept' })
    : page;
  const { body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callbackOf(last).get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: request.verifier,
  });
  return decodeJwt(body.id_token ?? '');
}

test('a user goes to the other site with a token, returns with another, and gets tokens', async () => {
  const server = await startWith({ postLogin: [ASK_AGE, LATER] });
  const { browser, request, asked, state } = await leave(server);
  expect(state).toMatch(/^[\w-]{43}$/);
  expect(state).not.toBe('state-1');
  const { payload } = await jwtVerify(asked.get('session_token') ?? '', KEY);
  expect(payload).toMatchObject({
    sub: 'auth0|alice',
    email: 'alice@example.com',
    iss: 'localhost',
  });

  const fields = { state, session_token: await answerOf(state), lang: 'en' };
  const page = await browser.get(continueUrl(server, fields));
  expect(page.url).toContain('/u/consent/');
  expect(await finish(server, browser, request, page)).toMatchObject({
    'https://x.example/before': 1,
    'https://x.example/age': 42,
    'https://x.example/request': ['GET', 'en'],
    'https://x.example/later': 42,
  });
  // The next login knows the age, and goes nowhere.
  const next = await signIn(browser, authorizationRequest(server));
  expect(next.get('code')).not.toBeNull();
});

test('a user may return by a form', async () => {
  const server = await startWith({ postLogin: [ASK_AGE] });
  const { browser, request, state } = await leave(server);
  const page = await browser.submit(
    { url: continueUrl(server, { state }) },
    { session_token: await answerOf(state) },
  );
  expect(await finish(server, browser, request, page)).toMatchObject({
    'https://x.example/age': 42,
    'https://x.example/request': ['POST', undefined].map((one) => one ?? null),
  });
});

test('the state may be in the form as well', async () => {
  const server = await startWith({ postLogin: [ASK_AGE] });
  const { browser, state } = await leave(server);
  const fields = { state, session_token: await answerOf(state) };
  const page = await browser.submit({ url: `${server.issuer}continue` }, fields);
  expect(page.url).toContain('/u/consent/');
});

describe('a state is valid once, for its browser and its sign-in', () => {
  test.each<[string, (state: string) => string]>([
    ['missing', () => ''],
    ['unknown', () => 'x'.repeat(43)],
    ['a path', () => '../../u/login/x'],
    ['another', (state) => `${state}x`],
  ])('%s is a page with 400', async (_name, change) => {
    const server = await startWith({ postLogin: [ASK_AGE] });
    const { browser, state } = await leave(server);
    const page = await browser.get(continueUrl(server, { state: change(state) }));
    expect(page.statusCode).toBe(400);
    expect(page.body).toContain('This sign-in has ended');
  });

  test('another browser gets 400, and the first one can still go on', async () => {
    const server = await startWith({ postLogin: [ASK_AGE] });
    const { browser, state } = await leave(server);
    const url = continueUrl(server, { state, session_token: await answerOf(state) });
    const stranger = openBrowser();
    const refused = await stranger.get(url);
    expect(refused.statusCode).toBe(400);
    // The page of the stranger does not contain the value of the cookie.
    expect(refused.url).toContain(`/u/redirect/${state}/continue`);
    const signedIn = await leave(server);
    expect((await signedIn.browser.get(url)).statusCode).toBe(400);
    expect((await browser.get(url)).url).toContain('/u/consent/');
  });

  test('a second use gets 400', async () => {
    const server = await startWith({ postLogin: [ASK_AGE] });
    const { browser, state } = await leave(server);
    const url = continueUrl(server, { state, session_token: await answerOf(state) });
    expect((await browser.get(url)).url).toContain('/u/consent/');
    expect((await browser.get(url)).statusCode).toBe(400);
  });

  test('two sign-ins of one browser do not accept each other’s state', async () => {
    const server = await startWith({ postLogin: [ASK_AGE] });
    const { browser, state: first } = await leave(server);
    const second = (await signIn(browser, authorizationRequest(server))).get('state') ?? '';
    expect(second).not.toBe(first);
    for (const state of [first, second]) {
      const url = continueUrl(server, { state, session_token: await answerOf(state) });
      expect((await browser.get(url)).url).toContain('/u/consent/');
    }
  });

  test('the way out may be repeated before the way back', async () => {
    const server = await startWith({ postLogin: [ASK_AGE] });
    const { browser, state } = await leave(server);
    const again = await browser.get(`${server.issuer}u/redirect/${state}`);
    expect(callbackOf(again).get('state')).toBe(state);
    expect((await openBrowser().get(`${server.issuer}u/redirect/${state}`)).statusCode).toBe(400);
  });
});

test.each<[string, (state: string) => Promise<string>, string]>([
  [
    'for another state',
    () => answerOf('x'),
    'The session token is invalid: State in the token does not match the /continue state.',
  ],
  [
    'that is missing',
    async () => '',
    'The session token is invalid: there is no parameter "session_token"',
  ],
])('a token %s denies, and nothing is stored', async (_name, make, text) => {
  const server = await startWith({ postLogin: [ASK_AGE] });
  const { browser, state } = await leave(server);
  const page = await browser.get(continueUrl(server, { state, session_token: await make(state) }));
  expect(Object.fromEntries(callbackOf(page))).toEqual({
    error: 'access_denied',
    error_description: text,
    state: 'state-1',
  });
  // Asked again.
  expect((await signIn(browser, authorizationRequest(server))).has('session_token')).toBe(true);
});

test('an Action without onContinuePostLogin denies', async () => {
  const server = await startWith({
    postLogin: [actionOf(`api.redirect.sendUserTo('https://forms.example.com');`)],
  });
  const { browser, state } = await leave(server);
  const page = await browser.get(continueUrl(server, { state }));
  expect(callbackOf(page).get('error_description')).toBe('exports no onContinuePostLogin');
});

test('two Actions redirect, one after the other', async () => {
  const away = (name: string): Tenant['postLogin'][number] => ({
    ...actionOf('', name),
    code: `
      exports.onExecutePostLogin = async (event, api) =>
        api.redirect.sendUserTo('https://forms.example.com/${name}');
      exports.onContinuePostLogin = async (event, api) =>
        api.idToken.setCustomClaim('https://x.example/${name}', event.request.query.answer);`,
  });
  const server = await startWith({ postLogin: [away('one'), away('two')] });
  const { browser, request, state } = await leave(server);
  const second = callbackOf(await browser.get(continueUrl(server, { state, answer: '1' })));
  const other = second.get('state') ?? '';
  expect(other).not.toBe(state);
  expect((await browser.get(continueUrl(server, { state, answer: '3' }))).statusCode).toBe(400);
  const page = await browser.get(continueUrl(server, { state: other, answer: '2' }));
  expect(await finish(server, browser, request, page)).toMatchObject({
    'https://x.example/one': '1',
    'https://x.example/two': '2',
  });
});

describe('without a user in a browser', () => {
  const ALWAYS = actionOf(`
    if (event.transaction.prompt?.includes('none') || event.transaction.protocol === 'oauth2-refresh-token') {
      api.idToken.setCustomClaim('https://x.example/can', api.redirect.canRedirect());
      api.redirect.sendUserTo('https://forms.example.com');
    }`);

  test('prompt=none gets interaction_required at the callback', async () => {
    const server = await startWith({ postLogin: [ALWAYS] });
    const { browser } = await tokensFor(server);
    const callback = await signIn(browser, authorizationRequest(server, { prompt: 'none' }));
    expect(Object.fromEntries(callback)).toEqual({
      error: 'interaction_required',
      error_description: 'External interaction required',
      state: 'state-1',
    });
  });

  test('a refresh gets interaction_required, and its token stays valid', async () => {
    const server = await startWith({ postLogin: [ALWAYS] });
    const { tokens } = await tokensFor(server);
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
    for (let times = 0; times < 2; times += 1) {
      expect(await requestTokens(server, form)).toEqual({
        status: 400,
        body: {
          error: 'interaction_required',
          error_description: 'External interaction required',
        },
      });
    }
  });

  test('canRedirect is true in a browser and false at a refresh', async () => {
    const server = await startWith({
      postLogin: [
        actionOf(
          `api.idToken.setCustomClaim('https://x.example/can', api.redirect.canRedirect());`,
        ),
      ],
    });
    const { tokens } = await tokensFor(server);
    expect(decodeJwt(tokens.id_token ?? '')['https://x.example/can']).toBe(true);
    const refreshed = await requestTokens(server, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    expect(decodeJwt(refreshed.body.id_token ?? '')['https://x.example/can']).toBe(false);
  });
});

test('a recorded way of authentication is known at the next login', async () => {
  const server = await startWith({
    postLogin: [
      {
        ...actionOf(''),
        code: `
          exports.onExecutePostLogin = async (event, api) => {
            const names = event.authentication.methods.map(({ name }) => name);
            api.idToken.setCustomClaim('https://x.example/methods', names);
            if (!names.includes('https://x.example/card')) {
              api.redirect.sendUserTo('https://forms.example.com');
            }
          };
          exports.onContinuePostLogin = async (event, api) => {
            api.authentication.recordMethod('https://x.example/card');
          };`,
      },
    ],
  });
  const { browser, request, state } = await leave(server);
  const page = await browser.get(continueUrl(server, { state }));
  expect((await finish(server, browser, request, page))['https://x.example/methods']).toEqual([
    'pwd',
  ]);
  const again = authorizationRequest(server);
  const callback = await browser.get(again.url);
  expect((await finish(server, browser, again, callback))['https://x.example/methods']).toEqual([
    'pwd',
    'https://x.example/card',
  ]);
});

test('after a redirect by a rule all rules run again, then the Actions', async () => {
  const server = await startWith({
    loginRules: [
      ruleOf(`
        context.idToken['https://x.example/protocol'] = context.protocol;
        context.idToken['https://x.example/answer'] = context.request.query.answer;
        context.redirect = { url: 'https://forms.example.com/rule?a=1' };
        callback(null, user, context);`),
    ],
    postLogin: [actionOf(`api.idToken.setCustomClaim('https://x.example/action', 1);`)],
  });
  const { browser, request, asked, state } = await leave(server);
  expect(asked.get('a')).toBe('1');
  const page = await browser.get(continueUrl(server, { state, answer: 'yes' }));
  expect(await finish(server, browser, request, page)).toMatchObject({
    'https://x.example/protocol': 'redirect-callback',
    'https://x.example/answer': 'yes',
    'https://x.example/action': 1,
  });
});

test('the log contains neither state nor token', async () => {
  const { logger, lines } = keptLog();
  const server = await startDemo((tenant) => Object.assign(tenant, { postLogin: [ASK_AGE] }), {
    logger,
  });
  const { browser, state, asked } = await leave(server);
  const token = await answerOf('x');
  await browser.get(continueUrl(server, { state, session_token: token }));
  await browser.get(continueUrl(server, { state, session_token: token }));
  const told = JSON.stringify([lines, server.log()]);
  expect(lines.length).toBeGreaterThan(0);
  for (const secret of [state, token, asked.get('session_token')]) {
    expect(told).not.toContain(secret);
  }
});
