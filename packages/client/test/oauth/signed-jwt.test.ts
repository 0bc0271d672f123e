import { expect, test } from '@jest/globals';
import { isTime, verifySignedJwt } from '../../src/oauth/signed-jwt.ts';
import { ISSUER, signingKey, signJws } from '../support/issuer-stand-in.ts';

const expected = { issuer: ISSUER, clientID: 'client-1', now: 1_700_000_000, clockTolerance: 60 };
const claims = { iss: ISSUER, aud: 'client-1', iat: expected.now, a: 1 };
const sign = (header: object) => signJws({ alg: 'RS256', kid: 'key-1', ...header }, claims);

test.each([
  ['logout+jwt', 'logout+jwt'],
  ['application/at+JWT', 'at+jwt'],
  ['APPLICATION/JWT', 'jwt'],
  [undefined, undefined],
])('RFC 7515 §4.1.9: typ %s is asked about as %s', async (typ, asked) => {
  const types: unknown[] = [];
  const isType = (type?: string) => types.push(type) > 0;
  const kind = { isType, code: 'ERR_ID_TOKEN', maxAge: 60 } as const;
  const verified = await verifySignedJwt(sign({ typ }), signingKey, kind, expected);
  expect(verified).toEqual({ alg: 'RS256', claims });
  expect(types).toEqual([asked]);
});

test('another kind of token is refused before a key is asked for', async () => {
  const kind = { isType: () => false, code: 'ERR_LOGOUT_TOKEN', maxAge: 60 } as const;
  const key = () => Promise.reject(new Error('asked'));
  await expect(verifySignedJwt(sign({}), key, kind, expected)).rejects.toMatchObject({
    code: 'ERR_LOGOUT_TOKEN',
    detail: '"typ" is that of another kind of token',
  });
});

test.each([
  [0, true],
  [1_700_000_000.5, true],
  [-1, false],
  [1e300, false],
  [Number.NaN, false],
  ['1700000000', false],
  [null, false],
  [undefined, false],
])('isTime(%p) is %p', (value, expected) => {
  expect(isTime(value)).toBe(expected);
});
