import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { PATCHED_VERSION } from '../src/oidc-provider.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

describe('patches', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  test.each(['module', 'commonjs'])(
    'a program of type %s starts the engine without output',
    (type) => {
      const index = JSON.stringify(fileURLToPath(new URL('../dist/index.js', import.meta.url)));
      const program = `
    (async (index) => {
      const { startAuthorizationServer, loadTenant, demoTenantFile } = await index;
      const server = await startAuthorizationServer({ tenant: loadTenant(demoTenantFile) });
      const answer = await fetch(server.issuer + '.well-known/openid-configuration');
      await server.close();
      process.exitCode = answer.ok ? 0 : 1;
    })(${type === 'module' ? 'import' : 'require'}(${index}));`;
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [`--input-type=${type}`, '--eval', program],
        { encoding: 'utf8' },
      );
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
    },
  );

  test('the pinned version is the one that the patches were read from', () => {
    const { dependencies } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { dependencies: Record<string, string> };
    expect(dependencies['oidc-provider']).toBe(PATCHED_VERSION);
  });

  describe('iss in the authorization response (RFC 9207)', () => {
    const both = async (from: AuthorizationServer) => {
      const success = await signIn(openBrowser(), authorizationRequest(from));
      const silent = authorizationRequest(from, { prompt: 'none' });
      const failure = callbackOf(await openBrowser().get(silent.url));
      const { authorization_response_iss_parameter_supported: flag } = await got(
        `${from.url}/.well-known/openid-configuration`,
      ).json<Record<string, unknown>>();
      return { success: success.get('iss'), failure: failure.get('iss'), flag };
    };

    test('is not sent by default, as at Auth0', async () => {
      proves('RFC 9207 §3');
      expect(await both(server)).toEqual({ success: null, failure: null, flag: undefined });
    });

    test('is sent when the tenant’s flag is set', async () => {
      proves('RFC 9207 §2');
      const flagged = await startDemo((tenant) => {
        tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
      });
      const { issuer } = flagged;
      expect(await both(flagged)).toEqual({ success: issuer, failure: issuer, flag: true });
    });
  });

  describe('iss of a refusal', () => {
    const refusal = async (from: AuthorizationServer, path: string, response_mode: string) => {
      const { url } = authorizationRequest(from, { prompt: 'none', response_mode });
      const { body, headers } = await openBrowser().get(url.replace('/authorize', path));
      expect(`${headers.location}${body}`).toContain('login_required');
      return `${headers.location}${body}`.includes('iss');
    };

    test.each([
      ['/authorize', 'form_post'],
      ['/authorize', 'fragment'],
      ['/authorize', 'query'],
      ['/AUTHORIZE/', 'query'],
    ])('is nowhere in the answer of %s with %s, unless the flag is on', async (path, mode) => {
      expect(await refusal(server, path, mode)).toBe(false);
      const flagged = await startDemo((tenant) => {
        tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
      });
      expect(await refusal(flagged, path, mode)).toBe(true);
    });
  });

  describe('more than one space between scopes, or spaces at an end', () => {
    const accepted = 'openid offline_access read:contacts';
    const spacious = '  openid  offline_access   read:contacts ';

    test('mean nothing in a sign-in, a refresh and at userinfo', async () => {
      const { tokens } = await tokensFor(server, 'alice', { scope: spacious });
      expect(tokens.scope).toBe(accepted);
      const refreshed = await requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
        scope: ' openid  read:contacts',
      });
      expect(refreshed.body.scope).toBe('openid read:contacts');
      const userinfo = await got.post(`${server.issuer}userinfo`, {
        headers: { authorization: `Bearer ${tokens.access_token}` },
        form: { scope: 'openid  offline_access' },
        throwHttpErrors: false,
      });
      expect(userinfo.statusCode).toBe(200);
    });

    test('mean nothing in a pushed request', async () => {
      const request = authorizationRequest(server, { scope: spacious });
      const params = Object.fromEntries(new URL(request.url).searchParams);
      const { request_uri } = await got
        .post(`${server.issuer}oauth/par`, {
          form: { ...params, client_secret: 'contacts-web-demo-secret' },
        })
        .json<{ request_uri: string }>();
      const url = `${server.issuer}authorize?${new URLSearchParams({ client_id: 'contacts-web', request_uri })}`;
      expect((await signIn(openBrowser(), { ...request, url })).get('code')).toBeTruthy();
    });

    test.each([
      [' read:contacts ', 200, 'read:contacts'],
      [' ', 200, 'read:contacts'],
      ['read:contacts\tcreate:contacts', 400, undefined],
    ])('mean nothing to a machine: %j', async (scope, status, granted) => {
      const form = { grant_type: 'client_credentials', audience: API, scope };
      const answer = await requestTokens(server, form, 'contacts-cli');
      expect([answer.status, answer.body.scope]).toEqual([status, granted]);
    });
  });

  test('an unknown refresh token is refused in Auth0’s words', async () => {
    const form = { grant_type: 'refresh_token', refresh_token: 'bogus' };
    expect(await requestTokens(server, form)).toEqual({
      status: 403,
      body: { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' },
    });
  });
});

