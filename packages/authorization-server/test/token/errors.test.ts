import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { codePoint } from '../../../../test/support/properties.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { errors } from '../../src/oidc-provider.ts';
import { toAuth0Error } from '../../src/token/errors.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, tokensFor } from '../support/sign-in.ts';

describe('errors of the token endpoint', () => {
  const pkce = new errors.InvalidGrant({ cause: new Error('code_verifier must be provided') });

  test.each([
    [
      'a wrong verifier',
      pkce,
      'authorization_code',
      403,
      'invalid_grant',
      'Failed to verify code verifier',
    ],
    [
      'a bad code',
      new errors.InvalidGrant('authorization code not found'),
      'authorization_code',
      403,
      'invalid_grant',
      'Invalid authorization code',
    ],
    [
      'a bad refresh token',
      new errors.InvalidGrant('refresh token not found'),
      'refresh_token',
      403,
      'invalid_grant',
      'Unknown or invalid refresh token.',
    ],
    [
      'a wrong secret',
      new errors.InvalidClientAuth('invalid secret provided'),
      'refresh_token',
      401,
      'access_denied',
      'Unauthorized',
    ],
    [
      'a denying Action',
      new errors.AccessDenied('not today'),
      'refresh_token',
      403,
      'access_denied',
      'not today',
    ],
    [
      'a grant type not allowed',
      new errors.InvalidRequest('requested grant type is not allowed for this client'),
      'password',
      403,
      'unauthorized_client',
      "Grant type 'password' not allowed for the client.",
    ],
  ])('%s is answered as Auth0 does', (_name, error, grantType, status, code, description) => {
    expect(toAuth0Error(error, grantType)).toEqual({ status, error: code, description });
  });

  test("other errors keep the engine's answer", () => {
    expect(toAuth0Error(new errors.InvalidRequest('missing parameter'), 'x')).toBeUndefined();
  });

  test('for any grant type the text is short and in the characters of RFC 6749 section 5.2', () => {
    const anything = fc.oneof(fc.string({ unit: codePoint, maxLength: 400 }), fc.string());
    fc.assert(
      fc.property(anything, fc.boolean(), (grantType, supported) => {
        const error = supported
          ? new errors.InvalidRequest('requested grant type is not allowed for this client')
          : new errors.UnsupportedGrantType();
        const { status, description = '' } = toAuth0Error(error, grantType) ?? {};
        expect(status).toBe(403);
        expect(description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,160}$/);
      }),
    );
  });
});

describe('JSON bodies', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  const post = async (path: string, body: string) => {
    const answer = await got.post(server.issuer + path, {
      body,
      headers: { 'content-type': 'application/json' },
      throwHttpErrors: false,
    });
    return { status: answer.statusCode, body: answer.body };
  };

  const client = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };

  test('the token endpoint accepts JSON', async () => {
    const machine = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
    const form = { ...machine, grant_type: 'client_credentials', audience: API, state: null };
    const { status, body } = await post('oauth/token', JSON.stringify(form));
    expect(status).toBe(200);
    expect(decodeJwt((JSON.parse(body) as Record<string, string>).access_token ?? '').aud).toBe(
      API,
    );
  });

  test('the revocation endpoint accepts JSON', async () => {
    const { tokens } = await tokensFor(server);
    const token = tokens.refresh_token;
    expect(await post('oauth/revoke', JSON.stringify({ ...client, token }))).toEqual({
      status: 200,
      body: '',
    });
    const again = { ...client, grant_type: 'refresh_token', refresh_token: token };
    expect((await post('oauth/token', JSON.stringify(again))).status).toBe(403);
  });

  describe('a body that is no JSON object of plain fields is refused with 400', () => {
    test.each([
      ['no JSON', '{"grant_type"'],
      ['a list', '[1]'],
      ['a text', '"client_id"'],
      ['an object for a field', JSON.stringify({ ...client, grant_type: { a: 1 } })],
    ])('%s', async (_name, body) => {
      const answer = await post('oauth/token', body);
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_request' });
    });
  });

  test('an empty body is refused with 401 because it names no client', async () => {
    const answer = await post('oauth/token', '');
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_client' });
  });

  test('the path ignores case and a slash at its end, as with a form', async () => {
    const answer = await post('OAuth/Token/', JSON.stringify({ ...client, grant_type: 'x' }));
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'unsupported_grant_type' });
  });
});
