import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { CookieJar } from 'tough-cookie';
import { FormBrowser, type Page } from '../../../../test/support/form-browser.ts';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { takeClock } from '../support/clock.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { ALL_SCOPES, API, secondStepOf } from '../support/sign-in.ts';

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** Starts the demo tenant with a device: a public client without a callback. */
const startWithDevice: typeof startDemo = (change = () => {}, options) =>
  startDemo((tenant) => {
    const [web] = tenant.clients;
    const device = { name: 'Living-room TV', client_secret: undefined, callbacks: [] };
    tenant.clients.push(
      {
        ...web!,
        ...device,
        client_id: 'tv',
        app_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: [GRANT, 'refresh_token'],
      },
      { ...web!, client_id: 'other-tv', grant_types: [GRANT] },
    );
    change(tenant);
  }, options);

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startWithDevice();
});
afterAll(stopServers);

type Answer = Record<string, string>;

const post = async (path: string, form: Record<string, string>, to = server) => {
  const { statusCode, body } = await got.post(new URL(path, to.issuer), {
    form,
    responseType: 'json',
    throwHttpErrors: false,
    retry: { limit: 0 },
  });
  return { status: statusCode, body: body as Answer };
};

const begin = async (change: Record<string, string> = {}, from = server) => {
  const form = { client_id: 'tv', scope: ALL_SCOPES, audience: API, ...change };
  const { status, body } = await post('oauth/device/code', form, from);
  expect(status).toBe(200);
  return body as Answer & { device_code: string; user_code: string };
};

const poll = (code: string, from = server, client_id = 'tv') =>
  post('oauth/token', { grant_type: GRANT, device_code: code, client_id }, from);

const refusal = (status: number, error: string, error_description: string) => ({
  status,
  body: { error, error_description },
});

const PENDING = refusal(403, 'authorization_pending', 'User has yet to authorize device code.');
const INVALID = refusal(403, 'invalid_grant', 'Invalid or expired device code.');

const openPage = (browser: FormBrowser, from = server) => browser.open(`${from.issuer}activate`);

const typeCode = async (browser: FormBrowser, user_code: string, from = server) =>
  browser.submit(await openPage(browser, from), 'form', { user_code });

const confirm = (browser: FormBrowser, page: Page) =>
  browser.submit(page, 'form.answers', { confirm: 'yes' });

const signInAs = (browser: FormBrowser, page: Page, user = 'alice') =>
  browser.submit(page, 'form.fields', {
    username: `${user}@example.com`,
    password: `${user}-demo`,
  });

/** The user's part, as far as it goes without a consent: the code, the confirmation, the sign-in. */
const connect = async (user_code: string, user = 'alice', from = server) => {
  const browser = new FormBrowser();
  const page = await signInAs(
    browser,
    await confirm(browser, await typeCode(browser, user_code, from)),
    user,
  );
  return { browser, page };
};

const accept = (browser: FormBrowser, page: Page) =>
  browser.submit(page, 'form.answers', { action: 'accept' });

const approve = async (user_code: string, from = server) => {
  const { browser, page } = await connect(user_code, 'alice', from);
  const end = page.url.includes('/u/consent/') ? await accept(browser, page) : page;
  expect(end.html.text).toContain('Your device is connected');
  return browser;
};

