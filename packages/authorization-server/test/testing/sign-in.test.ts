import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { credentialsOf, requestTokens, type TokenRequest } from '../../src/testing/code-flow.ts';
import { Cookies, signIn } from '../../src/testing/sign-in.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { ALL_SCOPES, API, authorizationRequest, CALLBACK } from '../support/sign-in.ts';

describe('a sign-in', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      tenant.attack_protection.brute_force_protection.max_attempts = 1;
    });
  });
  afterAll(stopServers);

  const alice = { email: 'alice@example.com', password: 'alice-demo' };

  test('returns the code, with consent and, the second time, without', async () => {
    for (const _ of [1, 2]) {
      const response = await signIn(authorizationRequest(server).url, CALLBACK, alice);
      expect(`${response.origin}${response.pathname}`).toBe(CALLBACK);
      expect(response.searchParams.get('state')).toBe('state-1');
      expect(response.searchParams.get('code')).toBeTruthy();
    }
  });

  test('returns an error of the authorization response', async () => {
    const { url } = authorizationRequest(server, { prompt: 'none' });
    const response = await signIn(url, CALLBACK, alice);
    expect(response.searchParams.get('error')).toBe('login_required');
  });

  describe('a failed sign-in reports where it ended, and no password', () => {
    test('one with a wrong password, and with too many of them', async () => {
      const wrong = { email: 'bob@example.com', password: 'secret-guess' };
      const attempt = () =>
        signIn(authorizationRequest(server).url, CALLBACK, wrong).catch(
          (error: Error) => error.message,
        );
      const first = await attempt();
      expect(first).toMatch(/\/u\/login\/\S+ with status 400: Wrong e-mail address or password\.$/);
      expect(first).not.toMatch(/secret-guess|-demo/);
      expect(await attempt()).toMatch(/with status 429: Too many failed sign-ins/);
    });

    test('one of an unknown client', async () => {
      const { url } = authorizationRequest(server, { client_id: 'unknown' });
      await expect(signIn(url, CALLBACK, alice)).rejects.toThrow(
        /^signing in ended at \S+\/authorize with status 400: /,
      );
    });
  });

  test('sends nothing to another server', async () => {
    let asked = 0;
    const other = createServer((_request, response) => {
      asked += 1;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const callback = `http://127.0.0.1:${(other.address() as AddressInfo).port}/callback`;
    const { url } = authorizationRequest(server, {
      client_id: 'contacts-cli',
      redirect_uri: callback,
      scope: 'openid',
    });
    const elsewhere = callback.replace('/callback', '/elsewhere');
    await expect(signIn(url, elsewhere, alice)).rejects.toThrow(`signing in ended at ${callback}`);
    expect(asked).toBe(0);
    other.close();
  });
});

describe('the code flow', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      const [web] = tenant.clients;
      tenant.clients.push(
        { ...web!, client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic' },
        { ...web!, client_id: 'public', token_endpoint_auth_method: 'none' },
      );
      tenant.organizations.push({ id: 'org_acme', name: 'acme', members: ['auth0|bob'] } as never);
      tenant.users[2]!.password = undefined;
    });
  });
  afterAll(stopServers);

  const request = (change?: TokenRequest) => requestTokens(server.issuer, server.tenant, change);

  test('an empty request is for the first user, client and API, and all scopes', async () => {
    const tokens = await request();
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 86_400, scope: ALL_SCOPES });
    expect(decodeJwt(tokens.access_token)).toMatchObject({
      sub: 'auth0|alice',
      azp: 'contacts-web',
      aud: [API, `${server.issuer}userinfo`],
    });
    expect(tokens.id_token).toBeTruthy();
    expect(tokens.refresh_token).toBeTruthy();
  });

  test.each([['bob'], ['bob@example.com'], ['auth0|bob']])(
    'the user %s gets tokens',
    async (user) => {
      const { access_token, scope } = await request({ user, scope: 'read:contacts' });
      expect(decodeJwt(access_token).sub).toBe('auth0|bob');
      expect(scope).toBe('read:contacts');
    },
  );

  test.each([['basic'], ['public'], ['contacts-cli']])(
    'the client %s gets tokens',
    async (client) => {
      const { access_token } = await request({ client });
      expect(decodeJwt(access_token).azp).toBe(client);
    },
  );

  test('a request may have an organization, no audience, and other parameters', async () => {
    const { access_token } = await request({ user: 'bob', organization: 'org_acme' });
    expect(decodeJwt(access_token).org_id).toBe('org_acme');
    const opaque = await request({ audience: '', parameters: { nonce: 'n-1' } });
    expect(opaque.access_token.split('.')).toHaveLength(1);
    expect(decodeJwt(opaque.id_token ?? '').nonce).toBe('n-1');
  });

  describe('an impossible request is refused', () => {
    test.each([
      ['a user who is not there', { user: 'dave' }, 'the tenant has no user "dave"; it has alice'],
      ['a user without a password', { user: 'carol' }, 'no readable password of carol@example.com'],
      ['a client who is not there', { client: 'x' }, 'client is "x": give one with a login'],
      [
        'what the server refuses, in its words',
        { user: 'alice', organization: 'org_acme' },
        'refused: access_denied: user auth0|alice is not part of the org_acme organization',
      ],
      [
        'an audience that is not there',
        { audience: 'x' },
        'refused: access_denied: Service not found',
      ],
    ])('%s', async (_name, change, message) => {
      await expect(request(change)).rejects.toThrow(message);
    });

    test('one of a user without a readable password', () => {
      expect(() => credentialsOf({ users: [] })).toThrow('no user with a readable password');
    });
  });
});

describe('cookies', () => {
  const answering = (...lines: string[]) =>
    new Response(null, { headers: lines.map((line): [string, string] => ['set-cookie', line]) });

  test('a cookie is sent to its path and below only (RFC 6265 section 5.1.4)', () => {
    const cookies = new Cookies();
    expect(cookies.header('/')).toBe('');
    cookies.store(answering('a=1; path=/; httponly', 'b=x=y==; Path=/u/login/1; SameSite=Lax'));
    expect(cookies.header('/authorize')).toBe('a=1');
    expect(cookies.header('/u/login/1')).toBe('a=1; b=x=y==');
    expect(cookies.header('/u/login/1/more')).toBe('a=1; b=x=y==');
    expect(cookies.header('/u/login/12')).toBe('a=1');
  });

  test('a later cookie of the same name and path replaces it, and an ended one removes it', () => {
    const cookies = new Cookies();
    cookies.store(answering('a=1; path=/', 'a=2; path=/x'));
    cookies.store(answering('a=3; path=/'));
    expect(cookies.header('/x')).toBe('a=3; a=2');
    cookies.store(answering('a=; path=/x; expires=Thu, 01 Jan 1970 00:00:00 GMT'));
    expect(cookies.header('/x')).toBe('a=3');
  });
});
