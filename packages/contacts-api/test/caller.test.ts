import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import { ContactsClaims, organizationOf } from '../src/caller.ts';

const payload = { iss: 'https://issuer.example.com/', sub: 'auth0|alice', aud: 'api', exp: 1 };

describe('organization', () => {
  test('is the one that the claim names', () => {
    expect(organizationOf({ payload, claims: { roles: [], org_id: 'acme' } })).toBe('org:acme');
  });

  test('is the subject when the claim is missing', () => {
    proves('ASVS 10.3.3');
    expect(organizationOf({ payload, claims: { roles: [] } })).toBe('user:auth0|alice');
  });

  test('a subject spelled like an organization is still a user', () => {
    proves('ASVS 10.3.3');
    const claims = { roles: [] };
    expect(organizationOf({ payload: { ...payload, sub: 'acme' }, claims })).toBe('user:acme');
    expect(organizationOf({ payload: { ...payload, sub: 'org:acme' }, claims })).toBe(
      'user:org:acme',
    );
  });

  test.each([[''], [null], [7], [['acme']], [{ id: 'acme' }], [false]])(
    '%j is not an organization',
    (org_id) => {
      expect(ContactsClaims.safeParse({ org_id }).success).toBe(false);
    },
  );
});