describe('a device', () => {
  test('gets tokens only after the second factor that an Action requests', async () => {
    const own = await startWithDevice((tenant) =>
      Object.assign(tenant, { postLogin: [actionOf(`api.multifactor.enable('any');`)] }),
    );
    const { device_code, user_code } = await begin({}, own);
    const { browser, page } = await connect(user_code, 'alice', own);
    expect(new URL(page.url).pathname).toMatch(/^\/u\/mfa\//);
    const code = page.html.querySelector('#code')?.text ?? '';
    const consent = await browser.submit(page, 'form.fields', { code });
    await accept(browser, consent);
    const { body } = await poll(device_code, own);
    expect(decodeJwt(body.id_token ?? '').amr).toEqual(['mfa']);
  });

  test('gets tokens once its user has typed the code, confirmed it and signed in', async () => {
    const own = await startWithDevice();
    const tv = await client.discovery(new URL(own.issuer), 'tv', undefined, client.None(), {
      execute: [client.allowInsecureRequests],
    });
    const device = await client.initiateDeviceAuthorization(tv, {
      scope: ALL_SCOPES,
      audience: API,
    });
    expect(device).toMatchObject({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/),
      verification_uri: `${own.issuer}activate`,
      verification_uri_complete: `${own.issuer}activate?user_code=${device.user_code}`,
      expires_in: 900,
      interval: 5,
    });
    const polling = client.pollDeviceAuthorizationGrant(tv, { ...device, interval: 1 });

    const browser = new FormBrowser();
    const typed = ` ${device.user_code.toLowerCase().replace('-', ' ')}`;
    const question = await typeCode(browser, typed, own);
    expect(question.html.querySelector('h1')?.text).toBe('Connect Living-room TV');
    expect(question.html.querySelector('p.user-code')?.text).toBe(device.user_code);
    const login = await confirm(browser, question);
    expect(login.html.text).toContain('to continue to Living-room TV');
    const consent = await signInAs(browser, login);
    expect(consent.html.text).toContain('Authorize Living-room TV');
    const end = await accept(browser, consent);
    expect([end.status, end.html.querySelector('h1')?.text]).toEqual([
      200,
      'Your device is connected',
    ]);

    const tokens = await polling;
    expect(tokens.scope).toBe(ALL_SCOPES);
    expect(tokens.claims()).toMatchObject({ sub: 'auth0|alice', email: 'alice@example.com' });
    expect(tokens.claims()).not.toHaveProperty('nonce');
    expect(decodeJwt(tokens.access_token)).toMatchObject({
      sub: 'auth0|alice',
      azp: 'tv',
      aud: [API, `${own.issuer}userinfo`],
      'https://contacts.example.com/roles': ['admin'],
    });
    const refreshed = await client.refreshTokenGrant(tv, tokens.refresh_token ?? '');
    expect(decodeJwt(refreshed.access_token)).toMatchObject({ scope: ALL_SCOPES, azp: 'tv' });

    const [transaction, ...others] = own.log().toReversed();
    expect(others.flatMap(({ steps }) => steps.map(({ type }) => type))).toEqual([
      undefined,
      undefined,
      'sertft',
    ]);
    expect(transaction?.steps.map(({ step, type }) => [step, type])).toEqual([
      ['request', undefined],
      ['sign-in', undefined],
      ['actions', undefined],
      ['consent', undefined],
      ['device', 's'],
      ['request', undefined],
      ['tokens', 'sede'],
    ]);
  }, 15_000);

  test('waits for its user, and not more often than every five seconds', async () => {
    proves('RFC 8628 §3.5');
    const clock = takeClock();
    const { device_code: code } = await begin();
    expect(await poll(code)).toEqual(PENDING);
    const tooFast = 'You are polling faster than the specified interval of 5 seconds.';
    expect(await poll(code)).toEqual(refusal(429, 'slow_down', tooFast));
    clock.pass(5000);
    expect(await poll(code)).toEqual(PENDING);
  });

  test('gets the tokens once, and a second exchange ends them', async () => {
    const clock = takeClock();
    const { device_code: code, user_code } = await begin();
    await approve(user_code);
    const [one, other] = await Promise.all([poll(code), poll(code)]);
    expect([one.status, other.status].sort()).toEqual([200, 429]);
    const { refresh_token = '' } = one.status === 200 ? one.body : other.body;
    clock.pass(5000);
    expect(await poll(code)).toEqual(INVALID);
    const again = { grant_type: 'refresh_token', client_id: 'tv', refresh_token };
    expect((await post('oauth/token', again)).status).toBe(403);
  });

  test('gets no tokens for the code of another client', async () => {
    const { device_code: code, user_code } = await begin();
    await approve(user_code);
    const form = { client_secret: 'contacts-web-demo-secret', client_id: 'other-tv' };
    const stolen = await post('oauth/token', { grant_type: GRANT, device_code: code, ...form });
    expect(stolen).toEqual(INVALID);
    expect(await poll('unknown')).toEqual(INVALID);
  });

  test('is not called unconnected when its user loads the last page again', async () => {
    const { device_code: code, user_code } = await begin();
    const { browser, page } = await connect(user_code, 'alice');
    const end = page.url.includes('/u/consent/') ? await accept(browser, page) : page;
    expect(end.html.text).toContain('Your device is connected');
    const again = await browser.open(end.url);
    expect([again.status, again.html.text]).toEqual([
      400,
      expect.stringContaining('This sign-in has ended'),
    ]);
    expect(again.html.text).not.toContain('not connected');
    expect(await poll(code)).toMatchObject({ status: 200 });
  });

  test('gets expired_token once, when its code is fifteen minutes old', async () => {
    proves('RFC 8628 §5.1');
    const clock = takeClock();
    const { device_code: code, user_code } = await begin();
    const browser = new FormBrowser();
    const question = await typeCode(browser, user_code);
    clock.pass(901_000);
    const page = await confirm(browser, question);
    expect([page.status, page.html.text]).toEqual([400, expect.stringContaining('has expired')]);
    const expired = refusal(403, 'expired_token', 'The device code has expired.');
    expect(await poll(code)).toEqual(expired);
    clock.pass(5000);
    expect(await poll(code)).toEqual(INVALID);
  });

  test.each([
    [
      'the confirmation',
      async (browser: FormBrowser, code: string) => {
        const page = await typeCode(browser, code);
        return browser.submit(page, 'form.answers', { abort: 'yes' });
      },
      'User cancelled the confirmation prompt',
      'fdecc',
    ],
    [
      'the consent',
      async (browser: FormBrowser, code: string) => {
        const login = await confirm(browser, await typeCode(browser, code));
        const consent = await signInAs(browser, login, 'carol');
        return browser.submit(consent, 'form.answers', { action: 'decline' });
      },
      'User did not authorize the request',
      'fdeac',
    ],
  ] as const)('is refused when its user declines %s', async (_name, decline, text, type) => {
    const { device_code: code, user_code } = await begin();
    const page = await decline(new FormBrowser(), user_code);
    expect(page.html.querySelector('h1')?.text).toBe('Your device is not connected');
    expect(page.html.text).toContain(type === 'fdecc' ? 'You canceled it.' : text);
    expect(await poll(code)).toEqual(refusal(403, 'access_denied', text));
    const types = server.log()[0]?.steps.flatMap((step) => step.type ?? []);
    expect(types).toEqual([type, 'fede']);
  });

  test.each([
    ['a client without the grant type', { client_id: 'contacts-docs' }, 403, 'unauthorized_client'],
    ['an unknown client', { client_id: 'unknown' }, 401, 'access_denied'],
    ['no client', { client_id: '' }, 401, 'invalid_client'],
    ['a wrong secret', { client_id: 'other-tv', client_secret: 'x' }, 401, 'access_denied'],
    ['an unknown audience', { audience: 'https://unknown.example' }, 403, 'access_denied'],
    ['an unknown organization', { organization: 'org_unknown' }, 400, 'invalid_request'],
    ['a malformed scope', { scope: 'open"id' }, 400, 'invalid_scope'],
  ])('gets no code with %s', async (_name, change, status, error) => {
    const form = { client_id: 'tv', scope: 'openid', ...change };
    const answer = await post('oauth/device/code', form);
    expect([answer.status, answer.body.error]).toEqual([status, error]);
    expect(server.log()[0]?.steps.at(-1)).toMatchObject({ step: 'refusal', type: 'fdeaz' });
  });

  test('gets a code with any number of spaces in the scope', async () => {
    expect(
      (await post('oauth/device/code', { client_id: 'tv', scope: ' openid  email' })).status,
    ).toBe(200);
  });

  test('may send JSON, as to the other endpoints', async () => {
    const json = { client_id: 'tv', scope: 'openid' };
    const body = await got.post(new URL('oauth/device/code', server.issuer), { json }).json();
    expect(body).toHaveProperty('user_code');
  });

  test('goes on after a restart of the server', async () => {
    const files = ['state', 'keys'].map((name) => join(tmpdir(), `${name}-${randomUUID()}`));
    const [state, keys] = files.map((file) => `file:${file}`);
    const start = () => startWithDevice(undefined, { state, keys });
    const first = await start();
    const { device_code: code, user_code } = await begin({}, first);
    await first.close();
    const second = await start();
    await approve(user_code, second);
    expect((await poll(code, second)).status).toBe(200);
    await second.close();
    for (const file of files) rmSync(file, { force: true });
  });
});

