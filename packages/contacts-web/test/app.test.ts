import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { pino } from 'pino';
import { proves } from '../../../test/support/proves.ts';
import {
  API,
  FORM,
  ISSUER,
  standInForIssuer,
  startApp,
  type TestApp,
} from './support/stand-ins.ts';

let app: TestApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  standInForIssuer();
  app = await startApp();
});

afterEach(async () => {
  await app.close();
  nock.cleanAll();
});

const grace = {
  id: '1',
  name: 'Grace Hopper',
  email: 'grace@example.org',
  company: null,
  version: 1,
};
const contacts = () => nock(API).get('/contacts').query(true);
const list = (...items: object[]) => contacts().reply(200, { items, next: null });
const problem = (status: number, body: object, headers: Record<string, string> = {}) =>
  nock(API)
    .post('/contacts')
    .reply(status, body, { 'Content-Type': 'application/problem+json', ...headers });

const { info: INFO = 30, error: ERROR = 50 } = pino.levels.values;

// A Buffer is logged as its bytes, in one of two ways: [80,79] or {"0":80,"1":79}.
const bytesIn = (line: string) =>
  Buffer.from(
    [...line.matchAll(/[:,[](\d{1,3})(?=[,\]}])/g)].map(([, byte]) => Number(byte)),
  ).toString('latin1');

describe('a visitor', () => {
  test('sees the start page with a link to sign in', async () => {
    const response = await app.get('/');
    expect(response.status).toBe(200);
    const html = await response.text();
    expect(html).toContain('<html lang="en">');
    expect(html).toContain('href="/login?returnTo=/contacts"');
    expect(html).not.toContain('Sign out');
    expect(html).toMatch(/<title>Contacts – sign in /);
  });

  test('is sent to the issuer with the parameters of the settings', async () => {
    await app.close();
    const authorizationParams = { resource: API, prompt: 'consent', audience: undefined };
    app = await startApp({ authorizationParams });
    const { headers } = await app.get('/login');
    const { searchParams } = new URL(headers.get('location') ?? '');
    expect([searchParams.get('resource'), searchParams.get('prompt')]).toEqual([API, 'consent']);
    expect(searchParams.has('audience')).toBe(false);
  });

  test('gets a strict Content-Security-Policy and no cached page (RFC 9700 §4.16)', async () => {
    proves('RFC 9700 §4.16');
    const { headers } = await app.get('/');
    expect(headers.get('content-security-policy')?.split(';').sort()).toEqual([
      "base-uri 'none'",
      "default-src 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "img-src 'self' data:",
      "script-src 'self'",
      "style-src 'self'",
    ]);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    const html = await (await app.get('/')).text();
    expect(html.match(/<script[^>]*>/g)).toEqual([
      expect.stringMatching(/^<script src="\/assets\/contacts\.js\?v=[\w-]+" defer>$/),
    ]);
    expect(html).toContain('defer></script>');
    expect(html).not.toMatch(/<style| style=| on\w+=|https?:\/\/(?!issuer|api)/);
  });

  test('gets every asset of a page with a long cache time', async () => {
    const html = await (await app.get('/')).text();
    const assets = [...html.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, url]) => url);
    expect(assets.length).toBeGreaterThanOrEqual(3);
    for (const url of assets) {
      const response = await app.get(url ?? '');
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toContain('immutable');
      expect(response.headers.get('content-type')).toMatch(/css|svg|javascript/);
      // An answer that is not read keeps its connection open.
      expect(await response.text()).not.toBe('');
    }
  });

  test('gets the icon at the address that browsers ask for at pages without one', async () => {
    const response = await app.get('/favicon.ico');
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/svg+xml']);
    expect(await response.text()).toContain('<svg');
  });

  test.each(['/assets/../package.json', '/assets/..%2fpackage.json', '/assets/app.ts', '/assets/'])(
    '%s is no asset',
    async (path) => {
      expect((await app.get(path)).status).toBe(404);
    },
  );

  test('gets an answer from /healthz while the issuer is down', async () => {
    nock.cleanAll();
    const response = await app.get('/healthz');
    expect(await response.json()).toEqual({ status: 'ok' });
  });
});

