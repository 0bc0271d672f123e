import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  ALL_SCOPES,
  API,
  authorizationRequest,
  CALLBACK,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

describe('authorization code flow', () => {
  test('alice gets every scope; both tokens have her roles and organization', async () => {
    const { tokens } = await tokensFor(server, 'alice');
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 86_400, scope: ALL_SCOPES });

    const keys = createRemoteJWKSet(new URL('.well-known/jwks.json', server.issuer));
    const { payload } = await jwtVerify(tokens.access_token ?? '', keys, {
      issuer: server.issuer,
      audience: API,
      typ: 'JWT',
    });
    expect(payload).toMatchObject({
      sub: 'auth0|alice',
      aud: [API, `${server.issuer}userinfo`],
      azp: 'contacts-web',
      scope: ALL_SCOPES,
      'https://contacts.example.com/roles': ['admin'],
      'https://contacts.example.com/org_id': 'acme',
    });
    expect(payload.exp! - payload.iat!).toBe(86_400);
    expect(payload).not.toHaveProperty('jti');
    expect(payload).not.toHaveProperty('client_id');

    const { payload: identity } = await jwtVerify(tokens.id_token ?? '', keys, {
      issuer: server.issuer,
      audience: 'contacts-web',
    });
    expect(identity).toMatchObject({
      sub: 'auth0|alice',
      nonce: 'nonce-1',
      sid: expect.any(String),
      name: 'Alice Adams',
      email: 'alice@example.com',
      email_verified: true,
      'https://contacts.example.com/roles': ['admin'],
      'https://contacts.example.com/org_id': 'acme',
    });
    expect(identity.exp! - identity.iat!).toBe(36_000);
  });

  test('tokens are signed with the first of two published keys', async () => {
    const { tokens } = await tokensFor(server);
    const { keys } = await got(`${server.issuer}.well-known/jwks.json`).json<{
      keys: Record<string, string>[];
    }>();
    expect(keys).toHaveLength(2);
    expect(decodeProtectedHeader(tokens.access_token ?? '').kid).toBe(keys[0]?.kid);
    expect(keys.flatMap((key) => Object.keys(key))).not.toContain('d');
  });

  test('bob, a reader, does not get create:contacts', async () => {
    proves('RFC 9068 §2.2.3', 'ASVS 10.4.11');
    const { tokens } = await tokensFor(server, 'bob');
    const claims = decodeJwt(tokens.access_token ?? '');
    expect(claims.scope).toBe('openid profile email offline_access read:contacts');
    expect(claims.permissions).toEqual(['read:contacts']);
    expect(tokens.scope).toBe(claims.scope);
  });

  test('carol belongs to another organization', async () => {
    const { tokens } = await tokensFor(server, 'carol');
    expect(decodeJwt(tokens.access_token ?? '')).toMatchObject({
      'https://contacts.example.com/org_id': 'globex',
      'https://contacts.example.com/roles': ['editor'],
    });
  });

  test('profile and e-mail claims need their scope', async () => {
    const { tokens } = await tokensFor(server, 'alice', { scope: 'openid read:contacts' });
    const identity = decodeJwt(tokens.id_token ?? '');
    expect(identity).not.toHaveProperty('name');
    expect(identity).not.toHaveProperty('email');
  });

  test('without openid the audience is the API alone, and there is no ID token', async () => {
    const { tokens } = await tokensFor(server, 'alice', {
      scope: 'read:contacts',
      nonce: undefined,
    });
    expect(decodeJwt(tokens.access_token ?? '').aud).toBe(API);
    expect(tokens).not.toHaveProperty('id_token');
  });

  test('without an audience the token is opaque and valid for userinfo', async () => {
    const { tokens } = await tokensFor(server, 'alice', {
      audience: undefined,
      scope: 'openid email',
    });
    expect(tokens.access_token).not.toContain('.');
    const claims = await got(`${server.issuer}userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    }).json();
    expect(claims).toMatchObject({ sub: 'auth0|alice', email: 'alice@example.com' });
  });
});

describe('authorization code (RFC 6749 §4.1.3) and PKCE (RFC 7636)', () => {
  const changes: [string, Record<string, string | undefined>, string][] = [
    ['an unknown code', { code: 'made-up' }, 'Invalid authorization code'],
    ['a wrong verifier', { code_verifier: 'x'.repeat(43) }, 'Failed to verify code verifier'],
    ['a missing verifier', { code_verifier: undefined }, 'Failed to verify code verifier'],
    ['another redirect_uri', { redirect_uri: `${CALLBACK}/x` }, `You sent ${CALLBACK}/x, and we`],
    ['no redirect_uri', { redirect_uri: undefined }, 'The redirect URI is wrong. You sent null'],
  ];
  test.each(changes)('%s is refused', async (_name, change, description) => {
    proves('RFC 9700 §2.1.1', 'RFC 9700 §4.5');
    const request = authorizationRequest(server);
    const callback = await signIn(openBrowser(), request);
    const form = {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
      ...change,
    };
    const { status, body } = await requestTokens(
      server,
      Object.fromEntries(
        Object.entries(form).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])),
      ),
    );
    expect(status).toBe(403);
    // In Auth0's words; RFC 6749 §5.2 has invalid_grant for both.
    const error = 'redirect_uri' in change ? 'unauthorized_client' : 'invalid_grant';
    expect(body.error).toBe(error);
    expect(body.error_description).toContain(description);
  });

  test('a code is valid once, and its second use revokes the tokens of the first', async () => {
    proves('RFC 9700 §4.3', 'ASVS 10.4.2');
    const request = authorizationRequest(server);
    const callback = await signIn(openBrowser(), request);
    const form = {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    };
    const first = await requestTokens(server, form);
    expect(first.status).toBe(200);
    expect(await requestTokens(server, form)).toMatchObject({
      status: 403,
      body: { error: 'invalid_grant', error_description: 'Invalid authorization code' },
    });
    const refresh_token = first.body.refresh_token ?? '';
    const refreshed = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
    expect(refreshed.status).toBe(403);
  });

  test('of two requests with one code at the same time, one wins', async () => {
    const request = authorizationRequest(server);
    const callback = await signIn(openBrowser(), request);
    const form = {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    };
    const answers = await Promise.all([requestTokens(server, form), requestTokens(server, form)]);
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
    expect(answers.map(({ status }) => status)).toContain(403);
  });
});

describe('refresh token', () => {
  const refresh = (refresh_token: string, more: Record<string, string> = {}) =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token, ...more });

  test('is rotated; reuse of the old one ends the family (RFC 9700 §4.14.2)', async () => {
    const { tokens } = await tokensFor(server, 'alice');
    const second = await refresh(tokens.refresh_token ?? '');
    expect(second.status).toBe(200);
    expect(second.body.refresh_token).not.toBe(tokens.refresh_token);
    expect(decodeJwt(second.body.access_token ?? '')).toMatchObject({
      gty: 'refresh_token',
      'https://contacts.example.com/org_id': 'acme',
    });
    expect(decodeJwt(tokens.id_token ?? '')).toHaveProperty('nonce', 'nonce-1');
    expect(decodeJwt(second.body.id_token ?? '')).not.toHaveProperty('nonce');

    const refusal = {
      error: 'invalid_grant',
      error_description: 'Unknown or invalid refresh token.',
    };
    expect(await refresh(tokens.refresh_token ?? '')).toEqual({ status: 403, body: refusal });
    expect(await refresh(second.body.refresh_token ?? '')).toEqual({ status: 403, body: refusal });
  });

  test('can ask for fewer scopes, and not for more than it has', async () => {
    const { tokens } = await tokensFor(server, 'bob');
    const narrow = await refresh(tokens.refresh_token ?? '', { scope: 'openid read:contacts' });
    expect(narrow.body.scope).toBe('openid read:contacts');
    const whole = await refresh(narrow.body.refresh_token ?? '');
    expect(whole.body.scope).toBe('openid profile email offline_access read:contacts');
    const wide = await refresh(whole.body.refresh_token ?? '', { scope: 'create:contacts' });
    expect(wide).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
  });

  test('is not issued without offline_access', async () => {
    const { tokens } = await tokensFor(server, 'alice', { scope: 'openid read:contacts' });
    expect(tokens).not.toHaveProperty('refresh_token');
  });

  test('is not issued when the API does not allow it, even with prompt=consent', async () => {
    const strict = await startDemo((tenant) => {
      tenant.resourceServers[0]!.allow_offline_access = false;
    });
    const { tokens } = await tokensFor(strict, 'alice', { prompt: 'consent' });
    expect(tokens).not.toHaveProperty('refresh_token');
    expect(tokens.scope).not.toContain('offline_access');
  });

  test('is refused after a revocation, which does not affect the user’s other login', async () => {
    const [one, other] = [await tokensFor(server, 'alice'), await tokensFor(server, 'alice')];
    const { statusCode } = await got.post(`${server.issuer}oauth/revoke`, {
      form: {
        client_id: 'contacts-web',
        client_secret: 'contacts-web-demo-secret',
        token: one.tokens.refresh_token,
      },
    });
    expect(statusCode).toBe(200);
    expect((await refresh(one.tokens.refresh_token ?? '')).status).toBe(403);
    expect((await refresh(other.tokens.refresh_token ?? '')).status).toBe(200);
  });
});

describe('client authentication (RFC 6749 §2.3.1)', () => {
  const form = { grant_type: 'client_credentials', audience: API };

  test.each(['basic', 'post'])('accepts the secret by %s', async (way) => {
    const client = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
    const tokens = await got
      .post(`${server.issuer}oauth/token`, {
        ...(way === 'basic' && {
          username: client.client_id,
          password: client.client_secret,
          headers: {
            authorization: `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`,
          },
        }),
        form: way === 'basic' ? form : { ...form, ...client },
      })
      .json<Record<string, string>>();
    expect(decodeJwt(tokens.access_token ?? '')).toMatchObject({
      sub: 'contacts-cli@clients',
      aud: API,
      gty: 'client-credentials',
      scope: 'read:contacts',
    });
  });

  test('a wrong secret is refused', async () => {
    const answer = await requestTokens(server, { ...form, client_secret: 'wrong' }, 'contacts-cli');
    expect(answer).toEqual({
      status: 401,
      body: { error: 'access_denied', error_description: 'Unauthorized' },
    });
  });

  test.each([
    ['more than its grant', { scope: 'delete:contacts' }, 'Client has not been granted scopes'],
    ['no API', { audience: '' }, 'Non-global clients'],
    ['an unknown API', { audience: 'https://other.example/' }, 'Service not enabled'],
  ])('%s is refused', async (_name, change, description) => {
    proves('RFC 9068 §5 audience', 'ASVS 10.4.11');
    const { status, body } = await requestTokens(server, { ...form, ...change }, 'contacts-cli');
    expect({ status, error: body.error }).toEqual({ status: 403, error: 'access_denied' });
    expect(body.error_description).toContain(description);
  });

  test('a grant type that the application does not have is refused', async () => {
    proves('ASVS 10.4.4');
    expect(await requestTokens(server, form)).toMatchObject({
      status: 403,
      body: {
        error: 'unauthorized_client',
        error_description: "Grant type 'client_credentials' not allowed for the client.",
      },
    });
  });
});
