import { hash } from 'node:crypto';
import { describe, expect, jest, test } from '@jest/globals';
import type { SigningKey } from '@koa-oauth/issuer';
import { signJws, TEST_ALGORITHMS } from '@koa-oauth/issuer/testing';
import { z } from 'zod';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import {
  readCustomClaims,
  type StandardSchema,
  type VerifiedToken,
  VerifiedTokens,
  type VerifiedTokensLimits,
} from '../../src/token/verified-tokens.ts';

const namespace = 'https://contacts.example.com/';
const schema = z.object({ org_id: z.string().min(1).optional(), roles: z.array(z.string()) });

/** A Standard Schema made by hand, from its one function. */
function standard<Output>(
  validate: StandardSchema<Output>['~standard']['validate'],
): StandardSchema<Output> {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

describe('a schema of zod', () => {
  test('gives the claims out typed, without their prefix', async () => {
    proves('RFC 9068 §2.2.3.1');
    const payload = {
      sub: 'alice',
      roles: ['not these'],
      [`${namespace}org_id`]: 'acme',
      [`${namespace}roles`]: ['admin'],
    };
    const claims = await readCustomClaims(payload, { namespace, schema });
    const typed: { org_id?: string; roles: string[] } = claims;
    expect(typed).toEqual({ org_id: 'acme', roles: ['admin'] });
    // @ts-expect-error the schema knows no such claim
    expect(claims.other).toBeUndefined();
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['is missing', {}, 'roles'],
    ['bears no prefix', { roles: ['admin'] }, 'roles'],
    ['has the wrong type', { [`${namespace}roles`]: 'admin' }, 'roles'],
    ['is empty', { [`${namespace}roles`]: [], [`${namespace}org_id`]: '' }, 'org_id'],
    ['bears a prefix in other case', { [`${namespace.toUpperCase()}roles`]: ['a'] }, 'roles'],
    ['is further in', { claims: { [`${namespace}roles`]: ['a'] } }, 'roles'],
  ])('a claim that %s: 403, and the name in the detail alone', async (_, payload, name) => {
    const read = readCustomClaims(payload, { namespace, schema });
    await expect(read).rejects.toMatchObject({ code: 'ERR_CLAIM_MISMATCH' });
    await expect(read).rejects.toMatchObject({
      status: 403,
      challenge: {},
      message: 'a custom claim of the access token does not fit',
      detail: `the schema refused "${name}"`,
    });
  });

  test('what the schema makes of the claims is what comes out', async () => {
    const transforming = z.object({ n: z.string().transform(Number) });
    const payload = { [`${namespace}n`]: '42' };
    expect(await readCustomClaims(payload, { namespace, schema: transforming })).toEqual({ n: 42 });
  });
});

describe('any Standard Schema', () => {
  test('one that answers later is waited for', async () => {
    const later = standard(async (value) => ({ value: value as { a: number } }));
    const claims = await readCustomClaims({ [`${namespace}a`]: 1 }, { namespace, schema: later });
    expect(claims.a).toBe(1);
  });

  test.each<[string, readonly unknown[] | undefined, string]>([
    ['a name', ['roles', 0], '"roles"'],
    ['an object that holds the name', [{ key: 'roles' }], '"roles"'],
    ['a symbol', [Symbol('s')], 'the claims'],
    ['an object without text', [Object.create(null)], 'the claims'],
    ['null', [null], 'the claims'],
    ['a name with control characters', ['a\n\u001b[31m'], 'the claims'],
    ['a person', ['alice@example.com'], 'the claims'],
    ['nothing', undefined, 'the claims'],
    ['an empty list', [], 'the claims'],
  ])('issues whose path is %s', async (_, path, detail) => {
    // Messages of some schemas quote the value.
    const message = 'got alice@example.com\n\u001b[31m';
    const refusing = standard(() => ({ issues: [{ message, path }] }));
    await expect(readCustomClaims({}, { namespace, schema: refusing })).rejects.toMatchObject({
      status: 403,
      detail: `the schema refused ${detail}`,
    });
  });

  test('an empty list of issues refuses too', async () => {
    const refusing = standard(() => ({ issues: [] }));
    const read = readCustomClaims({}, { namespace, schema: refusing });
    await expect(read).rejects.toMatchObject({ code: 'ERR_CLAIM_MISMATCH' });
  });

  test('a thousand issues make a short detail', async () => {
    const issues = Array.from({ length: 1000 }, () => ({ message: 'x'.repeat(50) }));
    const read = readCustomClaims({}, { namespace, schema: standard(() => ({ issues })) });
    await expect(read).rejects.toMatchObject({ detail: expect.stringMatching(/^.{1,500}$/) });
  });

  test('one that does not answer: 503 after two seconds', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    const read = readCustomClaims({}, { namespace, schema: standard(() => new Promise(() => {})) });
    const refused = expect(read).rejects.toMatchObject({
      status: 503,
      code: 'ERR_CLAIMS_UNAVAILABLE',
      detail: 'the schema did not answer within 2 seconds',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    jest.useRealTimers();
  });

  test.each<[string, StandardSchema['~standard']['validate']]>([
    [
      'throws',
      () => {
        throw new RangeError('broken');
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('broken'))],
  ])('one that %s rejects the request: the fault is not in the token', async (_, validate) => {
    const read = readCustomClaims({}, { namespace, schema: standard(validate) });
    await expect(read).rejects.toThrow(RangeError);
  });
});

test('names of the prototype are claims like others, and change nothing', async () => {
  const payload = JSON.parse(`{"${namespace}__proto__":{"admin":true},"${namespace}":1}`);
  const seen = await readCustomClaims(payload as Record<string, unknown>, {
    namespace,
    schema: standard((value) => ({ value: value as Record<string, unknown> })),
  });
  expect(seen.admin).toBeUndefined();
  expect(Object.getPrototypeOf(seen)).toBe(Object.prototype);
  expect(Object.keys(seen)).toEqual(['__proto__', '']);
  const { admin } = await readCustomClaims(payload as Record<string, unknown>, {
    namespace,
    schema: z.object({ admin: z.boolean().optional() }),
  });
  expect(admin).toBeUndefined();
});

const { kid, alg, publicKey } = testKey({ alg: 'ES256' });
const key: SigningKey = { kid, alg, key: publicKey };
const verified = (auth: unknown = {}) => ({ auth, key, trusted: undefined });
/** Tokens are remembered when they come again. */
class Remembered extends VerifiedTokens<unknown, unknown> {
  remember(token: string, value: VerifiedToken<unknown, unknown>): void {
    for (let time = 0; time < 2; time += 1) this.add(token, value);
  }
}
const create = (limits?: VerifiedTokensLimits) => new Remembered(limits);

/** A token's worth of text, another one for each number. */
const token = (i: number, length = 1000) => `.${i}`.padStart(length, 'x');

test('what was put in comes out, for that very token alone', () => {
  const tokens = create();
  const one = verified('one');
  const text = `a.b.${'c'.repeat(86)}`;
  tokens.remember(text, one);
  expect(tokens.get(text)).toBe(one);
  const others = [`${text.slice(0, -1)}d`, text.slice(0, -1), `${text}=`, `A${text.slice(1)}`];
  for (const other of [...others, '', '__proto__']) expect(tokens.get(other)).toBeUndefined();
});

test('by default 10,000 tokens of usual length are kept', () => {
  const tokens = create();
  for (let i = 0; i < 10_001; i += 1) tokens.remember(token(i, 500), verified());
  expect(tokens.entries).toBe(10_000);
});

const [one, two, three, small] = [1, 2, 3, 4].map((i) => token(i, 100)) as [
  ...[string, string, string, string],
];

test('beyond maxEntries the one not asked for the longest goes', () => {
  const tokens = create({ maxEntries: 2 });
  tokens.remember(one, verified());
  tokens.remember(two, verified());
  tokens.get(one);
  tokens.remember(three, verified());
  expect(tokens.entries).toBe(2);
  expect(tokens.get(two)).toBeUndefined();
  expect(tokens.get(one)).toBeDefined();
  expect(tokens.get(three)).toBeDefined();
});

test('maxBytes bounds them too, long tokens more than short ones', () => {
  const kept = [100, 1000, 10_000].map((length) => {
    const tokens = create({ maxBytes: 100_000 });
    for (let i = 0; i < 1000; i += 1) {
      tokens.remember(token(i, length), verified());
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
  const tokens = create({ maxBytes: 20_000 });
  tokens.remember(small, verified());
  tokens.remember(token(1, 16_000), verified());
  expect(tokens.get(token(1, 16_000))).toBeUndefined();
  expect(tokens.get(small)).toBeDefined();
});

test('the same token again takes no more room', () => {
  const tokens = create();
  tokens.remember(one, verified('old'));
  const { bytes } = tokens;
  tokens.remember(one, verified('new'));
  expect([tokens.entries, tokens.bytes]).toEqual([1, bytes]);
  expect(tokens.get(one)?.auth).toBe('new');
});

test('over 20,000 distinct tokens it is full, and grows no more', () => {
  const maxEntries = 1000;
  const maxBytes = 4 * 2 ** 20;
  const tokens = create({ maxEntries, maxBytes });
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i += 1) {
    tokens.remember(token(i, 700), verified());
    if (i >= 1000 && i % 1000 === 0) seen.add(`${tokens.entries} entries, ${tokens.bytes} bytes`);
  }
  expect([...seen]).toEqual([`1000 entries, ${1000 * (512 + 5 * 700)} bytes`]);
  expect(tokens.bytes).toBeLessThanOrEqual(maxBytes);
});

describe('a token is remembered when it comes for the second time', () => {
  const keys = TEST_ALGORITHMS.map((each) => testKey({ alg: each }));
  /** Tokens that differ, by a key of one algorithm. */
  const signed = (by: string, count: number) => {
    const signer = keys.find((each) => each.alg === by);
    if (!signer) throw new Error(by);
    return Array.from({ length: count }, (_, jti) =>
      signJws({ alg: by }, JSON.stringify({ jti }), signer),
    );
  };

  test.each(TEST_ALGORITHMS)('told by its %s signature', (by) => {
    const tokens = new VerifiedTokens();
    const all = signed(by, 20);
    for (const each of all) tokens.add(each, verified());
    expect(tokens.entries).toBe(0);
    for (const each of all) tokens.add(each, verified());
    // Now and then two of them share a slot.
    expect(tokens.entries).toBeGreaterThanOrEqual(16);
  });

  test('of 2,000 tokens few take the place of another', () => {
    const tokens = new VerifiedTokens();
    // The same texts in each run: two random ones look the same in one of 2,000 runs, which stores a token
    // at its first use. It is found by its whole text in any case.
    const all = Array.from(
      { length: 2000 },
      (_, i) => `e30.e30.${hash('sha512', `${i}`, 'base64url')}`,
    );
    for (const each of all) tokens.add(each, verified());
    expect(tokens.entries).toBe(0);
    for (const each of all) tokens.add(each, verified());
    // Random among 65,536 slots: 2000² / 2 / 65,536 is 30.
    expect(tokens.entries).toBeGreaterThan(1900);
  });

  test('a token whose mark would be 0 is not in an empty slot', () => {
    const tokens = create();
    tokens.add('e30.e30.vdfeFW-yCBeAAAAA', verified());
    expect(tokens.entries).toBe(0);
    tokens.add('e30.e30.vdfeFW-yCBeAAAAA', verified());
    expect(tokens.entries).toBe(1);
  });

  test('the shortest signature there is, and none, are no trouble', () => {
    const tokens = create();
    for (const text of ['e30.e30.AAAAAAAAAAAAAAAA', 'e30.e30.'.padEnd(24, 'A')]) {
      tokens.remember(text, verified());
      expect(tokens.get(text)).toBeDefined();
    }
  });
});