describe('a user who is not signed in', () => {
  test('is redirected from a page to the sign-in', async () => {
    const response = await app.get('/contacts');
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toMatch(`${ISSUER}authorize?`);
  });

  test('gets problem details from a script (RFC 9457)', async () => {
    const response = await app.get('/contacts', { 'sec-fetch-dest': 'empty' });
    expect(response.status).toBe(401);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ status: 401, code: 'ERR_LOGIN_REQUIRED' });
  });

  test.each([
    ['a WebView of Android gets a page', 'com.example.app', 'text/html'],
    ['XMLHttpRequest gets problem details', 'XMLHttpRequest', 'application/problem+json'],
  ])('%s', async (_, by, type) => {
    const response = await app.get('/nothing', { 'x-requested-with': by });
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toContain(type);
  });

  test('learns that a form was not saved', async () => {
    const response = await app.post('/contacts', { name: 'x' });
    expect(response.status).toBe(401);
    const html = await response.text();
    expect(html).toContain('What you sent was not saved');
    expect(html).toContain('Sign in');
  });

  test.each([
    ['/contacts/g-1/edit?q=a%20b', '/contacts/g-1/edit?q=a%20b'],
    ['/contacts/g-1/delete', '/contacts/g-1/delete'],
    ['/contactsx', undefined],
    ['/session/refresh', '/contacts'],
  ])('is led from %s, by the sign-in, back to the form', async (path, form) => {
    const html = await (await app.post(path, { name: 'x' })).text();
    const [, link] = /class="button" href="(\/login[^"]*)"/.exec(html) ?? [];
    const returnTo = link && new URL(link, 'http://localhost').searchParams.get('returnTo');
    expect(returnTo).toBe(form);
  });
});

describe('a callback that is not accepted', () => {
  test('gives a 400 page with a link to sign in and a reference that is in the log', async () => {
    const response = await app.get('/callback?code=the-code&state=the-state');
    expect(response.status).toBe(400);
    const html = await response.text();
    expect(html).toContain('href="/login?returnTo=/contacts"');
    expect(html).not.toMatch(/ at .*\.[jt]s|node_modules/);
    const reference = response.headers.get('x-request-id') ?? '';
    expect(html).toContain(reference);
    const line = app.log.find((entry) => entry.includes(reference)) ?? '';
    expect(JSON.parse(line)).toMatchObject({ status: 400, code: 'ERR_UNEXPECTED_CALLBACK' });
    expect(line).not.toMatch(/the-code|the-state/);
  });

  test('gives a 400 page with a link to a new sign-in when the issuer refuses the code', async () => {
    const { headers } = await app.get('/login');
    const state = new URL(headers.get('location') ?? '').searchParams.get('state') ?? '';
    const refusal = { error: 'invalid_grant', error_description: 'Invalid code made-up-code' };
    nock(ISSUER).post('/oauth/token').reply(403, refusal);
    const query = new URLSearchParams({ code: 'made-up-code', state });
    const response = await app.get(`/callback?${query}`);
    expect(response.status).toBe(400);
    const html = await response.text();
    expect(html).toContain('ERR_CODE_REFUSED');
    expect(html).toMatch(/<a class="button" href="\/login[^"]*">Sign in again/);
    expect([html, ...app.log].join()).not.toContain('made-up-code');
  });

  test('does not show an error that the issuer never sent', async () => {
    const query = 'error=access_denied&error_description=<script>alert(1)</script>&state=x';
    const html = await (await app.get(`/callback?${query}`)).text();
    expect(html).not.toContain('alert');
  });

  test('shows an error of the issuer, escaped', async () => {
    const { headers } = await app.get('/login');
    const state = new URL(headers.get('location') ?? '').searchParams.get('state') ?? '';
    const params = { error: 'access_denied', error_description: '<b>no</b>', state };
    const response = await app.get(`/callback?${new URLSearchParams(params)}`);
    expect(response.status).toBe(403);
    const html = await response.text();
    expect(html).toContain('access_denied: &lt;b>no&lt;/b>');
    expect(html).not.toContain('<b>no');
  });
});

