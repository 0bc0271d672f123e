import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { codePoint } from '../../../../test/support/properties.ts';
import { errors } from '../../src/oidc-provider.ts';
import { toAuth0Error } from '../../src/token/errors.ts';

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
