import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { jwtVerify, SignJWT, UnsecuredJWT } from 'jose';
import { encodeRedirectToken, validateRedirectToken } from '../../src/actions/redirect-token.ts';

const secret = 'a secret of at least thirty-two letters';
const key = createSecretKey(Buffer.from(secret));
const now = 1_800_000_000;
const expected = { state: 'state-1', now };

const signed = (claims: object, header = {}, signingKey = key): Promise<string> =>
  new SignJWT({ state: 'state-1', exp: now + 60, ...claims })
    .setProtectedHeader({ alg: 'HS256', ...header })
    .sign(signingKey);

test('the other site can verify what an Action encodes', async () => {
  const options = { secret, expiresInSeconds: 60, payload: { email: 'alice@example.com', exp: 1 } };
  const token = encodeRedirectToken(options, { iss: 'localhost', sub: 'auth0|alice' }, now);
  const { payload, protectedHeader } = await jwtVerify(token, key, {
    currentDate: new Date(now * 1000),
  });
  expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT' });
  expect(payload).toEqual({
    iss: 'localhost',
    sub: 'auth0|alice',
    email: 'alice@example.com',
    iat: now,
    exp: now + 60,
  });
});

test('a token lives 15 minutes by default', async () => {
  const { payload } = await jwtVerify(encodeRedirectToken({ secret }, {}, now), key, {
    currentDate: new Date(now * 1000),
  });
  expect(payload.exp).toBe(now + 900);
});

test.each([
  ['no secret', {}, 'give a secret'],
  ['an empty secret', { secret: '' }, 'give a secret'],
  ['no time', { secret, expiresInSeconds: 0 }, 'expiresInSeconds must be a number above 0'],
  ['a list', { secret, payload: [1] }, 'payload must be an object'],
  ['nothing', undefined, 'give a secret'],
])('%s is refused', (_name, options, message) => {
  expect(() => encodeRedirectToken(options, {}, now)).toThrow(
    `api.redirect.encodeToken: ${message}`,
  );
});

test('a token of the other site is read by the default parameter name and another', async () => {
  const token = await signed({ age: 7 });
  const payload = { state: 'state-1', exp: now + 60, age: 7 };
  expect(validateRedirectToken({ secret }, { session_token: token }, expected)).toEqual(payload);
  const options = { secret, tokenParameterName: 'my_token' };
  expect(validateRedirectToken(options, { my_token: token }, expected)).toEqual(payload);
});

describe('a token is refused', () => {
  const other = createSecretKey(Buffer.from('another secret of at least 32 letters'));
  const NOT_SIGNED = 'it is not signed with the secret (HS256)';
  test.each<[string, () => Promise<unknown>, string]>([
    [
      'another state',
      () => signed({ state: 'x' }),
      'State in the token does not match the /continue state.',
    ],
    [
      'no state',
      () => signed({ state: undefined }),
      'State in the token does not match the /continue state.',
    ],
    ['over', () => signed({ exp: now }), 'it is over, or has no "exp"'],
    ['without an end', () => signed({ exp: undefined }), 'it is over, or has no "exp"'],
    ['not yet', () => signed({ nbf: now + 1 }), '"nbf" is to come'],
    ['another secret', () => signed({}, {}, other), NOT_SIGNED],
    ['HS512', () => signed({}, { alg: 'HS512' }), NOT_SIGNED],
    ['alg none', async () => new UnsecuredJWT({ state: 'state-1' }).encode(), NOT_SIGNED],
    ['a part more', async () => `${await signed({})}.x`, NOT_SIGNED],
    ['no JWT', async () => 'x.y', NOT_SIGNED],
    ['an empty one', async () => '', 'there is no parameter "session_token"'],
    ['two of them', async () => ['a', 'b'], 'there is no parameter "session_token"'],
  ])('%s', async (_name, make, message) => {
    const fields = { session_token: await make() };
    expect(() => validateRedirectToken({ secret }, fields, expected)).toThrow(
      `The session token is invalid: ${message}`,
    );
  });

  test('a parameter name that every object has finds no token', () => {
    const options = { secret, tokenParameterName: 'constructor' };
    expect(() => validateRedirectToken(options, {}, expected)).toThrow('there is no parameter');
  });
});
