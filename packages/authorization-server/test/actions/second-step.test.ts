import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { ruleOf } from '../support/rule-of.ts';
import {
  ALL_SCOPES,
  authorizationRequest,
  type Browser,
  CALLBACK,
  callbackOf,
  openBrowser,
  type Page,
  requestTokens,
  secondStepOf,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const METHODS = 'https://x.example/methods';

const startWith = (change: Partial<Tenant>, enrolledFactors: object[] = [{ type: 'otp' }]) =>
  startDemo((tenant) => {
    Object.assign(tenant, change);
    Object.assign(tenant.users[0] ?? {}, { enrolledFactors, email_verified: false });
  });

const tellMethods = actionOf(
  `api.idToken.setCustomClaim('${METHODS}', event.authentication.methods.map(({ name }) => name));`,
  'tell',
);
const challenge = (factors = `[{ type: 'otp' }]`, name = 'challenge') =>
  actionOf(`api.authentication.challengeWithAny(${factors});`, name);

/** Signs in up to the page of the second factor. */
async function signInToStep(server: AuthorizationServer, browser: Browser, change = {}) {
  const request = authorizationRequest(server, change);
  const login = await browser.get(request.url);
  const page = login.url.includes('/u/login/')
    ? await browser.submit(login, { username: 'alice@example.com', password: 'alice-demo' })
    : login;
  expect(new URL(page.url).pathname).toMatch(/^\/u\/mfa\//);
  return { request, page };
}

/** Ends a sign-in after its second factor. @returns the claims of the ID token. */
async function finish(
  server: AuthorizationServer,
  browser: Browser,
  { page, request }: { page: Page; request: { verifier: string } },
) {
  const end = page.url.includes('/u/consent/')
    ? await browser.submit(page, { action: 'accept' })
    : page;
  const { body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callbackOf(end).get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: request.verifier,
  });
  return { tokens: body, claims: decodeJwt(body.id_token ?? '') };
}

test('a proved factor is in the methods of later Actions, in amr, and in the next login', async () => {
  const server = await startWith({ postLogin: [tellMethods, challenge(), tellMethods] });
  const browser = openBrowser();
  const { page, request } = await signInToStep(server, browser);
  expect(page.body).toContain('Confirm that it is you');
  const after = await browser.submit(page, secondStepOf(page));
  const { claims } = await finish(server, browser, { page: after, request });
  expect(claims).toMatchObject({ [METHODS]: ['pwd', 'mfa'], amr: ['mfa'] });
  server.useTenant({ ...server.tenant, postLogin: [tellMethods] });
  const again = authorizationRequest(server);
  const last = await browser.get(again.url);
  const silent = await finish(server, browser, { page: last, request: again });
  expect(silent.claims).toMatchObject({ [METHODS]: ['pwd', 'mfa'], amr: ['mfa'] });
});

test('without a second factor no token has amr', async () => {
  const server = await startWith({ postLogin: [tellMethods] });
  const { tokens } = await tokensFor(server);
  expect(decodeJwt(tokens.id_token ?? '')).not.toHaveProperty('amr');
});

const MULTI_FACTOR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';

test.each(['access_token', 'rfc9068_profile'] as const)(
  'a sign-in that acr_values raised is in the access tokens of the dialect %s (RFC 9068 §2.2.1)',
  async (token_dialect) => {
    proves('RFC 9068 §2.2.1');
    const server = await startDemo();
    for (const api of server.tenant.resourceServers) Object.assign(api, { token_dialect });
    const browser = openBrowser();
    const login = authorizationRequest(server);
    const page = await browser.submit(await browser.get(login.url), {
      username: 'alice@example.com',
      password: 'alice-demo',
    });
    const weak = decodeJwt(
      (await finish(server, browser, { page, request: login })).tokens.access_token ?? '',
    );
    expect(weak).not.toHaveProperty('acr');
    expect(weak).not.toHaveProperty('auth_time');

    const step = await signInToStep(server, browser, { acr_values: MULTI_FACTOR });
    const after = await browser.submit(step.page, secondStepOf(step.page));
    const { tokens, claims } = await finish(server, browser, {
      page: after,
      request: step.request,
    });
    const strong = { acr: MULTI_FACTOR, auth_time: expect.any(Number) };
    expect(claims).toMatchObject({ acr: MULTI_FACTOR, amr: ['mfa'] });
    const first = decodeJwt(tokens.access_token ?? '');
    expect(first).toMatchObject(strong);
    const { refresh_token = '' } = tokens;
    const { body } = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
    const { acr, auth_time } = decodeJwt(body.access_token ?? '');
    expect({ acr, auth_time }).toEqual({ acr: first.acr, auth_time: first.auth_time });
  },
);

test('the lists that Auth0 always has are empty without their parameters', async () => {
  const server = await startWith({
    postLogin: [
      actionOf(`const { acr_values, ui_locales } = event.transaction;
        api.idToken.setCustomClaim('https://x.example/lists', [acr_values, ui_locales]);`),
    ],
  });
  const { tokens } = await tokensFor(server);
  expect(decodeJwt(tokens.id_token ?? '')['https://x.example/lists']).toEqual([[], []]);
  const { refresh_token = '' } = tokens;
  const { body } = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
  expect(decodeJwt(body.id_token ?? '')['https://x.example/lists']).toEqual([[], []]);
});

test('the time of a sign-in whose age was limited is in the access token, without an acr', async () => {
  proves('RFC 9068 §2.2.1');
  const server = await startDemo();
  const { tokens } = await tokensFor(server, 'alice', { max_age: '300' });
  const { auth_time } = decodeJwt(tokens.id_token ?? '');
  const claims = decodeJwt(tokens.access_token ?? '');
  expect(claims.auth_time).toBe(auth_time);
  expect(claims.auth_time).toEqual(expect.any(Number));
  expect(claims).not.toHaveProperty('acr');
});

test('amr stays at a refresh', async () => {
  const server = await startWith({
    postLogin: [
      actionOf(`if (event.transaction.protocol !== 'oauth2-refresh-token')
        api.authentication.challengeWith({ type: 'otp' });`),
    ],
  });
  const { tokens } = await tokensFor(server);
  const { refresh_token = '' } = tokens;
  const { body } = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
  expect(decodeJwt(body.id_token ?? '').amr).toEqual(['mfa']);
});

describe('the step', () => {
  test('rejects a wrong code and a factor that was not offered, then accepts the right ones', async () => {
    const server = await startWith({ postLogin: [challenge()] });
    const browser = openBrowser();
    const { page } = await signInToStep(server, browser);
    const { code, factor } = secondStepOf(page);
    const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, '0');
    for (const fields of [
      { code: wrong, factor },
      { code, factor: 'phone' },
      { code: '', factor },
    ]) {
      const answer = await browser.submit(page, fields);
      expect(answer.statusCode).toBe(400);
      expect(answer.body).toContain('This is not the code.');
    }
    const after = await browser.submit(page, { code, factor });
    expect(after.url).toContain('/u/consent/');
  });

  test('cannot be skipped in the same browser', async () => {
    const server = await startWith({ postLogin: [challenge()] });
    const browser = openBrowser();
    const { page } = await signInToStep(server, browser);
    const id = page.url.slice(page.url.lastIndexOf('/') + 1);
    // The engine resumes without an answer: the Actions run again.
    const resumed = await browser.get(`${server.issuer}authorize/${id}`);
    expect(resumed.url).toContain('/u/mfa/');
    expect(secondStepOf(resumed).code).not.toBe('');
    for (const path of [`u/consent/${id}`, `u/login/${id}`]) {
      expect((await browser.get(`${server.issuer}${path}`)).statusCode).toBe(400);
    }
    const consent = await browser.submit(
      { url: `${server.issuer}u/consent/${id}` },
      { action: 'accept', ...secondStepOf(page) },
    );
    expect(consent.statusCode).toBe(400);
    const again = await browser.get(authorizationRequest(server).url);
    expect(again.url).toContain('/u/mfa/');
  });

  test('needs the cookie of its sign-in', async () => {
    const server = await startWith({ postLogin: [challenge()] });
    const { page } = await signInToStep(server, openBrowser());
    const other = openBrowser();
    await signInToStep(server, other);
    expect((await other.get(page.url)).statusCode).toBe(400);
    const answer = await other.submit(page, secondStepOf(page));
    expect([answer.statusCode, answer.headers.location]).toEqual([400, undefined]);
    expect((await openBrowser().submit(page, secondStepOf(page))).statusCode).toBe(400);
  });

  test('refuses more answers after too many wrong ones', async () => {
    const server = await startWith({
      postLogin: [challenge()],
      attack_protection: { brute_force_protection: { enabled: true, max_attempts: 2 } },
    });
    const browser = openBrowser();
    const { page } = await signInToStep(server, browser);
    const statuses = [];
    for (let tries = 0; tries < 3; tries += 1) {
      statuses.push((await browser.submit(page, { code: 'x', factor: 'otp' })).statusCode);
    }
    expect(statuses).toEqual([400, 400, 429]);
    expect((await browser.submit(page, secondStepOf(page))).statusCode).toBe(429);
  });

  test('denies the login if its Action was removed', async () => {
    const server = await startWith({ postLogin: [tellMethods, challenge()] });
    const browser = openBrowser();
    const { page } = await signInToStep(server, browser);
    server.useTenant({ ...server.tenant, postLogin: [tellMethods] });
    const callback = callbackOf(await browser.submit(page, secondStepOf(page)));
    expect(callback.get('error_description')).toBe('the Action "challenge" was removed');
  });
});

