import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { parse } from 'node-html-parser';
import { casesOf } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import {
  allowedLogoutTarget,
  matchesOrigin,
  matchesPlaceholder,
  placeholderFault,
} from '../../src/tenant/allowed-urls.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

const WILDCARD = 'https://*.preview.example.com/callback';
const BY_NAME = 'https://{organization_name}.app.example.com/callback';

describe('a placeholder in a tenant file', () => {
  test.each([
    'https://app.example.com/*',
    'http://*.example.com:3000',
    'https://pr-*-web.example.com/callback?x=*',
    BY_NAME,
    'https://{custom_domain.metadata.public_app}.example.com',
    'com.example.app://callback',
    'com.example.app:/callback',
  ])('%s can be used', (entry) => {
    expect(placeholderFault(entry)).toBeUndefined();
  });

  test.each([
    'https://*.com',
    'https://*',
    'https://*.localhost:3000/callback',
    'http://*.0.0.1/callback',
    'http://*.168.0.1:3000/callback',
    'https://sub.*.example.com',
    'https://*.*.example.com',
    'https://**.example.com',
    'https://*.example.com.*',
    'https://*@evil.example.com',
    'https://user@*.example.com',
    'https://*.example.com:*',
    'https://prefix-{organization_name}.example.com',
    'https://{organization_name}.*.example.com',
    'https://{organization_name}.com',
    'https://{name}.app.example.com',
    'com.example.app://*.example.com',
  ])('%s stops the start', (entry) => {
    expect(placeholderFault(entry)).toContain('in the first label of a host');
  });
});

const HOSTILE = [
  'https://preview.example.com/callback',
  'https://.preview.example.com/callback',
  'https://a.b.preview.example.com/callback',
  'https://-a.preview.example.com/callback',
  'https://a-.preview.example.com/callback',
  `https://${'a'.repeat(64)}.preview.example.com/callback`,
  'https://*.preview.example.com/callback',
  'https://a.preview.example.com.evil.example/callback',
  'https://evil.example/.preview.example.com/callback',
  'https://evil.example#.preview.example.com/callback',
  'https://evil.example?.preview.example.com/callback',
  'https://evil.example\\.preview.example.com/callback',
  'https://evil.example%2f.preview.example.com/callback',
  'https://evil.example@a.preview.example.com/callback',
  'https://a.preview.example.com@evil.example/callback',
  'https://evil.example:443.preview.example.com/callback',
  'https://a\t.preview.example.com/callback',
  'https://ａ.preview.example.com/callback',
  'https://a.preview.example.com/callback/',
  'https://a.preview.example.com/callback?x=1',
  'https://a.preview.example.com/callback#x',
  'https://a.preview.example.com/x/../callback',
  'https://a.preview.example.com:444/callback',
  'http://a.preview.example.com/callback',
  'javascript://a.preview.example.com/callback',
];

describe('a wildcard in a callback', () => {
  test.each(['a', 'pr-7', 'A', '0', 'xn--bcher-kva', 'a'.repeat(63)])('stands for %s', (label) => {
    const url = `https://${label}.preview.example.com/callback`;
    expect(matchesPlaceholder([WILDCARD], url)).toBe(true);
  });

  test.each(HOSTILE)('does not match %j', (url) => {
    proves('RFC 9700 §2.1 redirect URI', 'RFC 9700 §4.11.2');
    expect(matchesPlaceholder([WILDCARD], url)).toBe(false);
  });

  test('with text around it, is that part of the label', () => {
    const entries = ['https://pr-*-web.example.com/'];
    const matches = (url: string) => matchesPlaceholder(entries, url);
    expect(matches('https://pr-7-web.example.com/')).toBe(true);
    expect(matches('https://pr--web.example.com/')).toBe(false);
    expect(matches('https://pr-web.example.com/')).toBe(false);
    expect(matches('https://pr-7.a-web.example.com/')).toBe(false);
  });

  test('never leads anywhere else, whatever stands in its place', () => {
    const part = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.constantFrom(...'@/\\?#:.%\t*{}', '%2e', '://', 'evil.example', '[::1]'),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const url = WILDCARD.replace('*', () => parts.join(''));
        if (!matchesPlaceholder([WILDCARD], url)) return;
        const { host, pathname, username, search, hash } = new URL(url);
        expect(host).toMatch(/^[a-z0-9-]+\.preview\.example\.com$/);
        expect([pathname, username, search, hash]).toEqual(['/callback', '', '', '']);
      }),
      { numRuns: casesOf(3000) },
    );
  });
});

test('an organization placeholder is the name of that organization alone', () => {
  const url = 'https://acme.app.example.com/callback';
  expect(matchesPlaceholder([BY_NAME], url, 'acme')).toBe(true);
  expect(matchesPlaceholder([BY_NAME], url, 'globex')).toBe(false);
  expect(matchesPlaceholder([BY_NAME], url)).toBe(false);
  expect(matchesPlaceholder([BY_NAME], BY_NAME)).toBe(false);
});

