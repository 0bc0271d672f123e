import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { retryAfter } from '../../src/oauth/retry-after.ts';

const NOW = 1_700_000_000;
const date = (seconds: number) => new Date((NOW + seconds) * 1000).toUTCString();

test.each([
  ['nothing', {}, undefined],
  ['seconds', { 'retry-after': '17' }, 17],
  ['no seconds', { 'retry-after': '0' }, 1],
  ['too many seconds', { 'retry-after': '100000' }, 300],
  ['a date', { 'retry-after': date(30) }, 30],
  ['a date that has passed', { 'retry-after': date(-30) }, 1],
  ['a date far ahead', { 'retry-after': date(30_000) }, 300],
  ['a date that is none', { 'retry-after': 'Xxx, 99 Xxx 2023 99:99:99 GMT' }, undefined],
  ['a fraction', { 'retry-after': '1.5' }, undefined],
  ['a minus', { 'retry-after': '-5' }, undefined],
  ['a number in another form', { 'retry-after': '1e2' }, undefined],
  ['reset', { 'x-ratelimit-reset': String(NOW + 20) }, 20],
  ['reset that has passed', { 'x-ratelimit-reset': String(NOW - 20) }, 1],
  ['reset in milliseconds', { 'x-ratelimit-reset': String(NOW * 1000) }, 300],
  ['reset that is no time', { 'x-ratelimit-reset': 'soon' }, undefined],
  ['both', { 'retry-after': '5', 'x-ratelimit-reset': String(NOW + 20) }, 5],
  ['one that can be read', { 'retry-after': 'x', 'x-ratelimit-reset': String(NOW + 20) }, 20],
])('%s', (_name, headers, seconds) => {
  expect(retryAfter(headers, NOW)).toBe(seconds);
});

test('whatever stands there: 1 to 300 whole seconds, or nothing', () => {
  const text = fc.oneof(fc.string(), fc.integer().map(String), fc.date().map(String));
  const headers = fc.record({ 'retry-after': text, 'x-ratelimit-reset': text });
  fc.assert(
    fc.property(headers, (given) => {
      const seconds = retryAfter(given, NOW) ?? 1;
      expect(Number.isInteger(seconds) && seconds >= 1 && seconds <= 300).toBe(true);
    }),
  );
});
