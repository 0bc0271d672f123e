import { expect, test } from '@jest/globals';
import { InvalidOptions, IssuerError, type IssuerErrorCode } from '../src/errors.ts';

test('wrong options are a TypeError with a code', () => {
  const error = new InvalidOptions('x');
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ name: 'InvalidOptions', code: 'ERR_INVALID_OPTIONS' });
});

test.each<IssuerErrorCode>(['ERR_ISSUER_UNAVAILABLE', 'ERR_INVALID_METADATA'])(
  '%s is a 503 with Retry-After whose message keeps the detail to itself (RFC 9110 §10.2.3)',
  (code) => {
    const cause = new Error('inner');
    const error = new IssuerError(code, { detail: 'GET https://internal.example/: 500', cause });
    expect(error).toMatchObject({ name: 'IssuerError', code, status: 503, expose: true, cause });
    expect(error.headers).toEqual({ 'Retry-After': '2' });
    expect(error.message).not.toContain('internal');
    expect(error.detail).toContain('internal');
  },
);

test('a key that is not found has no status of its own: that depends on who asked', () => {
  const error = new IssuerError('ERR_SIGNING_KEY_NOT_FOUND');
  expect(error).toMatchObject({ status: undefined, expose: false, headers: {} });
  expect(error.message).toBe(`${error.detail} (ERR_SIGNING_KEY_NOT_FOUND)`);
});