describe('the target of a logout', () => {
  const ALLOWED = [
    'http://localhost:3000',
    'https://App.example.com/Bye',
    'https://*.preview.example.com',
    'https://app.example.com/q?a=1',
    'com.example.app://bye',
  ];

  test.each([
    ['http://localhost:3000', 'http://localhost:3000/'],
    ['http://localhost:3000?bye=1', 'http://localhost:3000/?bye=1'],
    ['http://localhost:3000#bye', 'http://localhost:3000/#bye'],
    ['HTTP://LOCALHOST:3000', 'http://localhost:3000/'],
    ['https://app.EXAMPLE.com:443/Bye', 'https://app.example.com/Bye'],
    ['https://pr-7.preview.example.com?x', 'https://pr-7.preview.example.com/?x'],
    ['https://app.example.com/q', 'https://app.example.com/q'],
    ['com.example.app://bye?x=1', 'com.example.app://bye?x=1'],
  ])('%s is allowed', (url, target) => {
    expect(allowedLogoutTarget(ALLOWED, url)).toBe(target);
  });

  const REFUSED = [
    'http://localhost:3000/other',
    'http://localhost:3000/',
    'http://localhost:3001',
    'http://localhost',
    'https://localhost:3000',
    'https://app.example.com/bye',
    'https://app.example.com/Bye/',
    'https://app.example.com/x/../Bye',
    'https://a.b.preview.example.com',
    'https://a.b.preview.example.com.evil.example',
    'https://*.preview.example.com',
    'https://preview.example.com',
    'http://localhost:3000@evil.example',
    'http://user@localhost:3000',
    'http://user:secret@localhost:3000',
    'http:\\\\localhost:3000\\other',
    'http:///localhost:3000/other',
    'http:localhost:3000/other',
    'http://localhost:3000\\other',
    '//localhost:3000',
    'localhost:3000',
    'javascript:alert(1)//http://localhost:3000',
    'com.example.app://bye/x',
    'com.example.app:/bye',
    '',
  ];

  test.each(REFUSED)('%j is refused', (url) => {
    proves('RFC 9700 §4.11.2');
    expect(allowedLogoutTarget(ALLOWED, url)).toBeUndefined();
  });

  test('of /oidc/logout has the query of the entry', () => {
    const strict = (url: string) => allowedLogoutTarget(ALLOWED, url, { compareQuery: true });
    expect(strict('http://LOCALHOST:3000')).toBe('http://localhost:3000/');
    expect(strict('https://app.example.com/q?a=1')).toBe('https://app.example.com/q?a=1');
    const others = ['http://localhost:3000?bye=1', 'http://localhost:3000#a'];
    const queries = ['https://app.example.com/q?a=2', 'https://app.example.com/q'];
    expect([...others, ...queries].map(strict)).toEqual(Array(4).fill(undefined));
  });

  test('is never at another origin or path, whatever is sent', () => {
    const places = ['http://localhost:3000/', 'https://app.example.com/Bye'];
    const pieces = ['http', 'https', ':', '/', '//', '\\', '@', '.', '#', '?', '%2f', '\t', ' '];
    const names = ['localhost', ':3000', 'app.example.com', '/Bye', 'a', 'evil.example', '..'];
    const part = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...pieces, ...names, ...ALLOWED) },
      { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 5 }) },
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const target = allowedLogoutTarget(ALLOWED, parts.join(''));
        if (target === undefined || target.startsWith('com.example.app://bye')) return;
        const { origin, pathname, username } = new URL(target);
        const isPreview = /^https:\/\/[a-z0-9-]+\.preview\.example\.com$/.test(origin);
        const place = isPreview ? pathname : origin + pathname;
        expect([...places, '/', 'https://app.example.com/q']).toContain(place);
        expect(username).toBe('');
      }),
      { numRuns: casesOf(5000) },
    );
  });
});

test.each<[string, boolean]>([
  ['https://pr-7.preview.example.com', true],
  ['https://acme.app.example.com', true],
  ['https://app.example.com', true],
  ['https://globex.app.example.com', false],
  ['https://a.b.preview.example.com', false],
  ['https://preview.example.com', false],
  ['http://pr-7.preview.example.com', false],
  ['https://pr-7.preview.example.com:444', false],
  ['https://evil.example/.preview.example.com', false],
  ['https://*.preview.example.com', false],
  ['null', false],
  ['', false],
])('the origin %j: %p', (origin, expected) => {
  proves('RFC 9700 §2.6 CORS');
  const entries = [WILDCARD, BY_NAME, 'https://app.example.com/path', 'com.example.app://x'];
  expect(matchesOrigin(entries, origin, ['acme'])).toBe(expected);
});