describe('a signed-in user', () => {
  test('sees the own name and organization, and can sign out', async () => {
    await app.signIn();
    const html = await (await app.get('/')).text();
    expect(html).toContain('Welcome, Ada Lovelace');
    expect(html).toContain('acme');
    expect(html).toMatch(/<form method="post" action="\/logout">/);
  });

  test('sees the contacts with one API call and no refresh', async () => {
    await app.signIn();
    const api = nock(API, { reqheaders: { authorization: 'Bearer the-access-token' } })
      .get('/contacts')
      .query({ limit: 20, sort: 'name' })
      .reply(200, { items: [grace, { ...grace, id: '2', name: '<i>Eve' }], next: 'cursor' });
    const response = await app.get('/contacts');
    expect(response.status).toBe(200);
    const html = await response.text();
    expect(html).toContain('Grace Hopper');
    expect(html).toContain('mailto:grace@example.org');
    expect(html).toContain('&lt;i>Eve');
    expect(html).toContain('1 to 2 of more than 2 people');
    expect(html).toContain('href="/contacts?cursor=cursor&amp;page=2">Next page');
    expect(html).toContain('<title>Contacts</title>');
    expect(api.isDone()).toBe(true);
  });

  test('sees an invitation to add the first contact', async () => {
    await app.signIn();
    list();
    const html = await (await app.get('/contacts')).text();
    expect(html).toContain('No contacts yet');
    expect(html).not.toContain('0 people');
  });

  test('adds a contact and sees it in the list', async () => {
    await app.signIn();
    const sent = { name: 'Grace Hopper', email: 'grace@example.org', notes: 'a\nb' };
    nock(API).post('/contacts', sent).reply(201, grace);
    const response = await app.post('/contacts', {
      ...sent,
      notes: 'a\r\nb',
      phone: ' ',
      company: '',
      extra: 'x',
    });
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe('/contacts?added=1');
    list(grace);
    const html = await (await app.get('/contacts?added=1')).text();
    expect(html).toMatch(/role="status"[^>]*><a href="#contact-1">Grace Hopper<\/a> was added/);
  });

  test('sees the message of the API at each field, and keeps the input', async () => {
    await app.signIn();
    problem(422, {
      errors: [
        { field: 'email', message: 'must be an e-mail address' },
        { field: 'nickname', message: 'is not a field of a contact' },
      ],
    });
    list(grace);
    const typed = { name: '"><b>', email: 'nowhere', notes: '\nfirst line is empty' };
    const response = await app.post('/contacts', typed);
    expect(response.status).toBe(422);
    const html = await response.text();
    expect(html).toContain('<small id="email-message">E-mail must be an e-mail address.</small>');
    expect(html).toContain('aria-describedby="email-message"');
    expect(html).toContain('<li>The field nickname is not a field of a contact.</li>');
    expect(html).toContain('value="&quot;>&lt;b>"');
    expect(html).toContain('>\n\nfirst line is empty</textarea>');
    expect(html).toContain('Grace Hopper');
  });

  test('finds all messages at the top of the page, and the focus in the first wrong field', async () => {
    await app.signIn();
    problem(422, {
      errors: [
        { field: 'phone', message: 'must be at most 50 characters' },
        { field: 'email', message: 'is required' },
      ],
    });
    list(grace);
    const html = await (await app.post('/contacts', { name: 'x' })).text();
    expect(html).toContain('<title>Not saved · Contacts</title>');
    const [top = '', form = ''] = html.split('<form id="contact-form"');
    expect([...top.matchAll(/<li><a href="#(\w+)">([^<]+)/g)].map(([, ...link]) => link)).toEqual([
      ['email', 'E-mail is required.'],
      ['phone', 'Phone must be at most 50 characters.'],
    ]);
    expect(form.match(/<[^>]* autofocus/g)).toEqual([expect.stringContaining('id="email"')]);
  });

  test('learns which scope is missing and who can grant it, and keeps the input', async () => {
    await app.signIn({ scope: 'openid read:contacts' });
    list(grace);
    expect(await (await app.get('/contacts')).text()).toContain('so the API will refuse.');
    const challenge = 'Bearer error="insufficient_scope", scope="create:contacts"';
    problem(403, {}, { 'WWW-Authenticate': challenge });
    list(grace);
    const response = await app.post('/contacts', { name: 'Typed', email: 'typed@example.org' });
    expect(response.status).toBe(403);
    const html = await response.text();
    expect(html).toContain('Nothing was saved');
    expect(html).toContain('<code>create:contacts</code>');
    expect(html).toContain('administrator of acme');
    expect(html).toContain('value="Typed"');
    expect(html).toContain('You may see contacts');
  });

  test('sees the missing scope without read:contacts', async () => {
    await app.signIn({ scope: 'openid' });
    const challenge = 'Bearer error="insufficient_scope", scope="read:contacts"';
    contacts().reply(403, {}, { 'WWW-Authenticate': challenge });
    const response = await app.get('/contacts');
    expect(response.status).toBe(403);
    const html = await response.text();
    expect(html).toContain('<code>read:contacts</code>');
    expect(html).not.toContain('saved');
    const answered = app.log.map((line) => JSON.parse(line)).findLast(({ path }) => path);
    expect(answered).toMatchObject({ path: '/contacts', code: 'ERR_INSUFFICIENT_SCOPE' });
  });

  test('learns that the API is down, and keeps the input', async () => {
    await app.signIn();
    contacts().replyWithError(new Error('refused'));
    const page = await app.get('/contacts');
    expect(page.status).toBe(503);
    expect(await page.text()).toContain('You are still signed in');
    problem(503, {});
    contacts().reply(503);
    const response = await app.post('/contacts', { name: 'Typed' });
    expect(response.status).toBe(503);
    const html = await response.text();
    expect(html).toContain('value="Typed"');
    // The API may have saved it before the answer was lost.
    expect(html).not.toContain('was not saved');
  });

  test('must sign in again when the API refuses both the token and a new one', async () => {
    await app.signIn();
    const challenge = 'Bearer error="invalid_token", error_description="x"';
    contacts().times(2).reply(401, {}, { 'WWW-Authenticate': challenge });
    nock(ISSUER)
      .post('/oauth/token', /grant_type=refresh_token/)
      .reply(200, {
        access_token: 'the-next-access-token',
        token_type: 'Bearer',
        expires_in: 3600,
      });
    const response = await app.get('/contacts');
    expect(response.status).toBe(401);
    expect(await response.text()).toContain('Sign in again');
  });

  test('gets a 502 for an answer of the API without required members', async () => {
    await app.signIn();
    contacts().reply(200, { items: [{ name: 'no id' }] });
    expect((await app.get('/contacts')).status).toBe(502);
  });

  const texts = [{ id: '\ud800' }, { email: 'a\udfff@b' }, { name: '\ud800' }, { notes: '\ud800' }];
  test.each(texts)(
    'gets a 502 for a lone surrogate in the answer of the API: %j',
    async (change) => {
      await app.signIn();
      const body = JSON.stringify({ items: [{ ...grace, ...change }] });
      contacts().reply(200, body, { 'Content-Type': 'application/json' });
      expect((await app.get('/contacts')).status).toBe(502);
      problem(201, { ...grace, ...change });
      expect((await app.post('/contacts', { name: 'x' })).status).toBe(502);
    },
  );

  test.each([400, 404, 405, 409, 415, 422, 429, 499])(
    'gets a 502 when the API answers %i to a request without input of the user',
    async (status) => {
      await app.signIn();
      contacts().reply(status, {});
      expect((await app.get('/contacts')).status).toBe(502);
    },
  );

  test.each([404, 405, 415, 429, 499])(
    'gets a 502 when the API answers %i to a new contact',
    async (status) => {
      await app.signIn();
      problem(status, {});
      expect((await app.post('/contacts', { name: 'x' })).status).toBe(502);
    },
  );

  test('gets a 403 when the API refuses without naming a scope', async () => {
    await app.signIn();
    contacts().reply(403, {});
    expect((await app.get('/contacts')).status).toBe(403);
  });

  test('signs out only with a button, then goes to the issuer', async () => {
    await app.signIn();
    const page = await (await app.get('/logout')).text();
    expect(page).toContain('Sign out?');
    expect((await app.post('/logout', {}, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    const response = await app.post('/logout');
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toMatch(`${ISSUER}oidc/logout?client_id=contacts-web`);
    expect(await (await app.get('/logout')).text()).toContain('You are signed out');
  });

  test('finds no token, code or secret in a page, a header or the log, and no person in the log', async () => {
    const seen: string[] = [];
    await app.signIn();
    list(grace);
    problem(422, { errors: [{ field: 'name', message: 'is required' }] });
    list(grace);
    for (const response of [
      await app.get('/'),
      await app.get('/contacts'),
      await app.post('/contacts', { name: 'x' }),
      await app.get('/logout'),
      await app.get('/nowhere'),
    ]) {
      seen.push(await response.text(), JSON.stringify([...response.headers]));
    }
    const secrets = ['the-access-token', 'the-refresh-token', 'the-code', 'the-client-secret'];
    for (const secret of secrets) expect([...seen, ...app.log].join()).not.toContain(secret);
    for (const person of ['Ada', 'ada@', 'Grace', 'grace@', 'auth0|']) {
      expect(app.log.join()).not.toContain(person);
    }
  });
});

describe('an error', () => {
  test('is a 404 page for an unknown address', async () => {
    const response = await app.get('/nowhere');
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('There is nothing here');
  });

  test.each([
    ['POST', '/', 405, 'GET, HEAD'],
    ['TRACE', '/', 405, 'GET, HEAD'],
    ['PROPFIND', '/contacts', 405, 'GET, HEAD, POST'],
    ['PUT', '/contacts', 405, 'GET, HEAD, POST'],
    ['PATCH', '/logout', 405, 'GET, HEAD, POST'],
    ['POST', '/login', 405, 'GET, HEAD'],
    ['SEARCH', '/callback', 405, 'GET, HEAD'],
    ['DELETE', '/healthz', 405, 'GET, HEAD'],
    ['TRACE', '/nowhere', 404, ''],
    ['PROPFIND', '/nowhere', 404, ''],
  ])('of %s %s is a %i page with Allow: %s', async (method, path, status, allow) => {
    const answer = await app.sendRaw(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/^content-type: text\/html/im);
    const allowed = /^allow: (.*)\r$/im.exec(answer)?.[1]?.split(', ').sort().join(', ') ?? '';
    expect(allowed).toBe(allow);
  });

  test('is a 503 page with Retry-After while the issuer is down, except for the start page', async () => {
    nock.cleanAll();
    nock(ISSUER).get('/.well-known/openid-configuration').replyWithError('down');
    const response = await app.get('/contacts');
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await response.text()).toContain('Signing in is not possible right now');
    expect((await app.get('/')).status).toBe(200);
  });

  test.each([
    ['too large', 413, Buffer.alloc(70_000, 'x'), {}],
    ['too large once unpacked', 413, gzipSync('x'.repeat(70_000)), { 'content-encoding': 'gzip' }],
    ['not packed as it says', 400, Buffer.from('no gzip'), { 'content-encoding': 'gzip' }],
    ['cut off', 400, gzipSync('name=x').subarray(0, 12), { 'content-encoding': 'gzip' }],
    ['packed in an unknown way', 415, Buffer.from('x'), { 'content-encoding': 'x' }],
  ])('of a form that is %s is a %i page', async (_name, status, body, headers) => {
    await app.signIn();
    const response = await app.post('/contacts', body, headers as Record<string, string>);
    expect(response.status).toBe(status);
    expect(await response.text()).toContain('What you sent was not saved');
  });

  test('to a peer that cuts its connection is no alarm in the log', async () => {
    while (!app.log.some((line) => line.includes('the connection broke off'))) {
      const socket = connect(app.port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      // This route reads its body before it answers.
      socket.write(
        `POST /backchannel-logout HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM['content-type']}\r\nContent-Length: 9\r\n\r\nx`,
      );
      await app.get('/healthz');
      socket.resetAndDestroy();
      await app.get('/healthz');
    }
    expect(app.log.filter((line) => JSON.parse(line).level >= ERROR)).toEqual([]);
  });

  test.each([
    ['POST /contacts', ['401', '200']],
    ['POST /nowhere', ['404', '200']],
    ['PUT /login', ['405', '200']],
    // The client library closes the connection, because it can be on any server.
    ['POST /backchannel-logout', ['400']],
  ])(
    'to %s with a body that was not read delays no next request (RFC 9112 §9.3)',
    async (target, statuses) => {
      const body = randomBytes(4_000_000).toString('latin1');
      const next = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
      const head = `${target} HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM['content-type']}\r\n`;
      for (const rest of [
        `Content-Length: ${body.length}\r\n\r\n${body}`,
        `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      ]) {
        const answers = await app.sendRaw(head + rest + next);
        expect(answers.match(/(?<=HTTP\/1.1 )\d{3}/g)).toEqual(statuses);
      }
    },
  );

  test.each([
    ['http://[/x?code=SECRET', 400],
    ['a://?code=SECRET', 400],
    ['http://%zz/x?code=SECRET', 404],
    ['//[/x?code=SECRET', 404],
  ])(
    'of the request target %s is a %i page, and the log does not contain the query',
    async (target, status) => {
      const answer = await app.sendRaw(
        `GET ${target} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toMatch(/^content-type: text\/html/im);
      expect(answer).toMatch(/^content-security-policy: /im);
      expect(app.log).toHaveLength(1);
      expect([answer, ...app.log].join()).not.toContain('SECRET');
    },
  );

  test.each([
    ['a chunk without a length', 'Transfer-Encoding: chunked\r\n\r\nZZZ\r\nname=private-name'],
    ['an unknown transfer coding', 'Transfer-Encoding: gzip, x\r\n\r\nname=private-name'],
  ])('of a request broken by %s logs nothing of its content', async (_name, rest) => {
    const secrets = ['the-session-cookie', 'the-bearer-token', 'private-name'];
    await app.sendRaw(
      `POST /logout HTTP/1.1\r\nHost: x\r\nCookie: session=${secrets[0]}\r\n` +
        `Authorization: Bearer ${secrets[1]}\r\n${rest}`,
    );
    // The broken logout goes on, and asks for the metadata of the issuer: until it has them.
    await app.get('/login');
    const written = [...app.log, ...app.log.map(bytesIn)].join();
    expect(app.log.every((line) => JSON.parse(line).level <= INFO)).toBe(true);
    for (const secret of secrets) expect(written).not.toContain(secret);
  });
});
