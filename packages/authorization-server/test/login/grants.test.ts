import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import { type AuthorizationServer, demoTenantFile, loadTenant } from '../../src/index.ts';
import { askedScopes } from '../../src/login/grants.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, authorizationRequest, callbackOf, openBrowser, signIn } from '../support/sign-in.ts';

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
    await signIn(browser, authorizationRequest(server, { scope: 'openid read:contacts' }), 'carol');
    const more = authorizationRequest(server, { scope: 'openid read:contacts create:contacts' });
    expect((await browser.get(more.url)).url).toContain('/u/consent/');
    const again = authorizationRequest(server, {
      scope: 'openid read:contacts',
      prompt: 'consent',
    });
    expect((await browser.get(again.url)).url).toContain('/u/consent/');
  });

  test('is skipped for a first-party application where the API says so', async () => {
    proves('ASVS 10.7.1');
    const skipping = await startDemo((tenant) => {
      tenant.resourceServers[0]!.skip_consent_for_verifiable_first_party_clients = true;
    });
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(skipping).url);
    const next = await browser.submit(login, {
      username: 'alice@example.com',
      password: 'alice-demo',
    });
    expect(callbackOf(next).get('code')).toBeTruthy();
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
  const params = { client_id: 'contacts-web', resource: API, scope: 'openid create:contacts x:y' };
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