describe('the page', () => {
  test('asks for a confirmation when the code is in the link, and connects nothing before', async () => {
    proves('RFC 8628 §5.4');
    const browser = await approve((await begin()).user_code);
    // The browser is signed in, and its user has consented.
    const device = await begin();
    const page = await browser.open(device.verification_uri_complete ?? '');
    expect(page.html.querySelector('p.user-code')?.text).toBe(device.user_code);
    expect(page.html.querySelectorAll('script')).toEqual([]);
    expect(await poll(device.device_code)).toEqual(PENDING);
    const end = await confirm(browser, page);
    expect(end.html.text).toContain('Your device is connected');
    expect(page.html.text).toContain('If someone sent you the code');
  });

  test.each([
    ['an unknown code', async () => 'BBBB-BBBB', 'This code is unknown'],
    ['no code', async () => '', 'Enter the code that your device shows'],
    ['a code that is markup', async () => '"><script>alert(1)</script>', 'This code is unknown'],
    [
      'a used code',
      async () => {
        const { user_code } = await begin();
        await approve(user_code);
        return user_code;
      },
      'This code was used before',
    ],
    [
      'a code that someone else confirmed',
      async () => {
        const { user_code } = await begin();
        const other = new FormBrowser();
        await confirm(other, await typeCode(other, user_code));
        return user_code;
      },
      'This code was used before',
    ],
  ])('answers 400 to %s, and asks again', async (_name, code, text) => {
    const typed = await code();
    const page = await typeCode(new FormBrowser(), typed);
    expect(page.status).toBe(400);
    expect(page.html.querySelector('[role="alert"]')?.text).toContain(text);
    expect(page.html.querySelector('input[name="user_code"]')?.getAttribute('value')).toBe(typed);
    expect(page.html.querySelector('script')).toBeNull();
    if (typed === '') return;
    const linked = new URL('activate', server.issuer);
    linked.searchParams.set('user_code', typed);
    expect((await new FormBrowser().open(linked.href)).status).toBe(400);
  });

  test.each([
    ['without the cookie of the page', '', false, 302],
    ['with the value of another page', `&xsrf=${'0'.repeat(48)}`, true, 400],
    ['with a field twice', '&user_code=BBBB-BBBB', true, 400],
  ])('refuses a form %s', async (_name, change, sendsCookie, status) => {
    const { device_code, user_code } = await begin();
    const cookieJar = new CookieJar();
    const { html } = await openPage(new FormBrowser({ cookieJar }));
    const xsrf = html.querySelector('[name="xsrf"]')?.getAttribute('value') ?? '';
    const fields = new URLSearchParams({ xsrf, user_code, confirm: 'yes' });
    if (change.startsWith('&xsrf')) fields.delete('xsrf');
    const { statusCode } = await got.post(new URL('activate', server.issuer), {
      body: fields + change,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      ...(sendsCookie && { cookieJar }),
      followRedirect: false,
      throwHttpErrors: false,
    });
    expect(statusCode).toBe(status);
    expect(await poll(device_code)).toEqual(PENDING);
  });

  test('refuses an address all codes after ten wrong ones', async () => {
    proves('RFC 8628 §5.1');
    const own = await startWithDevice();
    const { user_code } = await begin({}, own);
    const browser = new FormBrowser();
    // Right codes do not count, however many.
    for (let n = 0; n < 12; n += 1)
      expect((await typeCode(browser, user_code, own)).status).toBe(200);
    for (let n = 0; n < 5; n += 1) await typeCode(browser, 'BBBB-BBBB', own);
    expect((await typeCode(browser, user_code, own)).status).toBe(200);
    for (let n = 0; n < 5; n += 1) {
      const page = await browser.open(`${own.issuer}activate?user_code=BBBB-BBBB`);
      expect(page.status).toBe(400);
    }
    for (const code of ['BBBB-BBBB', user_code]) {
      const page = await typeCode(new FormBrowser(), code, own);
      expect(page.status).toBe(429);
      expect(page.html.text).toContain('Too many wrong codes');
    }
  });

  test('lets the user change the account at the consent', async () => {
    const { device_code, user_code } = await begin();
    const { browser, page } = await connect(user_code, 'bob');
    const login = await browser.submit(page, 'form.answers', { action: 'switch' });
    expect(login.url).toContain('/u/login/');
    // The engine ends the session of the first user with a form that a script submits.
    const form = await signInAs(browser, login, 'alice');
    let end = await browser.submit(form, 'form', {});
    if (end.url.includes('/u/consent/')) end = await accept(browser, end);
    expect(end.html.text).toContain('Your device is connected');
    const { body } = await poll(device_code);
    expect(decodeJwt(body.id_token ?? '').sub).toBe('auth0|alice');
  });

  test('has codes in the format of the tenant', async () => {
    const own = await startWithDevice(({ tenant }) => {
      tenant.device_flow = { charset: 'digits', mask: '*** ***-***' };
    });
    const device = await begin({}, own);
    expect(device.user_code).toMatch(/^\d{3} \d{3}-\d{3}$/);
    const page = await new FormBrowser().open(device.verification_uri_complete ?? '');
    expect(page.html.querySelector('p.user-code')?.text).toBe(device.user_code);
  });
});

