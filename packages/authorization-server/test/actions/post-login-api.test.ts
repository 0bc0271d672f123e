import { createSecretKey } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { jwtVerify, SignJWT, UnsecuredJWT } from 'jose';
import { ActionCache } from '../../src/actions/cache.ts';
import {
  changeMetadata,
  changeTransactionMetadata,
  NO_CHANGES,
  type TransactionMetadata,
  UserMetadata,
} from '../../src/actions/metadata.ts';
import { encodeRedirectToken, validateRedirectToken } from '../../src/actions/redirect-token.ts';
import type { User } from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import type { StateStore } from '../../src/state/memory.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

describe('metadata', () => {
  const alice = {
    ...(loadTenant(demoTenantFile).users[0] as User),
    app_metadata: { org_id: 'acme', plan: 'silver' },
    user_metadata: { hobby: 'chess' },
  };
  describe("a user's metadata", () => {
    let store: StateStore;
    beforeEach(() => {
      store = openStateStore('memory:');
    });
    afterEach(() => store.close());

    test('changes override the values of the tenant file; null removes one', () => {
      const metadata = new UserMetadata(store);
      expect(metadata.applyTo(alice)).toEqual(alice);
      const first = changeMetadata(NO_CHANGES, 'app_metadata', 'plan', { name: 'gold' });
      metadata.store(alice.user_id, changeMetadata(first, 'user_metadata', 'hobby', null));
      metadata.store(alice.user_id, changeMetadata(NO_CHANGES, 'app_metadata', 'visits', 1));
      metadata.store(alice.user_id, NO_CHANGES);
      expect(new UserMetadata(store).applyTo(alice)).toEqual({
        ...alice,
        app_metadata: { org_id: 'acme', plan: { name: 'gold' }, visits: 1 },
        user_metadata: {},
      });
      const other = { ...alice, user_id: 'auth0|other' };
      expect(metadata.applyTo(other)).toEqual(other);
    });

    test.each<[string, unknown, unknown, string]>([
      ['no name', '', 1, 'app_metadata: the name of a property must be a text'],
      ['a number as name', 7, 1, 'app_metadata: the name of a property must be a text'],
      ['the prototype', '__proto__', {}, 'app_metadata: the name of a property must be a text'],
      ['a function', 'a', () => {}, 'app_metadata: "a" is a function, not JSON'],
      ['a BigInt', 'a', { deep: 1n }, 'app_metadata: "a" cannot be written as JSON'],
      ['a symbol', 'a', Symbol('x'), 'app_metadata: "a" is a symbol, not JSON'],
    ])('%s is refused', (_name, name, value, message) => {
      expect(() => changeMetadata(NO_CHANGES, 'app_metadata', name, value)).toThrow(message);
    });
  });

  describe('metadata of a transaction', () => {
    test('texts, numbers and booleans are stored; null removes one', () => {
      let metadata: TransactionMetadata = {};
      for (const [key, value] of Object.entries({ a: 'x', b: 1.5, c: false, d: 'y' })) {
        metadata = changeTransactionMetadata(metadata, key, value);
      }
      expect(changeTransactionMetadata(metadata, 'd', null)).toEqual({ a: 'x', b: 1.5, c: false });
    });

    test.each<[string, unknown, unknown, string]>([
      ['an object', 'a', {}, '"a" is a object: give a text, number or boolean'],
      ['a number that JSON has not', 'a', Number.NaN, '"a" is a number'],
      ['no key', '', 'x', 'the key must be a text'],
      ['the prototype', '__proto__', 'x', 'the key must be a text'],
      ['16 kB', 'a', 'x'.repeat(16_384), 'all metadata has at most 16384 bytes'],
    ])('%s is refused, and nothing is written', (_name, key, value, message) => {
      const metadata: TransactionMetadata = { kept: 1 };
      expect(() => changeTransactionMetadata(metadata, key, value)).toThrow(
        `api.transaction.setMetadata: ${message}`,
      );
      expect(metadata).toEqual({ kept: 1 });
    });
  });
});

describe('the cache', () => {
  const HOURS_24 = 86_400_000;
  let now = 1_000_000;
  let cache: ActionCache;
  beforeEach(() => {
    now = 1_000_000;
    cache = new ActionCache(() => now);
  });

  test('a value is set, read and deleted', () => {
    const record = { value: 'b', expires_at: now + HOURS_24 };
    expect(cache.set('a', 'b')).toEqual({ type: 'success', record });
    expect(cache.get('a')).toEqual(record);
    expect(cache.entries()).toEqual({ a: record });
    expect(cache.delete('a')).toEqual({ type: 'success' });
    expect(cache.get('a')).toBeUndefined();
    expect(cache.delete('a')).toEqual({ type: 'error', code: 'CacheKeyDoesNotExist' });
  });

  test.each([
    ['ttl', { ttl: 500 }],
    ['expires_at', { expires_at: 1_000_500 }],
    ['the earlier of both', { ttl: 500, expires_at: 1_000_900 }],
  ])('%s ends the life of a value', (_name, options) => {
    cache.set('a', 'b', options);
    now += 499;
    expect(cache.get('a')).toEqual({ value: 'b', expires_at: 1_000_500 });
    now += 1;
    expect(cache.get('a')).toBeUndefined();
  });

  describe('the cache throws beyond its limits', () => {
    const fill = (entries: number) => {
      for (let index = 0; index < entries; index += 1) cache.set(`k${index}`, 'v');
    };
    test('it has at most 20 entries, and replaces an existing one', () => {
      fill(20);
      cache.set('k0', 'other');
      expect(() => cache.set('k20', 'v')).toThrow('api.cache.set: there are at most 20 entries');
      cache.delete('k1');
      cache.set('k20', 'v');
    });

    test('it has at most 8 kB, without expired values', () => {
      cache.set('a', 'x'.repeat(4095), { ttl: 10 });
      cache.set('b', 'x'.repeat(4095));
      expect(() => cache.set('c', '')).toThrow('all keys and values have at most 8192 bytes');
      now += 10;
      cache.set('c', '');
    });

    test.each<[string, unknown[], string]>([
      ['a key of 65 bytes', [`${'ü'.repeat(32)}a`, 'v'], 'a key has at most 64 bytes'],
      ['a value of 4097 bytes', ['a', 'x'.repeat(4097)], 'a value has at most 4096 bytes'],
      ['an object', ['a', {}], 'the value is a object, not a text'],
      ['no key', ['', 'v'], 'the key must be a text'],
      ['25 hours', ['a', 'v', { ttl: HOURS_24 + 1 }], 'a value lives at most 24 hours'],
      ['the past', ['a', 'v', { expires_at: 1 }], 'ttl or expires_at is in the past'],
      ['no number', ['a', 'v', { ttl: '5' }], 'ttl must be a number of milliseconds'],
    ])('%s', (_name, [key, value, options], message) => {
      expect(() => cache.set(key, value, options)).toThrow(`api.cache.set: ${message}`);
      expect(cache.entries()).toEqual({});
    });

    test('a key may have 64 bytes, and a value 4096 bytes', () => {
      cache.set('ü'.repeat(32), 'x'.repeat(4096));
      expect(cache.get('ü'.repeat(32))?.value).toHaveLength(4096);
    });
  });
});

