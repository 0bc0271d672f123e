import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { resourceOf } from '../../src/tenant/tenant.ts';
import { byClock, checkClock } from '../../src/token/token-claims.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

describe('claims of tokens', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  const now = () => Math.floor(Date.now() / 1000);
  const around = (time: number) => (value: unknown) =>
    expect(Math.abs(Number(value) - time)).toBeLessThan(30);

  test('the clock moves times, and nothing else', () => {
    const claims = { iat: 10, exp: 20, nbf: 5, auth_time: 1, sub: 'x', updated_at: 3 };
    expect(byClock(claims, { seconds: -5 })).toEqual({
      ...claims,
      iat: 5,
      exp: 15,
      nbf: 0,
      auth_time: -4,
    });
    expect(byClock({ exp: 'soon' }, { seconds: 5 })).toEqual({ exp: 'soon' });
  });

  test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 315_360_001, '5' as unknown as number])(
    'a clock of %p is rejected, and the earlier one stays',
    (seconds) => {
      expect(() => checkClock(seconds)).toThrow('clock: give whole seconds');
      server.clock = 7;
      expect(() => {
        server.clock = seconds;
      }).toThrow(RangeError);
      expect(server.clock).toBe(7);
    },
  );

  test.each([
    ['right', 0],
    ['ahead', 7200],
    ['behind', -100_000],
  ])(
    'a clock that is %s is in both tokens, in a refreshed one and a machine’s',
    async (_, clock) => {
      server.clock = clock;
      const { tokens } = await tokensFor(server, 'alice', { max_age: '3600' });
      const refreshed = await requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
      });
      const machine = await requestTokens(
        server,
        { grant_type: 'client_credentials', audience: API },
        'contacts-cli',
      );
      expect(refreshed.body.expires_in).toBe(86_400);
      for (const token of [tokens, refreshed.body, machine.body].map((one) => one.access_token)) {
        const { iat, exp } = decodeJwt(token ?? '');
        around(now() + clock)(iat);
        expect(Number(exp) - Number(iat)).toBe(86_400);
      }
      for (const token of [tokens.id_token, refreshed.body.id_token]) {
        const { iat, exp, auth_time } = decodeJwt(token ?? '');
        around(now() + clock)(iat);
        around(now() + clock)(auth_time);
        expect(Number(exp) - Number(iat)).toBe(36_000);
      }
      // The issuer's own clock is this one: its userinfo endpoint takes the token.
      const headers = { authorization: `Bearer ${tokens.access_token}` };
      expect((await got(`${server.url}/userinfo`, { headers })).statusCode).toBe(200);
    },
  );
});