test('an Action runs once in a login with steps, and each step is asked for in turn', async () => {
  const server = await startWith(
    {
      postLogin: [
        actionOf(`api.user.setAppMetadata('runs', (event.user.app_metadata.runs ?? 0) + 1);`),
        actionOf(`api.authentication.challengeWith({ type: 'otp' });
          api.authentication.enrollWith({ type: 'phone' });`),
        actionOf(`api.authentication.challengeWith({ type: 'phone' }, { additionalFactors: [{ type: 'otp' }] });
          api.idToken.setCustomClaim('${METHODS}', [
            event.user.app_metadata.runs, event.user.enrolledFactors.map(({ type }) => type), event.stats.logins_count]);`),
      ],
    },
    [{ type: 'otp' }],
  );
  const browser = openBrowser();
  const { page, request } = await signInToStep(server, browser);
  const second = await browser.submit(page, secondStepOf(page));
  expect(second.body).toContain('Set up a second factor');
  const last = await browser.submit(second, secondStepOf(second));
  const { claims } = await finish(server, browser, { page: last, request });
  expect(claims[METHODS]).toEqual([1, ['otp', 'phone'], 1]);
});

test('an Action that also redirects goes on before the step, which stays', async () => {
  const both = {
    ...actionOf('', 'both'),
    code: `
      exports.onExecutePostLogin = async (event, api) => {
        api.authentication.challengeWith({ type: 'otp' });
        api.redirect.sendUserTo('https://forms.example.com/');
      };
      exports.onContinuePostLogin = async (event, api) => {
        api.idToken.setCustomClaim('https://x.example/back', event.request.query.answer);
      };`,
  };
  const server = await startWith({ postLogin: [both, tellMethods] });
  const browser = openBrowser();
  const request = authorizationRequest(server);
  const state = (await signIn(browser, request)).get('state') ?? '';
  const query = new URLSearchParams({ state, answer: 'yes' });
  const page = await browser.get(`${server.issuer}continue?${query}`);
  expect(page.url).toContain('/u/mfa/');
  const after = await browser.submit(page, secondStepOf(page));
  const { claims } = await finish(server, browser, { page: after, request });
  expect(claims).toMatchObject({ 'https://x.example/back': 'yes', [METHODS]: ['pwd', 'mfa'] });
});

