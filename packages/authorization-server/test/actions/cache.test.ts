import { beforeEach, describe, expect, test } from '@jest/globals';
import { ActionCache } from '../../src/actions/cache.ts';

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
    ['the past', ['a', 'v', { expires_at: 1 }], 'ttl or expires_at is over already'],
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
