import { expect, test } from '@jest/globals';
import { createTestKey, signJws, TEST_ALGORITHMS } from '@koa-oauth/issuer/testing';
import { SeenTokens } from '../../src/token/seen-tokens.ts';

const keys = TEST_ALGORITHMS.map((alg) => createTestKey({ alg }));
/** Tokens that differ, by keys of one algorithm. */
const tokens = (alg: string, count: number) => {
  const key = keys.find((each) => each.alg === alg);
  if (!key) throw new Error(alg);
  return Array.from({ length: count }, (_, jti) => signJws({ alg }, JSON.stringify({ jti }), key));
};

test.each(TEST_ALGORITHMS)('a token is new once, by its %s signature', (alg) => {
  const seen = new SeenTokens();
  const all = tokens(alg, 20);
  expect(all.map((token) => seen.note(token))).toEqual(all.map(() => false));
  expect(all.map((token) => seen.note(token))).toEqual(all.map(() => true));
});

test.each(['ES256', 'EdDSA'])('of 2,000 tokens few take the place of another (%s)', (alg) => {
  const seen = new SeenTokens();
  const all = tokens(alg, 2000);
  expect(all.filter((token) => seen.note(token))).toEqual([]);
  // Drawn by chance into 65,536 slots: 2000² / 2 / 65,536 is 30.
  expect(all.filter((token) => !seen.note(token)).length).toBeLessThan(100);
});

test('the shortest signature there is, and none, are no trouble', () => {
  const seen = new SeenTokens();
  for (const token of ['e30.e30.AAAAAAAAAAAAAAAA', 'e30.e30.'.padEnd(24, 'A')]) seen.note(token);
  expect(seen.note('e30.e30.AAAAAAAAAAAAAAAA')).toBe(true);
});
