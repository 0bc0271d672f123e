import { expect, test } from '@jest/globals';
import {
  InvalidMetadata,
  InvalidOptions,
  IssuerUnavailable,
  SigningKeyNotFound,
} from '../src/errors.ts';

test('each error has a code of its own and its name', () => {
  const errors = [
    new InvalidOptions('x'),
    new IssuerUnavailable('x'),
    new InvalidMetadata('x'),
    new SigningKeyNotFound('x'),
  ];
  expect(errors.map(({ name, code }) => [name, code])).toEqual([
    ['InvalidOptions', 'ERR_INVALID_OPTIONS'],
    ['IssuerUnavailable', 'ERR_ISSUER_UNAVAILABLE'],
    ['InvalidMetadata', 'ERR_INVALID_METADATA'],
    ['SigningKeyNotFound', 'ERR_SIGNING_KEY_NOT_FOUND'],
  ]);
});

test.each([IssuerUnavailable, InvalidMetadata])(
  '%p is a 503 with Retry-After whose message keeps the detail to itself (RFC 9110 §10.2.3)',
  (Kind) => {
    const cause = new Error('inner');
    const error = new Kind('GET https://internal.example/: 500', { cause });
    expect(error).toBeInstanceOf(IssuerUnavailable);
    expect(error).toMatchObject({ status: 503, expose: true, cause });
    expect(error.headers).toEqual({ 'Retry-After': '2' });
    expect(error.message).not.toContain('internal');
    expect(error.detail).toContain('internal');
    expect(new Kind('x', { retryAfter: 7 }).headers).toEqual({ 'Retry-After': '7' });
  },
);
