import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import nock from 'nock';
import { CookieJar } from 'tough-cookie';
import { casesOf, codePoint, webUrl } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthOptions } from '../../src/index.ts';
import { endSessionURL } from '../../src/login/logout.ts';
import { type SessionStore, storeKey } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import type { Browser } from '../support/browser.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { BASE_URL, type ServedApp, serveApp, userOf } from '../support/served-app.ts';
import { storeWith } from '../support/store-with.ts';

let issuer: IssuerStandIn;
let store: SessionStore;
let app: ServedApp | undefined;
let warnings: unknown[];
let now: number;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  now = Date.now();
  store = memoryStore({ now: () => now });
  warnings = [];
});

afterEach(async () => {
  await app?.close();
  app = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

async function start(options: Partial<AuthOptions> = {}, headers = {}): Promise<ServedApp> {
  app = await serveApp(issuer, {
    options: {
      session: { store },
      onEvent: (event) => {
        if (event.type === 'warning') warnings.push(event);
      },
      now: () => now,
      ...options,
    },
    async page(ctx) {
      ctx.set(headers);
      if (ctx.path === '/token') ctx.body = { token: (await ctx.oidc.accessToken()).value };
      if (ctx.path === '/leave') await ctx.oidc.logout({ returnTo: ctx.query.to });
    },
  });
  return app;
}

const location = (response: Response) => new URL(response.headers.get('location') ?? '');
const home = (response: Response) =>
  location(response).searchParams.get('post_logout_redirect_uri');
const copyOf = async (browser: Browser) =>
  app?.browser(await CookieJar.deserialize(await browser.jar.serialize())) as Browser;

const metadata = { issuer: 'https://issuer.example/', jwks_uri: 'https://issuer.example/jwks' };
const session = { clientID: 'c', sid: 'sid-1', home: 'https://app.example' };

describe('where the browser goes', () => {
  test('it goes to the end_session_endpoint, whose own query stays (RP-Initiated Logout 1.0 §2)', () => {
    const end_session_endpoint = 'https://issuer.example/logout?tenant=1';
    const url = new URL(endSessionURL({ ...metadata, end_session_endpoint }, session) ?? '');
    expect(url.origin + url.pathname).toBe('https://issuer.example/logout');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: '1',
      logout_hint: 'sid-1',
      client_id: 'c',
      post_logout_redirect_uri: 'https://app.example',
    });
  });

  test.each([
    ['https://tenant.eu.auth0.com/', {}],
    ['https://tenant.eu.auth0.com', {}],
    ['https://login.example/', { mfa_challenge_endpoint: 'https://login.example/mfa/challenge' }],
  ])('it goes to /v2/logout of Auth0 when %s names no endpoint', (issuer, members) => {
    expect(endSessionURL({ ...metadata, issuer, ...members }, session)).toBe(
      `${new URL(issuer).origin}/v2/logout?client_id=c&returnTo=https%3A%2F%2Fapp.example`,
    );
  });

  test.each(['https://issuer.example/', 'https://auth0.com.example/', 'https://notauth0.com/'])(
    'it stays here when %s names no endpoint',
    async (issuer) => {
      expect(endSessionURL({ ...metadata, issuer }, session)).toBeUndefined();
    },
  );

  test('without an endpoint of the issuer, the session ends here', async () => {
    nock.cleanAll();
    issuer = standInForIssuer({ end_session_endpoint: undefined });
    const { signIn } = await start({ routes: { postLogoutRedirect: `${BASE_URL}/signed-out` } });
    const browser = await signIn();
    expect(location(await browser.post('/logout')).href).toBe(`${BASE_URL}/signed-out`);
    expect(await userOf(browser)).toBeNull();
  });

  test('without idpLogout only this app’s session ends', async () => {
    const { signIn } = await start({ idpLogout: false });
    const browser = await signIn();
    expect(location(await browser.post('/logout')).href).toBe(`${BASE_URL}/`);
    expect(await userOf(browser)).toBeNull();
  });

  test('while the issuer’s metadata can’t be had, the session ends here', async () => {
    const browser = await (await start()).signIn();
    const [cookie] = await browser.jar.getCookies(BASE_URL);
    await app?.close();
    nock.cleanAll();
    const again = (await start()).browser(browser.jar);
    expect(await userOf(again)).toBe('user-1');
    expect(location(await again.post('/logout')).href).toBe(`${BASE_URL}/`);
    expect(warnings).toContainEqual(
      expect.objectContaining({ type: 'warning', code: 'ERR_ISSUER_UNAVAILABLE' }),
    );
    expect(await store.read(storeKey(cookie?.value ?? ''))).toBeUndefined();
  });

  test.each([
    ['a path', '/goodbye?a=1', `${BASE_URL}/goodbye?a=1`],
    ['nothing', undefined, `${BASE_URL}/signed-out`],
    ['the start page', '/', `${BASE_URL}/signed-out`],
    ['another site', 'https://evil.example/', `${BASE_URL}/signed-out`],
    ['another site without a scheme', '//evil.example', `${BASE_URL}/signed-out`],
    ['another site for a browser', '/\\evil.example', `${BASE_URL}/signed-out`],
    ['a script', 'javascript:alert(1)', `${BASE_URL}/signed-out`],
    ['a second line', '/a\r\nSet-Cookie: a=b', `${BASE_URL}/signed-out`],
    ['our own whole address', `${BASE_URL}/goodbye`, `${BASE_URL}/signed-out`],
  ])('returnTo: %s', async (_name, to, expected) => {
    const { signIn } = await start({ routes: { postLogoutRedirect: `${BASE_URL}/signed-out` } });
    const browser = await signIn();
    const query = to === undefined ? '' : `?${new URLSearchParams({ to })}`;
    const response = await browser.post(`/leave${query}`);
    expect(response.status).toBe(303);
    expect(home(response)).toBe(expected);
  });

  test('returnTo: whatever it is, it stays in this app', async () => {
    await start({ idpLogout: false });
    const browser = app?.browser() as Browser;
    await fc.assert(
      fc.asyncProperty(fc.oneof(webUrl, fc.string({ unit: codePoint })), async (to) => {
        const response = await browser.post(`/leave?${new URLSearchParams({ to })}`);
        expect(location(response).origin).toBe(BASE_URL);
      }),
      {
        numRuns: casesOf(300),
        examples: [['//evil.example'], ['/.//evil.example'], ['/\t/evil.example']],
      },
    );
  });
});