describe('Actions', () => {
  test('see the protocol, set claims by scope, and redirect', async () => {
    const site = createServer((request, response) => {
      const { searchParams } = new URL(request.url ?? '', 'http://localhost');
      const state = searchParams.get('state');
      response.writeHead(303, { location: `${own.issuer}continue?state=${state}` }).end();
    }).listen(0, '127.0.0.1');
    await once(site, 'listening');
    const { port } = site.address() as AddressInfo;
    const claim = 'https://contacts.example.com/protocol';
    const own = await startWithDevice((tenant) => {
      const { code, ...action } = actionOf(`
        api.accessToken.setCustomClaim('${claim}', event.transaction.protocol);
        api.idToken.setCustomClaim('${claim}', JSON.stringify(event.request.body));
        api.redirect.sendUserTo('http://127.0.0.1:${port}/');
      `);
      const back = 'exports.onContinuePostLogin = async () => {};';
      Object.assign(tenant, { postLogin: [{ ...action, code: code + back }] });
    });
    const device = await begin({ scope: `openid ${claim}`, audience: '' }, own);
    await approve(device.user_code, own);
    const { body } = await poll(device.device_code, own);
    expect(decodeJwt(body.id_token ?? '')[claim]).not.toMatch(/xsrf|user_code/);
    const again = await begin({ scope: 'openid' }, own);
    await approve(again.user_code, own);
    const { access_token = '' } = (await poll(again.device_code, own)).body;
    expect(decodeJwt(access_token)[claim]).toBe('oauth2-device-code');
    site.close();
  });

  test('ask for a second step', async () => {
    const own = await startWithDevice((tenant) => {
      const action = actionOf("api.authentication.challengeWith({ type: 'otp' });");
      Object.assign(tenant, { postLogin: [action] });
      Object.assign(tenant.users[0] ?? {}, { enrolledFactors: [{ type: 'otp' }] });
    });
    const { device_code: code, user_code } = await begin({}, own);
    const { browser, page } = await connect(user_code, 'alice', own);
    expect(page.url).toContain('/u/mfa/');
    const step = secondStepOf({ body: page.html.toString() });
    await accept(browser, await browser.submit(page, 'form.fields', step));
    const { body } = await poll(code, own);
    expect(decodeJwt(body.id_token ?? '')).toMatchObject({ sub: 'auth0|alice', amr: ['mfa'] });
  });

  test('deny a device, which gets the reason', async () => {
    const { logger, lines } = keptLog();
    const own = await startWithDevice(
      (tenant) => {
        Object.assign(tenant, { postLogin: [actionOf("api.access.deny('no televisions')")] });
      },
      { logger },
    );
    const { device_code: code, user_code } = await begin({}, own);
    const { page } = await connect(user_code, 'alice', own);
    expect(page.status).toBe(403);
    expect(page.html.text).toContain('no televisions');
    expect(await poll(code, own)).toEqual(refusal(403, 'access_denied', 'no televisions'));
    expect(lines).toContainEqual(expect.objectContaining({ type: 'fdeac', client: 'tv' }));
    const written = JSON.stringify([lines, own.log()]);
    for (const secret of [code, user_code, user_code.replace('-', '')]) {
      expect(written).not.toContain(secret);
    }
  });

  test('a blocked user connects no device', async () => {
    const own = await startWithDevice(({ users }) => {
      users[0]!.blocked = true;
    });
    const { device_code: code, user_code } = await begin({}, own);
    const { page } = await connect(user_code, 'alice', own);
    expect(page.html.text).toContain('user is blocked');
    expect(await poll(code, own)).toMatchObject({ body: { error: 'unauthorized' } });
  });

  test('tokens of an organization name it, also after a refresh', async () => {
    const own = await startWithDevice(({ organizations }) => {
      const acme = { name: 'acme', id: 'org_acme', metadata: {}, members: ['auth0|alice'] };
      organizations.push(acme);
    });
    const { device_code: code, user_code } = await begin({ organization: 'org_acme' }, own);
    await approve(user_code, own);
    const { refresh_token = '', ...first } = (await poll(code, own)).body;
    expect(decodeJwt(first.access_token ?? '').org_id).toBe('org_acme');
    const form = { grant_type: 'refresh_token', client_id: 'tv', refresh_token };
    const { body } = await post('oauth/token', form, own);
    expect(decodeJwt(body.access_token ?? '').org_id).toBe('org_acme');
  });
});
