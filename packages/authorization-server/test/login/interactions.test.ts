import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { parse } from 'node-html-parser';
import { proves } from '../../../../test/support/proves.ts';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  type Tenant,
} from '../../src/index.ts';
import { askedScopes } from '../../src/login/grants.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
} from '../support/sign-in.ts';

describe('interactions', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      tenant.users[2]!.blocked = true;
      tenant.users[1]!.name = 'Bob <b>Brown</b>';
      const id = { user_id: 'auth0|muhammad', email: 'muhammad@example.com' };
      tenant.users.push({ ...tenant.users[0]!, ...id, name: 'محمد بن عبد الله' });
    });
  });
  afterAll(stopServers);

  describe('login page', () => {
    test('has a form and a button for each user who may sign in, and no script', async () => {
      const page = await openBrowser().get(authorizationRequest(server).url);
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('name="username"');
      expect(page.body).toContain('type="password" name="password"');
      expect(page.body).toContain('Alice Adams');
      expect(page.body).toContain('Bob &lt;b>Brown&lt;/b>');
      expect(page.body).not.toContain('carol@example.com');
      expect(page.body).not.toContain('<script');
    });

    test('shows two initials, but one where letters join', async () => {
      const page = await openBrowser().get(authorizationRequest(server).url);
      const initials = [...page.body.matchAll(/class="avatar[^>]*>([^<]*)</g)].map(
        ([, all]) => all,
      );
      expect(initials).toEqual(expect.arrayContaining(['AA', 'م']));
    });

    test('reports a wrong password and repeats the escaped address', async () => {
      const browser = openBrowser();
      const page = await browser.get(authorizationRequest(server).url);
      const answer = await browser.submit(page, { username: 'a"><script>@b', password: 'wrong' });
      expect(answer.statusCode).toBe(400);
      expect(answer.body).toContain('Wrong e-mail address or password.');
      expect(answer.body).toContain(
        'value="a&quot;><script>@b"'.replaceAll('<script', '&lt;script'),
      );
      expect(answer.body).not.toContain('wrong"');
    });

    test.each([
      ['no fields', {}],
      ['a blocked user with a wrong password', { username: 'carol@example.com', password: 'x' }],
      ["another user's password", { username: 'alice@example.com', password: 'bob-demo' }],
    ])('%s does not get in', async (_name, fields) => {
      const browser = openBrowser();
      const page = await browser.get(authorizationRequest(server).url);
      const answer = await browser.submit(page, fields);
      expect(answer.statusCode).toBe(400);
      expect(answer.url).toContain('/u/login/');
    });

    test.each([
      ['packed', 415, 'username=x', 'gzip'],
      ['too large', 413, `username=${'x'.repeat(20_000)}`, 'identity'],
    ])('a form that is %s: %i, and the sign-in goes on', async (_name, status, text, encoding) => {
      const start = await fetch(authorizationRequest(server).url, { redirect: 'manual' });
      const [cookie = ''] = start.headers.getSetCookie();
      const login = new URL(start.headers.get('location') ?? '', server.issuer);
      const headers = {
        cookie: cookie.slice(0, cookie.indexOf(';')),
        'content-type': 'application/x-www-form-urlencoded',
        'content-encoding': encoding,
      };
      const body = encoding === 'gzip' ? new Uint8Array(gzipSync(text)) : text;
      expect((await fetch(login, { method: 'POST', headers, body })).status).toBe(status);
      expect((await fetch(login, { headers: { cookie: headers.cookie } })).status).toBe(200);
    });

    test('contains the login_hint', async () => {
      const { url } = authorizationRequest(server, { login_hint: 'bob@example.com' });
      expect((await openBrowser().get(url)).body).toContain('value="bob@example.com"');
    });
  });

  describe('consent page', () => {
    test('lists the descriptions of the scopes that the user may have', async () => {
      proves('ASVS 10.7.2');
      const browser = openBrowser();
      const login = await browser.get(authorizationRequest(server).url);
      const page = await browser.submit(login, {
        username: 'bob@example.com',
        password: 'bob-demo',
      });
      expect(page.url).toContain('/u/consent/');
      expect(page.body).toContain('See your organization');
      expect(page.body).toContain('<code>read:contacts</code>');
      expect(page.body).not.toContain('create:contacts');
    });

    test('sends access_denied with the state to the callback when declined', async () => {
      const browser = openBrowser();
      const login = await browser.get(authorizationRequest(server).url);
      const page = await browser.submit(login, {
        username: 'bob@example.com',
        password: 'bob-demo',
      });
      const callback = callbackOf(await browser.submit(page, { action: 'decline' }));
      expect(Object.fromEntries(callback)).toEqual({
        error: 'access_denied',
        error_description: 'User did not authorize the request',
        state: 'state-1',
      });
    });
  });

  describe('another account at the consent page', () => {
    // Without consents from before.
    beforeEach(() => server.reset());

    const password = (user: string) => ({
      username: `${user}@example.com`,
      password: `${user}-demo`,
    });

    async function switchAccount(change: Record<string, string> = {}) {
      const browser = openBrowser();
      const request = authorizationRequest(server, { state: 'state-2', ...change });
      const login = await browser.get(request.url);
      const consent = await browser.submit(login, password('bob'));
      expect(consent.body).toContain('Use another account');
      return { browser, request, login: await browser.submit(consent, { action: 'switch' }) };
    }

    test.each<Record<string, string>>([
      {},
      { prompt: 'consent' },
      { prompt: 'login' },
      { prompt: 'select_account' },
    ])(
      'signs in again, with %j, and finishes the same request for the other user',
      async (change) => {
        const { browser, request, login } = await switchAccount(change);
        expect(login.url).toContain('/u/login/');
        // The engine ends the session of the first user with a form that a script submits.
        const page = await browser.submit(login, password('alice'));
        const form = parse(page.body).querySelector('form');
        const fields = [...(form?.querySelectorAll('input') ?? [])].map((input) => [
          String(input.getAttribute('name')),
          String(input.getAttribute('value')),
        ]);
        const url = String(form?.getAttribute('action'));
        const consent = await browser.submit({ url }, Object.fromEntries(fields));
        expect(consent.body).toContain('Alice Adams');
        const callback = callbackOf(await browser.submit(consent, { action: 'accept' }));
        expect(callback.get('state')).toBe('state-2');
        const { body } = await requestTokens(server, {
          grant_type: 'authorization_code',
          code: callback.get('code') ?? '',
          redirect_uri: CALLBACK,
          code_verifier: request.verifier,
        });
        expect(decodeJwt(body.id_token ?? '')).toMatchObject({ sub: 'auth0|alice' });
        expect(body.scope).toContain('read:activity');
      },
    );

    test('accepts the same user, who is then asked for consent', async () => {
      const { browser, login } = await switchAccount();
      const consent = await browser.submit(login, password('bob'));
      expect(consent.url).toContain('/u/consent/');
      const callback = callbackOf(await browser.submit(consent, { action: 'decline' }));
      expect(callback.get('error')).toBe('access_denied');
    });
  });

  test('a lost interaction is a page, with 400', async () => {
    const page = await openBrowser().get(`${server.issuer}u/login/unknown`);
    expect(page.statusCode).toBe(400);
    expect(page.body).toContain('This sign-in has ended');
  });

  test('a consent form can’t be posted to the login’s address', async () => {
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(server).url);
    const misplaced = {
      ...login,
      url: login.url.replace('/u/login/', '/u/consent/'),
    } as typeof login;
    expect((await browser.submit(misplaced, { action: 'accept' })).statusCode).toBe(400);
  });

  test('a session of a removed user leads to the login page', async () => {
    const users: { user_id: string }[] = [];
    const shrinking = await startDemo((tenant) => {
      users.push(...tenant.users);
      Object.assign(tenant, { users });
    });
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(shrinking), 'alice');
    users.splice(0, 1);
    const page = await browser.get(authorizationRequest(shrinking).url);
    expect(page.url).toContain('/u/login/');
  });
});