describe('parameters of the logout request', () => {
  test('it carries client_id, a registered address and the issuer’s name of the session, and no ID token', async () => {
    const { signIn } = await start();
    const browser = await signIn();
    const response = await browser.post('/logout');
    const url = location(response);
    expect(url.origin + url.pathname).toBe(`${ISSUER}oidc/logout`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: 'client-1',
      post_logout_redirect_uri: BASE_URL,
      logout_hint: 'sid-1',
    });
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('a user with a name of any length has a short address', async () => {
    const { signIn } = await start();
    const browser = await signIn({ groups: Array.from({ length: 500 }, (_, i) => `group ${i}`) });
    const response = await browser.post('/logout');
    expect(response.headers.get('location')?.length).toBeLessThan(300);
  });

  test.each([undefined, 7, null])('a session id of %p is no hint', (sid) => {
    const end_session_endpoint = 'https://issuer.example/logout';
    const url = endSessionURL({ ...metadata, end_session_endpoint }, { ...session, sid });
    expect(new URL(url ?? '').searchParams.has('logout_hint')).toBe(false);
  });
});

describe('idpLogout: id_token_hint', () => {
  test('the browser posts the ID token, which is in no address (RP-Initiated Logout 1.0 §2)', async () => {
    nock.cleanAll();
    issuer = standInForIssuer({ end_session_endpoint: `${ISSUER}logout?a=1&b="2"` });
    const { signIn } = await start({ idpLogout: 'id_token_hint' });
    const browser = await signIn({ name: 'Ada' });
    const response = await browser.post('/logout');
    expect([response.status, response.headers.get('location')]).toEqual([200, null]);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
    const page = await response.text();
    expect(page).toMatch(/action="https:\/\/issuer\.example\/logout\?a=1&amp;b=(%22|&quot;)2/);
    const fields = [...page.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, ...field]) => field);
    expect(fields).toEqual([
      ['id_token_hint', expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/)],
      ['client_id', 'client-1'],
      ['post_logout_redirect_uri', BASE_URL],
    ]);
    expect(await userOf(browser)).toBeNull();
  });

  test('only its own script runs on that page', async () => {
    const { signIn } = await start({ idpLogout: 'id_token_hint' });
    const response = await (await signIn()).post('/logout');
    const [, script = ''] = /<script>(.*)<\/script>/.exec(await response.text()) ?? [];
    const hash = createHash('sha256').update(script).digest('base64');
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain(`default-src 'none'; script-src 'sha256-${hash}';`);
  });

  test('an issuer without the endpoint gets no ID token', async () => {
    nock.cleanAll();
    issuer = standInForIssuer({ end_session_endpoint: undefined });
    const { signIn } = await start({ idpLogout: 'id_token_hint' });
    expect(location(await (await signIn()).post('/logout')).href).toBe(`${BASE_URL}/`);
  });
});