describe('the audience', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  test.each([
    [API, API],
    ['legacy-api', 'urn:api:legacy-api'],
    ['https://a.example/#x', 'urn:api:https%3A%2F%2Fa.example%2F%23x'],
  ])('the API %s is the resource %s', (identifier, resource) => {
    expect(resourceOf(identifier)).toBe(resource);
  });

  test.each(['https://other.example/api', 'legacy', 'urn:api:%zz'])(
    'the unknown audience %s is refused with "Service not found"',
    async (audience) => {
      proves('ASVS 9.2.4');
      const page = await openBrowser().get(authorizationRequest(server, { audience }).url);
      expect(Object.fromEntries(callbackOf(page))).toEqual({
        error: 'access_denied',
        error_description: `Service not found: ${audience}`,
        state: 'state-1',
      });
    },
  );

  describe('dialects of the access token', () => {
    test('an API identified by a name gets tokens in the form of RFC 9068 section 2', async () => {
      proves('RFC 9068 §5 scope');
      const legacy = await startDemo((tenant) => {
        Object.assign(tenant.resourceServers[0]!, {
          identifier: 'legacy-api',
          token_dialect: 'rfc9068_profile_authz',
          token_lifetime: 60,
          enforce_policies: false,
        });
      });
      const { tokens } = await tokensFor(legacy, 'bob', { audience: 'legacy-api' });
      expect(decodeProtectedHeader(tokens.access_token ?? '').typ).toBe('at+jwt');
      const claims = decodeJwt(tokens.access_token ?? '');
      expect(claims).toMatchObject({
        aud: ['legacy-api', `${legacy.issuer}userinfo`],
        client_id: 'contacts-web',
        jti: expect.any(String),
      });
      expect(claims).not.toHaveProperty('azp');
      expect(claims.scope).toContain('create:contacts');
      expect(claims.exp! - claims.iat!).toBe(60);
    });

    test('a dialect without authz has no permissions', async () => {
      const plain = await startDemo((tenant) => {
        tenant.resourceServers[0]!.token_dialect = 'access_token';
      });
      const { tokens } = await tokensFor(plain, 'bob');
      expect(decodeJwt(tokens.access_token ?? '')).not.toHaveProperty('permissions');
    });
  });

  test('a pushed authorization request (RFC 9126) keeps audience and offline_access', async () => {
    const request = authorizationRequest(server);
    const params = Object.fromEntries(new URL(request.url).searchParams);
    const { request_uri } = await got
      .post(`${server.issuer}oauth/par`, {
        form: { ...params, client_secret: 'contacts-web-demo-secret' },
      })
      .json<{ request_uri: string }>();
    const url = new URL('authorize', server.issuer);
    url.search = new URLSearchParams({ client_id: 'contacts-web', request_uri }).toString();
    const callback = await signIn(openBrowser(), { ...request, url: url.href });
    const { status, body } = await requestTokens(server, {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    });
    expect(status).toBe(200);
    expect(body.refresh_token).toBeTruthy();
    expect(decodeJwt(body.access_token ?? '').aud).toContain(API);
  });
});

describe('the token of userinfo', () => {
  let server: AuthorizationServer;
  let tokens: Record<string, string>;
  beforeAll(async () => {
    server = await startDemo();
    ({ tokens } = await tokensFor(server));
  });
  afterAll(stopServers);

  const ask = async (token = '') => {
    const answer = await got(`${server.issuer}userinfo`, {
      headers: { authorization: `Bearer ${token}` },
      responseType: 'json',
      throwHttpErrors: false,
    });
    return { status: answer.statusCode, body: answer.body as Record<string, unknown> };
  };

  test('userinfo accepts the JWT of an API, and has the claims of the Actions', async () => {
    expect(await ask(tokens.access_token)).toEqual({
      status: 200,
      body: {
        sub: 'auth0|alice',
        name: 'Alice Adams',
        given_name: 'Alice',
        family_name: 'Adams',
        nickname: 'alice',
        email: 'alice@example.com',
        email_verified: true,
        'https://contacts.example.com/roles': ['admin'],
        'https://contacts.example.com/org_id': 'acme',
      },
    });
  });

  describe('userinfo refuses', () => {
    test('an ID token, which is for the application', async () => {
      expect((await ask(tokens.id_token)).status).toBe(401);
    });

    test('a token without openid', async () => {
      const plain = await tokensFor(server, 'alice', { scope: 'read:contacts', nonce: undefined });
      expect((await ask(plain.tokens.access_token)).status).toBe(401);
    });

    test('a machine’s token', async () => {
      const machine = await requestTokens(
        server,
        { grant_type: 'client_credentials', audience: API },
        'contacts-cli',
      );
      expect((await ask(machine.body.access_token)).status).toBe(401);
    });

    test('a token signed by someone else', async () => {
      const { privateKey } = await generateKeyPair('RS256');
      const forged = await new SignJWT({ azp: 'contacts-web', scope: 'openid' })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
        .setIssuer(server.issuer)
        .setSubject('auth0|alice')
        .setAudience(`${server.issuer}userinfo`)
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey);
      expect((await ask(forged)).status).toBe(401);
    });
  });
});