describe('grants', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  describe('consent', () => {
    test('is remembered for the user and the application, in every browser', async () => {
      await signIn(openBrowser(), authorizationRequest(server), 'alice');
      const browser = openBrowser();
      const login = await browser.get(authorizationRequest(server).url);
      const next = await browser.submit(login, {
        username: 'alice@example.com',
        password: 'alice-demo',
      });
      expect(callbackOf(next).get('code')).toBeTruthy();

      const silent = authorizationRequest(server, { prompt: 'none' });
      expect(callbackOf(await browser.get(silent.url)).get('code')).toBeTruthy();
    });

    test('is asked for again for a new scope and by prompt=consent', async () => {
      proves('ASVS 10.7.1');
      const browser = openBrowser();
      await signIn(
        browser,
        authorizationRequest(server, { scope: 'openid read:contacts' }),
        'carol',
      );
      const more = authorizationRequest(server, { scope: 'openid read:contacts create:contacts' });
      expect((await browser.get(more.url)).url).toContain('/u/consent/');
      const again = authorizationRequest(server, {
        scope: 'openid read:contacts',
        prompt: 'consent',
      });
      expect((await browser.get(again.url)).url).toContain('/u/consent/');
    });

    describe('is skipped as at Auth0', () => {
      const LOCAL = 'http://localhost:3000/callback';
      const APP = 'https://app.example.com/callback';
      const NONE = undefined;
      const skip = (tenant: Tenant) => {
        tenant.resourceServers[0]!.skip_consent_for_verifiable_first_party_clients = true;
      };
      const thirdParty = (tenant: Tenant) => {
        tenant.clients[0]!.is_first_party = false;
      };
      const trust = (tenant: Tenant) => {
        tenant.tenant.skip_non_verifiable_callback_uri_confirmation_prompt = true;
      };
      const distrust = (tenant: Tenant) => {
        tenant.clients[0]!.skip_non_verifiable_callback_uri_confirmation_prompt = false;
      };

      test.each<[boolean, string, string, string | undefined, ((tenant: Tenant) => void)[]]>([
        [true, 'no API', APP, NONE, []],
        [true, 'an API that allows it', APP, API, [skip]],
        [true, 'loopback, which the tenant trusts', LOCAL, API, [skip, trust]],
        [false, 'an API', APP, API, []],
        [false, 'loopback without an API', LOCAL, NONE, []],
        [false, 'loopback, and an API that allows it', LOCAL, API, [skip]],
        [false, 'loopback by address', 'http://127.0.0.1:3000/callback', NONE, []],
        [false, 'a scheme of its own', 'com.example.app://callback', NONE, []],
        [false, 'another setting of the application', LOCAL, API, [skip, trust, distrust]],
        [false, 'a third party without an API', APP, NONE, [thirdParty]],
        [false, 'a third party, and an API that allows it', APP, API, [skip, thirdParty]],
      ])('%p: %s', async (skips, _name, redirect_uri, audience, changes) => {
        proves('ASVS 10.7.1');
        const server = await startDemo((tenant) => {
          const callbacks = [redirect_uri];
          Object.assign(tenant.clients[0]!, { app_type: 'native', callbacks });
          if (redirect_uri !== LOCAL) tenant.clients[0]!.allowed_logout_urls = [];
          for (const change of changes) change(tenant);
        });
        const browser = openBrowser();
        const request = authorizationRequest(server, { redirect_uri, audience, scope: 'openid' });
        const page = await browser.submit(await browser.get(request.url), {
          username: 'alice@example.com',
          password: 'alice-demo',
        });
        expect(page.headers.location?.startsWith(redirect_uri) ?? false).toBe(skips);
        expect(page.url.includes('/u/consent/')).toBe(!skips);
        const again = authorizationRequest(server, {
          ...{ redirect_uri, audience, scope: 'openid', prompt: 'consent' },
        });
        expect((await browser.get(again.url)).url).toContain('/u/consent/');
      });
    });
  });

  describe('prompt=none', () => {
    test('without a session is login_required', async () => {
      const page = await openBrowser().get(authorizationRequest(server, { prompt: 'none' }).url);
      expect(callbackOf(page).get('error')).toBe('login_required');
    });

    test('without consent is consent_required', async () => {
      const fresh = await startDemo();
      const browser = openBrowser();
      await signIn(browser, authorizationRequest(fresh, { scope: 'openid' }), 'bob');
      const page = await browser.get(authorizationRequest(fresh, { prompt: 'none' }).url);
      expect(callbackOf(page).get('error')).toBe('consent_required');
    });
  });

  test('prompt=login asks for the password within a session', async () => {
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server), 'alice');
    const page = await browser.get(authorizationRequest(server, { prompt: 'login' }).url);
    expect(page.url).toContain('/u/login/');
  });

  test('the session is valid for another application', async () => {
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server), 'alice');
    const page = await browser.get(
      authorizationRequest(server, {
        client_id: 'contacts-cli',
        redirect_uri: 'http://127.0.0.1:45454/callback',
        scope: 'openid read:contacts',
      }).url,
    );
    expect(page.url).toContain('/u/consent/');
  });

  test('a user with none of the requested permissions is refused, with the reason', async () => {
    const browser = openBrowser();
    const request = authorizationRequest(server, { scope: 'create:contacts', nonce: undefined });
    const callback = await signIn(browser, request, 'bob');
    expect(callback.get('error')).toBe('access_denied');
    expect(callback.get('error_description')).toContain('create:contacts');
  });

  test('without RBAC every scope of the API is allowed', () => {
    const tenant = loadTenant(demoTenantFile);
    const bob = tenant.users[1];
    const params = {
      client_id: 'contacts-web',
      resource: API,
      scope: 'openid create:contacts x:y',
    };
    expect(askedScopes(tenant, bob, params)).toMatchObject({
      allowed: [],
      refused: ['create:contacts'],
    });
    tenant.resourceServers[0]!.enforce_policies = false;
    expect(askedScopes(tenant, bob, params)).toMatchObject({
      oidc: ['openid'],
      allowed: ['create:contacts'],
      refused: [],
    });
  });
});