describe('the session and its refresh token', () => {
  test('the session is dead in the store, then its refresh token is revoked', async () => {
    proves('RFC 9700 §4.14', 'ASVS 7.4.1');
    const order: string[] = [];
    const spied = storeWith(store, {
      async destroy(key: string) {
        order.push(`destroy, ${issuer.revocations.length} revoked`);
        return store.destroy(key);
      },
    });
    const { signIn } = await start({ session: { store: spied } });
    const browser = await signIn();
    const copy = await copyOf(browser);
    expect((await browser.post('/logout')).status).toBe(303);
    expect(order).toEqual(['destroy, 0 revoked']);
    expect(issuer.revocations.map((form) => Object.fromEntries(form))).toMatchObject([
      { token: 'refresh-1', token_type_hint: 'refresh_token' },
    ]);
    expect(await userOf(copy)).toBeNull();
  });

  test('a revocation that fails does not stop the logout, and is reported', async () => {
    const { signIn } = await start();
    const browser = await signIn();
    issuer.revocationStatus = 503;
    const response = await browser.post('/logout');
    expect(location(response).origin).toBe(new URL(ISSUER).origin);
    expect(warnings).toEqual([expect.objectContaining({ code: 'ERR_TOKEN_REQUEST_REFUSED' })]);
    expect(await userOf(browser)).toBeNull();
  });

  test('a revocation without content is one', async () => {
    const { signIn } = await start();
    const browser = await signIn();
    issuer.revocationStatus = 204;
    await browser.post('/logout');
    expect(issuer.revocations).toHaveLength(1);
    expect(warnings).toEqual([]);
  });

  test('revokes the refresh token that a renewal put in place meanwhile', async () => {
    let reached = () => {};
    let goOn = () => {};
    const destroying = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const renewed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const slow = storeWith(store, {
      async destroy(key: string) {
        reached();
        await renewed;
        return store.destroy(key);
      },
    });
    const { signIn } = await start({ session: { store: slow } });
    const browser = await signIn();
    now += 3_600_000;
    const token = { access_token: 'access-2', token_type: 'Bearer', expires_in: 3600 };
    issuer.onTokenRequest = () => [200, { ...token, refresh_token: 'renewed' }];
    const leaving = browser.post('/logout');
    await destroying;
    expect(await (await browser.get('/token')).json()).toEqual({ token: 'access-2' });
    goOn();
    expect((await leaving).status).toBe(303);
    expect(issuer.revocations.map((form) => form.get('token'))).toEqual(['renewed']);
  });

  test('a store that fails is a 503, and the logout can be tried again', async () => {
    let isUp = false;
    const shaky = storeWith(store, {
      async destroy(key: string) {
        if (!isUp) throw new Error('the disk is full');
        return store.destroy(key);
      },
    });
    const { signIn } = await start({ session: { store: shaky } });
    const browser = await signIn();
    const copy = await copyOf(browser);
    expect((await browser.post('/logout')).status).toBe(503);
    expect(issuer.revocations).toHaveLength(0);
    expect(await userOf(browser)).toBe('user-1');
    isUp = true;
    expect((await browser.post('/logout')).status).toBe(303);
    expect(await userOf(copy)).toBeNull();
  });
});