describe('defaults of the engine', () => {
  // Defaults of the engine that this server must not have. A new version of the engine that brings one
  // back fails here. The tests of single files have the rest.

  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  const refresh = (refresh_token = '') =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token });

  describe('audience', () => {
    test('and scopes of OpenID are both kept: one token has both', async () => {
      const { tokens } = await tokensFor(server, 'alice', { scope: 'openid email read:contacts' });
      expect(decodeJwt(tokens.access_token ?? '')).toMatchObject({
        aud: [API, `${server.issuer}userinfo`],
        scope: 'openid email read:contacts',
      });
    });

    test('is enough for offline_access: no prompt=consent is needed', async () => {
      const { tokens } = await tokensFor(server, 'alice', { prompt: undefined });
      expect(tokens.scope).toContain('offline_access');
      expect(tokens.refresh_token).toBeTruthy();
    });
  });

  test('scopes that RBAC refuses do not ask for consent again and again', async () => {
    const browser = openBrowser();
    const request = authorizationRequest(server, { scope: 'openid read:contacts read:activity' });
    const login = await browser.get(request.url);
    const form = { username: 'bob@example.com', password: 'bob-demo' };
    const consent = await browser.submit(login, form);
    expect(consent.url).toContain('/u/consent/');
    expect(
      callbackOf(await browser.submit(consent, { action: 'accept' })).get('code'),
    ).toBeTruthy();
    expect(callbackOf(await browser.get(request.url)).get('code')).toBeTruthy();
  });

  describe('each login has a grant of its own', () => {
    test('tokens of the first live on when the session moves to the next', async () => {
      const { browser, tokens } = await tokensFor(server);
      const request = authorizationRequest(server);
      const code = (await signIn(browser, request)).get('code') ?? '';
      const next = await requestTokens(server, {
        grant_type: 'authorization_code',
        code,
        redirect_uri: CALLBACK,
        code_verifier: request.verifier,
      });
      const first = await refresh(tokens.refresh_token);
      expect(first.status).toBe(200);
      // Reuse in the one is nothing to the other.
      expect((await refresh(tokens.refresh_token)).status).toBe(403);
      expect((await refresh(first.body.refresh_token)).status).toBe(403);
      expect((await refresh(next.body.refresh_token)).status).toBe(200);
    });

    test('signing out ends the session, and no refresh token', async () => {
      const { browser, tokens } = await tokensFor(server);
      await browser.get(`${server.issuer}v2/logout`);
      expect((await refresh(tokens.refresh_token)).status).toBe(200);
    });
  });

  test('a confidential client’s refresh token rotates from the first use on', async () => {
    const { tokens } = await tokensFor(server);
    const { body } = await refresh(tokens.refresh_token);
    expect(body.refresh_token).toBeTruthy();
    expect(body.refresh_token).not.toBe(tokens.refresh_token);
  });

  describe('client credentials', () => {
    test('without a scope: all of the grant, and the subject is no client id', async () => {
      proves('RFC 9068 §5 subject', 'RFC 9700 §4.15');
      const form = { grant_type: 'client_credentials', audience: API };
      const { body } = await requestTokens(server, form, 'contacts-cli');
      expect(decodeJwt(body.access_token ?? '')).toMatchObject({
        sub: 'contacts-cli@clients',
        scope: 'read:contacts',
        aud: API,
        gty: 'client-credentials',
      });
    });
  });

  test('two tabs sign in side by side', async () => {
    const browser = openBrowser();
    const requests = ['one', 'two'].map((state) => authorizationRequest(server, { state }));
    const [one, two] = await Promise.all(requests.map(({ url }) => browser.get(url)));
    const form = { username: 'alice@example.com', password: 'alice-demo' };
    for (const [page, state] of [
      [two, 'two'],
      [one, 'one'],
    ] as const) {
      let next = await browser.submit(page!, form);
      if (next.url.includes('/u/consent/')) next = await browser.submit(next, { action: 'accept' });
      expect(callbackOf(next).get('state')).toBe(state);
      expect(callbackOf(next).get('code')).toBeTruthy();
    }
  });

  describe('what is left out', () => {
    test.each([
      ['PKCE by plain', { code_challenge_method: 'plain' }, 'invalid_request'],
      [
        'PKCE without a method, which is plain',
        { code_challenge_method: undefined },
        'invalid_request',
      ],
      ['a token from /authorize', { response_type: 'token' }, 'unsupported_response_type'],
      [
        'an ID token without the grant implicit',
        { response_type: 'id_token' },
        'unauthorized_client',
      ],
      ['both and a code', { response_type: 'code id_token token' }, 'unsupported_response_type'],
    ])('%s', async (_name, change, error) => {
      proves('RFC 9700 §2.1.1', 'RFC 9700 §2.1.2', 'ASVS 10.4.6', 'ASVS 10.6.1');
      const page = await openBrowser().get(authorizationRequest(server, change).url);
      const { location = '' } = page.headers;
      const answer = new URLSearchParams(location.slice(location.search(/[?#]/) + 1));
      expect(answer.get('error')).toBe(error);
      expect(answer.get('code')).toBeNull();
    });

    test.each([
      'registration_endpoint',
      'claims_parameter_supported',
      'authorization_response_iss_parameter_supported',
    ])('%s in the metadata', async (name) => {
      proves('RFC 9700 §4.15', 'RFC 9207 §3', 'ASVS 10.4.7');
      const url = `${server.issuer}.well-known/openid-configuration`;
      expect((await got(url).json<Record<string, unknown>>())[name] ?? false).toBe(false);
    });
  });

  describe('DPoP, RFC 9449', () => {
    test('a bound token answers who it is with a proof of its key, and not as a bearer', async () => {
      proves('RFC 9700 §2.2.1');
      const { publicKey, privateKey } = await generateKeyPair('ES256');
      const jwk = await exportJWK(publicKey);
      const proofFor = (htm: string, url: string, more = {}) =>
        new SignJWT({ htm, htu: url, jti: randomUUID(), ...more })
          .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
          .setIssuedAt()
          .sign(privateKey);
      const request = authorizationRequest(server);
      const code = (await signIn(openBrowser(), request)).get('code') ?? '';
      const token = `${server.issuer}oauth/token`;
      const tokens = await got
        .post(token, {
          form: {
            grant_type: 'authorization_code',
            client_id: 'contacts-web',
            client_secret: 'contacts-web-demo-secret',
            code,
            redirect_uri: CALLBACK,
            code_verifier: request.verifier,
          },
          headers: { dpop: await proofFor('POST', token) },
        })
        .json<Record<string, string>>();
      const accessToken = tokens.access_token ?? '';
      expect(tokens.token_type).toBe('DPoP');
      expect(decodeJwt(accessToken).cnf).toEqual({ jkt: await calculateJwkThumbprint(jwk) });

      const userinfo = `${server.issuer}userinfo`;
      const ath = Buffer.from(
        await crypto.subtle.digest('SHA-256', Buffer.from(accessToken)),
      ).toString('base64url');
      const ask = async (authorization: string, proof?: string) => {
        const headers = { authorization, ...(proof && { dpop: proof }) };
        return (await got(userinfo, { headers, throwHttpErrors: false })).statusCode;
      };
      expect(await ask(`Bearer ${accessToken}`)).toBe(401);
      expect(await ask(`DPoP ${accessToken}`)).toBe(400);
      expect(await ask(`DPoP ${accessToken}`, await proofFor('POST', userinfo, { ath }))).toBe(401);
      expect(await ask(`DPoP ${accessToken}`, await proofFor('GET', userinfo, { ath }))).toBe(200);
    });
  });
});
