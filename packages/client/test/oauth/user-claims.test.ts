import { expect, test } from '@jest/globals';
import { aboutTheUser } from '../../src/oauth/user-claims.ts';

test('the user’s claims are all but those about the token', () => {
  const token = { iss: 'i', aud: 'c', exp: 2, iat: 1, nbf: 1, azp: 'c', nonce: 'n', jti: 'j' };
  const signIn = {
    auth_time: 1,
    acr: 'a',
    amr: ['pwd'],
    at_hash: 'h',
    c_hash: 'h',
    s_hash: 'h',
    sid: 's',
  };
  const user = { sub: 'u', name: 'Ada', 'https://example.com/roles': ['admin'] };
  expect(aboutTheUser({ ...token, ...signIn, ...user })).toEqual(user);
});
