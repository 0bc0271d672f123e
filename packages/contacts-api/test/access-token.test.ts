import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import { ContactsClaims, organizationsOf } from '../src/access-token.ts';

const issuer = 'https://issuer.example.com/';
const organizationOf = organizationsOf(issuer);
const payload = { iss: issuer, sub: 'auth0|alice', aud: 'api', exp: 1 };

describe('organization', () => {
  test('is the one that the claim names', () => {
    expect(organizationOf({ issuer, payload, claims: { roles: [], org_id: 'acme' } })).toBe(
      'org:acme',
    );
  });

  test('is the subject when the claim is missing', () => {
    proves('ASVS 10.3.3');
    expect(organizationOf({ issuer, payload, claims: { roles: [] } })).toBe('user:auth0|alice');
  });

  test('a subject spelled like an organization is still a user', () => {
    proves('ASVS 10.3.3');
    const claims = { roles: [] };
    expect(organizationOf({ issuer, payload: { ...payload, sub: 'acme' }, claims })).toBe(
      'user:acme',
    );
    expect(organizationOf({ issuer, payload: { ...payload, sub: 'org:acme' }, claims })).toBe(
      'user:org:acme',
    );
  });

  test('of a token from another issuer is never one of the first issuer’s', () => {
    proves('ASVS 10.3.3');
    const other = 'https://other.example.com/';
    const ofOther = (sub: string, org_id?: string) =>
      organizationOf({
        issuer: other,
        payload: { ...payload, sub },
        claims: { roles: [], org_id },
      });
    const keys = [
      ofOther('alice'),
      ofOther('bob'),
      ofOther('alice', 'acme'),
      ofOther(`alice issuer:${issuer}`),
      organizationOf({ issuer, payload: { ...payload, sub: 'alice' }, claims: { roles: [] } }),
      organizationOf({
        issuer,
        payload,
        claims: { roles: [], org_id: `issuer:${other} user:bob` },
      }),
      organizationOf({ issuer, payload, claims: { roles: [], org_id: 'acme' } }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys[0]).toBe('issuer:https://other.example.com/ user:alice');
  });

  test('of a token from the first issuer keeps its key, with and without a slash at the end', () => {
    const find = organizationsOf('https://issuer.example.com');
    expect(find({ issuer, payload, claims: { roles: [] } })).toBe('user:auth0|alice');
  });

  test.each([[''], [null], [7], [['acme']], [{ id: 'acme' }], [false]])(
    '%j is not an organization',
    (org_id) => {
      expect(ContactsClaims.safeParse({ org_id }).success).toBe(false);
    },
  );
});
