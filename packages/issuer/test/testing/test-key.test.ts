import { expect, test } from '@jest/globals';
import { JwkSet } from '../../src/jwk-set.ts';
import { createTestKey, publicJwk, TEST_ALGORITHMS } from '../../src/testing/test-key.ts';

test.each(TEST_ALGORITHMS)(
  '%s: a key that a relying side takes for it, RFC 7518 §3',
  async (alg) => {
    const key = createTestKey({ kid: 'one', alg });
    const jwk = publicJwk(key);
    expect(jwk).toMatchObject({ kid: 'one', alg, use: 'sig' });
    expect(jwk).not.toHaveProperty('d');
    const set = new JwkSet({
      fetch: async () => ({ status: 200, body: { keys: [jwk] }, maxAge: undefined }),
      monotonicNow: () => 0,
      maxStale: 0,
      cooldown: 0,
    });
    const found = await set.find({ kid: 'one', alg });
    expect(found.key.equals(key.publicKey)).toBe(true);
  },
);

test('by default RS256 with 2048 bits, under a name of its own', () => {
  const [a, b] = [createTestKey(), createTestKey()];
  expect(a.alg).toBe('RS256');
  expect(a.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect(a.kid).not.toBe(b.kid);
  expect(a.publicKey.equals(b.publicKey)).toBe(false);
});
