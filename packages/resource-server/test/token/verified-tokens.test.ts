import { expect, test } from '@jest/globals';
import type { SigningKey } from '@koa-oauth/issuer';
import { createTestKey } from '@koa-oauth/issuer/testing';
import { VerifiedTokens } from '../../src/token/verified-tokens.ts';

const { kid, alg, publicKey } = createTestKey({ alg: 'ES256' });
const key: SigningKey = { kid, alg, key: publicKey };
const verified = (auth: unknown = {}) => ({ auth, key });
/** A token's worth of text, another one for each number. */
const token = (i: number, length = 1000) => `.${i}`.padStart(length, 'x');

test('what was put in comes out, for that very token alone', () => {
  const tokens = new VerifiedTokens();
  const one = verified('one');
  tokens.set('a.b.c', one);
  expect(tokens.get('a.b.c')).toBe(one);
  for (const other of ['a.b.d', 'a.b.', 'a.b.c=', 'A.b.c', '', '__proto__']) {
    expect(tokens.get(other)).toBeUndefined();
  }
});

test('by default 10,000 tokens of usual length are kept', () => {
  const tokens = new VerifiedTokens();
  for (let i = 0; i < 10_001; i += 1) tokens.set(token(i, 500), verified());
  expect(tokens.entries).toBe(10_000);
});

test('beyond maxEntries the one not asked for the longest goes', () => {
  const tokens = new VerifiedTokens({ maxEntries: 2 });
  tokens.set('one', verified());
  tokens.set('two', verified());
  tokens.get('one');
  tokens.set('three', verified());
  expect(tokens.entries).toBe(2);
  expect(tokens.get('two')).toBeUndefined();
  expect(tokens.get('one')).toBeDefined();
  expect(tokens.get('three')).toBeDefined();
});

test('maxBytes bounds them too, long tokens more than short ones', () => {
  const kept = [100, 1000, 10_000].map((length) => {
    const tokens = new VerifiedTokens({ maxBytes: 100_000 });
    for (let i = 0; i < 1000; i += 1) {
      tokens.set(token(i, length), verified());
      expect(tokens.bytes).toBeLessThanOrEqual(100_000);
    }
    return tokens.entries;
  });
  expect(kept).toEqual([...kept].sort((a, b) => b - a));
  expect(kept[0]).toBeGreaterThan(50);
  // Each takes several times its own length: what was parsed out of it counts.
  expect(kept[2]).toBeLessThan(10);
});

test('one larger than all room is not kept, and pushes nothing out', () => {
  const tokens = new VerifiedTokens({ maxBytes: 20_000 });
  tokens.set('small', verified());
  tokens.set(token(1, 16_000), verified());
  expect(tokens.get(token(1, 16_000))).toBeUndefined();
  expect(tokens.get('small')).toBeDefined();
});

test('the same token again takes no more room', () => {
  const tokens = new VerifiedTokens();
  tokens.set('one', verified('old'));
  const { bytes } = tokens;
  tokens.set('one', verified('new'));
  expect([tokens.entries, tokens.bytes]).toEqual([1, bytes]);
  expect(tokens.get('one')?.auth).toBe('new');
});

test('over 200,000 distinct tokens it is full, and grows no more', () => {
  const maxEntries = 1000;
  const maxBytes = 4 * 2 ** 20;
  const tokens = new VerifiedTokens({ maxEntries, maxBytes });
  const seen = new Set<string>();
  for (let i = 0; i < 200_000; i += 1) {
    tokens.set(token(i, 700), verified());
    if (i >= 1000 && i % 1000 === 0) seen.add(`${tokens.entries} entries, ${tokens.bytes} bytes`);
  }
  expect([...seen]).toEqual([`1000 entries, ${1000 * (512 + 5 * 700)} bytes`]);
  expect(tokens.bytes).toBeLessThanOrEqual(maxBytes);
});