describe('the token of a redirect', () => {
  const secret = 'a secret of at least thirty-two letters';
  const key = createSecretKey(Buffer.from(secret));
  const now = 1_800_000_000;
  const expected = { state: 'state-1', now };

  const signed = (claims: object, header = {}, signingKey = key): Promise<string> =>
    new SignJWT({ state: 'state-1', exp: now + 60, ...claims })
      .setProtectedHeader({ alg: 'HS256', ...header })
      .sign(signingKey);

  test('the other site can verify what an Action encodes', async () => {
    const options = {
      secret,
      expiresInSeconds: 60,
      payload: { email: 'alice@example.com', exp: 1 },
    };
    const token = encodeRedirectToken(options, { iss: 'localhost', sub: 'auth0|alice' }, now);
    const { payload, protectedHeader } = await jwtVerify(token, key, {
      currentDate: new Date(now * 1000),
    });
    expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(payload).toEqual({
      iss: 'localhost',
      sub: 'auth0|alice',
      email: 'alice@example.com',
      iat: now,
      exp: now + 60,
    });
  });

  test('a token lives 15 minutes by default', async () => {
    const { payload } = await jwtVerify(encodeRedirectToken({ secret }, {}, now), key, {
      currentDate: new Date(now * 1000),
    });
    expect(payload.exp).toBe(now + 900);
  });

  test.each([
    ['no secret', {}, 'give a secret'],
    ['an empty secret', { secret: '' }, 'give a secret'],
    ['no time', { secret, expiresInSeconds: 0 }, 'expiresInSeconds must be a number above 0'],
    ['a list', { secret, payload: [1] }, 'payload must be an object'],
    ['nothing', undefined, 'give a secret'],
  ])('%s is refused', (_name, options, message) => {
    expect(() => encodeRedirectToken(options, {}, now)).toThrow(
      `api.redirect.encodeToken: ${message}`,
    );
  });

  test('a token of the other site is read by the default parameter name and another', async () => {
    const token = await signed({ age: 7 });
    const payload = { state: 'state-1', exp: now + 60, age: 7 };
    expect(validateRedirectToken({ secret }, { session_token: token }, expected)).toEqual(payload);
    const options = { secret, tokenParameterName: 'my_token' };
    expect(validateRedirectToken(options, { my_token: token }, expected)).toEqual(payload);
  });

  describe('a token is refused', () => {
    const other = createSecretKey(Buffer.from('another secret of at least 32 letters'));
    const NOT_SIGNED = 'it is not signed with the secret (HS256)';
    test.each<[string, () => Promise<unknown>, string]>([
      [
        'another state',
        () => signed({ state: 'x' }),
        'State in the token does not match the /continue state.',
      ],
      [
        'no state',
        () => signed({ state: undefined }),
        'State in the token does not match the /continue state.',
      ],
      ['over', () => signed({ exp: now }), 'it has expired, or has no "exp"'],
      ['without an end', () => signed({ exp: undefined }), 'it has expired, or has no "exp"'],
      ['not yet', () => signed({ nbf: now + 1 }), '"nbf" is in the future'],
      ['another secret', () => signed({}, {}, other), NOT_SIGNED],
      ['HS512', () => signed({}, { alg: 'HS512' }), NOT_SIGNED],
      ['alg none', async () => new UnsecuredJWT({ state: 'state-1' }).encode(), NOT_SIGNED],
      ['a part more', async () => `${await signed({})}.x`, NOT_SIGNED],
      ['no JWT', async () => 'x.y', NOT_SIGNED],
      ['an empty one', async () => '', 'there is no parameter "session_token"'],
      ['two of them', async () => ['a', 'b'], 'there is no parameter "session_token"'],
    ])('%s', async (_name, make, message) => {
      const fields = { session_token: await make() };
      expect(() => validateRedirectToken({ secret }, fields, expected)).toThrow(
        `The session token is invalid: ${message}`,
      );
    });

    test('a parameter name that every object has finds no token', () => {
      const options = { secret, tokenParameterName: 'constructor' };
      expect(() => validateRedirectToken(options, {}, expected)).toThrow('there is no parameter');
    });
  });
});