describe('over HTTP', () => {
  let server: AuthorizationServer;
  const preview = 'https://pr-7.preview.example.com/callback';
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      const [web] = tenant.clients;
      web!.callbacks.push(WILDCARD, BY_NAME);
      web!.allowed_origins = ['https://*.preview.example.com'];
      const change = { callbacks: [WILDCARD], grant_types: ['implicit' as const] };
      tenant.clients.push({ ...web!, client_id: 'single', ...change });
      tenant.clients.push({ ...web!, client_id: 'other', is_first_party: false });
      tenant.organizations.push({
        name: 'acme',
        id: 'org_acme',
        metadata: {},
        members: ['auth0|alice'],
      });
      tenant.tenant.allowed_logout_urls = ['https://bye.example.com'];
    });
  });
  afterAll(stopServers);

  test.each([
    { redirect_uri: preview },
    { redirect_uri: 'https://acme.app.example.com/callback', organization: 'org_acme' },
  ])('a sign-in with %j ends at this callback with tokens', async (change) => {
    const browser = openBrowser();
    const request = authorizationRequest(server, change);
    const code = (await signIn(browser, request)).get('code') ?? '';
    const form = { grant_type: 'authorization_code', code, code_verifier: request.verifier };
    const wrong = { ...form, redirect_uri: 'https://pr-8.preview.example.com/callback' };
    expect((await requestTokens(server, wrong)).body.error).toBe('unauthorized_client');
    const right = { ...form, redirect_uri: change.redirect_uri };
    expect((await requestTokens(server, right)).status).toBe(200);
  });

  test.each<Record<string, string>>([
    { redirect_uri: WILDCARD },
    { redirect_uri: BY_NAME, organization: 'org_acme' },
    { redirect_uri: 'https://acme.app.example.com/callback' },
    { redirect_uri: 'https://acme.app.example.com/callback', organization: 'org_globex' },
    { redirect_uri: 'https://a.b.preview.example.com/callback' },
    { redirect_uri: preview, client_id: 'other' },
    { redirect_uri: preview, organization: 'org_unknown', client_id: 'contacts-docs' },
  ])('%j is a page', async (change) => {
    const page = await openBrowser().get(authorizationRequest(server, change).url);
    expect([page.statusCode, page.headers.location]).toEqual([400, undefined]);
    expect(page.body).toContain('Callback URL mismatch');
  });

  test('an error of another parameter does not lead to a callback that is not allowed', async () => {
    const evil = { redirect_uri: 'https://evil.example/callback', response_type: 'nonsense' };
    const missing = { redirect_uri: undefined, response_type: 'nonsense', client_id: 'single' };
    for (const change of [evil, missing]) {
      const page = await openBrowser().get(authorizationRequest(server, change).url);
      expect([page.statusCode, page.headers.location]).toEqual([400, undefined]);
    }
  });

  test('an origin by wildcard may call the token endpoint', async () => {
    const origin = 'https://pr-7.preview.example.com';
    const allowed = async (from: string) => {
      const { headers } = await got.post(`${server.issuer}oauth/token`, {
        form: { client_id: 'contacts-web', grant_type: 'refresh_token' },
        headers: { origin: from },
        throwHttpErrors: false,
      });
      return headers['access-control-allow-origin'];
    };
    expect(await allowed(origin)).toBe(origin);
    expect(await allowed('https://a.b.preview.example.com')).toBeUndefined();
  });

  test('without a client, /oidc/logout goes by the list of the tenant', async () => {
    const to = (target: string, sid: unknown) =>
      `${server.issuer}oidc/logout?${new URLSearchParams({ post_logout_redirect_uri: target, logout_hint: String(sid) })}`;
    const first = await tokensFor(server);
    const { sid } = decodeJwt(first.tokens.id_token ?? '');
    const refused = await first.browser.get(to('http://localhost:3000', 'another'));
    expect(refused.body).toContain('Sign out?');
    const page = await first.browser.get(to('https://BYE.example.com', sid));
    expect(page.headers.location).toBe('https://bye.example.com/');
    const second = await tokensFor(server);
    const own = decodeJwt(second.tokens.id_token ?? '').sid;
    const other = await second.browser.get(to('http://localhost:3000', own));
    expect(other.headers.location).toBeUndefined();
    expect(other.body).toContain('You are signed out');
  });

  test('the confirmation of a logout leads to the list of the tenant too', async () => {
    const { browser } = await tokensFor(server);
    const query = new URLSearchParams({ post_logout_redirect_uri: 'https://bye.example.com' });
    const page = await browser.get(`${server.issuer}oidc/logout?${query}`);
    const xsrf = parse(page.body).querySelector('input[name=xsrf]')?.getAttribute('value') ?? '';
    const url = `${server.issuer}oidc/logout/confirm`;
    const done = await browser.submit({ url }, { xsrf, logout: 'yes' });
    expect(done.headers.location).toBe('https://bye.example.com/');
  });

  test('the ID token of another session asks first', async () => {
    const [one, other] = [await tokensFor(server), await tokensFor(server)];
    const query = new URLSearchParams({ id_token_hint: other.tokens.id_token ?? '' });
    const page = await one.browser.get(`${server.issuer}oidc/logout?${query}`);
    expect(page.body).toContain('Sign out?');
    const silent = authorizationRequest(server, { prompt: 'none' });
    expect(callbackOf(await one.browser.get(silent.url)).get('error')).toBeNull();
  });
});
