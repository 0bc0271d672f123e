import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isSubject, readProfile } from '../../src/tenant/profile-claims.ts';

describe('the profile of claims', () => {
  test('is read from well-formed claims', () => {
    const profile = {
      name: 'Bob Brown',
      given_name: 'Bob',
      family_name: 'Brown',
      nickname: 'bob',
      picture: 'https://partner.example/bob.png',
      email: 'bob@example.com',
      email_verified: true,
    };
    expect(readProfile({ ...profile, sub: 'bob', roles: ['admin'], blocked: false })).toEqual(
      profile,
    );
    expect(readProfile({ preferred_username: 'bob' })).toEqual({ nickname: 'bob' });
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['a name that is an object', { name: { toString: 'x' } }, {}],
    ['a name that is too long', { name: 'x'.repeat(301) }, {}],
    ['a name with a line break', { name: 'Bob\nadmin' }, {}],
    ['a name of blanks', { name: '   ' }, {}],
    ['an address that is none', { email: 'bob', email_verified: true }, {}],
    ['an address that is too long', { email: `${'x'.repeat(320)}@example.com` }, {}],
    [
      'a verification that is a text',
      { email: 'bob@example.com', email_verified: 'true' },
      { email: 'bob@example.com', email_verified: false },
    ],
    ['a verification of nothing', { email_verified: true }, {}],
    ['a picture that is a script', { picture: 'javascript:alert(1)' }, {}],
    ['a picture that is too long', { picture: `https://x.example/${'x'.repeat(2048)}` }, {}],
  ])('%s', (_name, claims, profile) => {
    expect(readProfile(claims)).toEqual(profile);
  });

  test('is short text for any claims', () => {
    const names = ['name', 'given_name', 'nickname', 'preferred_username', 'picture', 'email'];
    const claims = fc.dictionary(fc.constantFrom(...names, 'email_verified'), fc.anything());
    fc.assert(
      fc.property(claims, (told) => {
        for (const [name, value] of Object.entries(readProfile(told))) {
          if (name === 'email_verified') expect(value).toBe(told.email_verified === true);
          else expect(String(value)).toMatch(/^[^\p{Cc}]{1,2048}$/u);
        }
      }),
    );
  });
});

test.each([
  ['x', true],
  ['a'.repeat(255), true],
  ['a'.repeat(256), false],
  ['', false],
  ['ü', false],
  ['a\nb', false],
  [1, false],
  [undefined, false],
])('%p is a subject identifier: %p', (subject, is) => {
  expect(isSubject(subject)).toBe(is);
});
