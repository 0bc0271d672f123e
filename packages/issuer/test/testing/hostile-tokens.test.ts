import { expect, test } from '@jest/globals';
import { testKey } from '../../../../test/support/test-keys.ts';
import { hostileTokens } from '../../src/testing/hostile-tokens.ts';
import { TEST_ALGORITHMS } from '../../src/testing/test-key.ts';

const issuer = 'http://127.0.0.1:3002/';
const audience = 'https://api.example.com';
const now = 1_800_000_000;
const decode = (token: string, part: number) =>
  JSON.parse(Buffer.from(token.split('.')[part] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >;

// That each of them is refused, and why, is for the tests of what refuses them.
test.each(TEST_ALGORITHMS)('with a key for %s: no two alike, all fit for a header', (alg) => {
  const key = testKey({ alg });
  const tokens = hostileTokens({ issuer, key, now, claims: { aud: audience } });
  const all = Object.values(tokens);
  expect(Object.isFrozen(tokens)).toBe(true);
  expect(all.length).toBeGreaterThan(100);
  expect(new Set(all).size).toBe(all.length);
  // RFC 6750 §2.1: anything else would be refused before it is looked at.
  for (const token of all) expect(token).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/);
});

test('each has the given claims, except the fault in its name', () => {
  const key = testKey({ kid: 'one' });
  const claims = { aud: ['other', audience], scope: 'read', org: 'acme' };
  const tokens = hostileTokens({ issuer, key, now, claims, attacker: 'http://127.0.0.1:1/' });
  const good = { iss: issuer, iat: now, exp: now + 3600, sub: 'alice', ...claims };
  expect(decode(tokens['kid unknown'], 1)).toMatchObject(good);
  expect(decode(tokens['kid unknown'], 0)).toEqual({ alg: 'RS256', typ: 'at+jwt', kid: 'unknown' });
  expect(decode(tokens['exp a string'], 1)).toMatchObject({ ...good, exp: `${now + 3600}` });
  expect(decode(tokens['sub missing'], 1)).not.toHaveProperty('sub');
  expect(decode(tokens['another key, named by jku'], 0).jku).toBe('http://127.0.0.1:1/jwks.json');
});

test.each([{ aud: [] }, { aud: undefined as never }])(
  '%p names no API: every token would be refused for that alone',
  (claims) => {
    const key = testKey({ alg: 'ES256' });
    expect(() => hostileTokens({ issuer, key, now, claims })).toThrow(/claims\.aud/);
  },
);