test('a factor that a user set up is used at the next login, and not after a reset', async () => {
  const postLogin = [
    actionOf(`
      const types = event.user.enrolledFactors.map(({ type }) => type);
      api.idToken.setCustomClaim('${METHODS}', [types, event.user.multifactor]);
      if (types.length === 0) api.authentication.enrollWithAny([{ type: 'otp' }, { type: 'push' }]);`),
  ];
  const server = await startWith({ postLogin }, []);
  const told = async () => decodeJwt((await tokensFor(server)).tokens.id_token ?? '')[METHODS];
  expect(await told()).toEqual([[], []]);
  expect(await told()).toEqual([['otp'], ['guardian']]);
  server.reset();
  expect(await told()).toEqual([[], []]);
});

describe('the login is denied', () => {
  test.each([
    ['without an enrolled factor', `challengeWith({ type: 'phone' })`, /has not enrolled phone/],
    ['if all are enrolled already', `enrollWith({ type: 'otp' })`, /has already enrolled otp/],
    ['for an unknown factor', `challengeWith({ type: 'toast' })`, /is "toast": give one of otp, /],
    ['for no factor', 'challengeWithAny([])', /challengeWithAny: give at least one factor/],
    ['for nothing', 'challengeWith()', /the type is "undefined"/],
  ])('%s', async (_name, call, reason) => {
    const server = await startWith({ postLogin: [actionOf(`api.authentication.${call};`)] });
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toMatch(reason);
  });

  test('for an unknown provider', async () => {
    const server = await startWith({ postLogin: [actionOf(`api.multifactor.enable('toast');`)] });
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toMatch(/give one of any, duo, /);
  });
});