describe('what stays in the browser', () => {
  test('every session and sign-in cookie is cleared with the attributes it was set with', async () => {
    const { signIn } = await start();
    const set: string[] = [];
    const browser = await signIn();
    for (const path of ['/login', '/login']) {
      set.push(...(await browser.get(path)).headers.getSetCookie());
    }
    const cleared = (await browser.post('/logout')).headers.getSetCookie();
    expect(cleared).toHaveLength(4);
    const attributesOf = (cookie = '') =>
      cookie
        .split('; ')
        .slice(1)
        .filter((attribute) => !/^(expires|max-age)=/i.test(attribute))
        .sort();
    for (const cookie of cleared) {
      expect(cookie).toMatch(/^__Host-[\w.-]+=; /);
      expect(cookie).toContain('expires=Thu, 01 Jan 1970 00:00:00 GMT');
      expect(attributesOf(cookie)).toEqual(attributesOf(set[0]));
    }
    expect(await browser.cookieNames()).toEqual([]);
  });

  test('the back button shows no page, and the browser keeps what is of others', async () => {
    const { browser: open, signIn } = await start();
    expect((await open().get('/')).headers.get('cache-control')).toBeNull();
    const browser = await signIn();
    expect((await browser.get('/')).headers.get('cache-control')).toBe('no-store');
    const { headers } = await browser.post('/logout');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('clear-site-data')).toBeNull();
  });

  test('an app decides what is cached and cleared', async () => {
    const { signIn } = await start(
      {},
      { 'Clear-Site-Data': '"storage"', 'Cache-Control': 'private' },
    );
    const browser = await signIn();
    expect((await browser.get('/token')).headers.get('cache-control')).toBe('private');
    const { headers } = await browser.post('/leave');
    expect(headers.get('clear-site-data')).toBe('"storage"');
  });

  test('other tabs are signed out by their next request', async () => {
    const { signIn, browser: open } = await start();
    const tab = await signIn();
    const otherTab = open(tab.jar);
    expect(await userOf(otherTab)).toBe('user-1');
    await tab.post('/logout');
    expect(await userOf(otherTab)).toBeNull();
    expect((await otherTab.get('/token')).status).toBe(401);
  });
});

describe('a logout without a session', () => {
  test.each([
    [true, `${ISSUER}oidc/logout?client_id=client-1&post_logout_redirect_uri=`],
    [false, `${BASE_URL}/`],
    // Such an issuer requires the ID token.
    ['id_token_hint' as const, `${BASE_URL}/`],
  ])(
    'with idpLogout %p leads to the issuer, where one may be left: %s',
    async (idpLogout, target) => {
      const browser = (await start({ idpLogout })).browser();
      const response = await browser.post('/logout');
      expect(response.status).toBe(303);
      expect(location(response).href.startsWith(target)).toBe(true);
      expect(issuer.revocations).toHaveLength(0);
    },
  );

  test('is the second of a double click, which leads to the issuer like the first', async () => {
    const { signIn } = await start();
    const browser = await signIn();
    const copy = await copyOf(browser);
    const answers = await Promise.all([browser.post('/logout'), copy.post('/logout')]);
    for (const answer of answers) {
      expect([answer.status, location(answer).origin]).toEqual([303, new URL(ISSUER).origin]);
    }
    expect(await userOf(copy)).toBeNull();
  });
});

describe('only this app’s own pages sign anyone out', () => {
  test.each([
    ['Sec-Fetch-Site says so', { 'sec-fetch-site': 'cross-site' }],
    ['it comes from a neighbour', { 'sec-fetch-site': 'same-site' }],
    ['Origin says so', { 'sec-fetch-site': '', origin: 'https://evil.example' }],
    ['its origin is hidden', { 'sec-fetch-site': '', origin: 'null' }],
  ])('a POST from another site is refused: %s', async (_name, headers) => {
    proves('RFC 9700 §4.7');
    const { signIn } = await start();
    const browser = await signIn();
    const response = await browser.post('/logout', headers as Record<string, string>);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'ERR_CROSS_SITE' });
    expect(await userOf(browser)).toBe('user-1');
  });

  test.each(['get', 'head'] as const)('a %s is left to the app', async (method) => {
    const { signIn } = await start();
    const browser = await signIn();
    expect((await browser[method]('/logout')).status).toBe(404);
    expect(await userOf(browser)).toBe('user-1');
  });
});