describe('api.multifactor.enable', () => {
  const enable = (options: string) => actionOf(`api.multifactor.enable('any', ${options});`);

  test('asks after the last Action, and none removes the request', async () => {
    const server = await startWith({ postLogin: [enable('{}'), tellMethods] });
    const browser = openBrowser();
    const { page, request } = await signInToStep(server, browser);
    const after = await browser.submit(page, secondStepOf(page));
    const { claims } = await finish(server, browser, { page: after, request });
    expect(claims).toMatchObject({ [METHODS]: ['pwd'], amr: ['mfa'] });
    const none = actionOf(`api.multifactor.enable('none');`);
    server.useTenant({ ...server.tenant, postLogin: [enable('{}'), none] });
    const login = await tokensFor(server);
    expect(decodeJwt(login.tokens.id_token ?? '')).not.toHaveProperty('amr');
  });

  test('asks a user without a factor to set one up', async () => {
    const server = await startWith({ postLogin: [enable('{}')] }, []);
    const { page } = await signInToStep(server, openBrowser());
    expect(page.body).toContain('Set up a second factor');
  });

  test.each([
    ['is remembered by the session if the browser may be', '{ allowRememberBrowser: true }', false],
    ['is asked for at each login by default', '{}', true],
  ])('%s', async (_name, options, asks) => {
    const server = await startWith({ postLogin: [enable(options)] });
    const browser = openBrowser();
    const { page } = await signInToStep(server, browser);
    const after = await browser.submit(page, secondStepOf(page));
    await browser.submit(after, { action: 'accept' });
    const again = await browser.get(authorizationRequest(server).url);
    expect(again.url.includes('/u/mfa/')).toBe(asks);
    // Another browser has not proved it.
    await signInToStep(server, openBrowser());
  });
});

test('context.multifactor of a rule asks for the second factor', async () => {
  const rule = ruleOf(`context.multifactor = { provider: 'any', allowRememberBrowser: false };
    callback(null, user, context);`);
  const server = await startWith({ postLogin: [], loginRules: [rule] });
  const browser = openBrowser();
  const { page, request } = await signInToStep(server, browser);
  const after = await browser.submit(page, secondStepOf(page));
  expect((await finish(server, browser, { page: after, request })).claims.amr).toEqual(['mfa']);
});

test('without a page the factor is refused in words of Auth0', async () => {
  const server = await startWith({ postLogin: [] });
  const { browser, tokens } = await tokensFor(server, 'alice', { scope: ALL_SCOPES });
  server.useTenant({ ...server.tenant, postLogin: [challenge()] });
  const silent = await signIn(browser, authorizationRequest(server, { prompt: 'none' }));
  expect(Object.fromEntries(silent)).toMatchObject({
    error: 'interaction_required',
    error_description: 'Multifactor authentication required',
  });
  const { refresh_token = '' } = tokens;
  const refresh = () => requestTokens(server, { grant_type: 'refresh_token', refresh_token });
  expect(await refresh()).toEqual({
    status: 403,
    body: { error: 'mfa_required', error_description: 'Multifactor authentication required' },
  });
  server.useTenant({ ...server.tenant, postLogin: [] });
  expect((await refresh()).status).toBe(200);
});
