import { describe, expect, test } from '@jest/globals';
import {
  AuthError,
  type AuthErrorCode,
  InsufficientScopeError,
  InvalidTokenError,
  type InvalidTokenReason,
  REASONS,
} from '../src/errors.ts';

describe('codes, status and challenge, RFC 6750 §3.1', () => {
  test.each<[AuthError, string, string, number, string | undefined]>([
    [new AuthError('ERR_MISSING_TOKEN'), 'AuthError', 'ERR_MISSING_TOKEN', 401, undefined],
    [
      new AuthError('ERR_INVALID_REQUEST', { message: 'x' }),
      'AuthError',
      'ERR_INVALID_REQUEST',
      400,
      'invalid_request',
    ],
    [new InvalidTokenError('key'), 'InvalidTokenError', 'ERR_INVALID_TOKEN', 401, 'invalid_token'],
    [
      new InsufficientScopeError(['a', 'b']),
      'InsufficientScopeError',
      'ERR_INSUFFICIENT_SCOPE',
      403,
      'insufficient_scope',
    ],
    [new AuthError('ERR_CLAIM_MISMATCH'), 'AuthError', 'ERR_CLAIM_MISMATCH', 403, undefined],
  ])('%s', (error, name, code, status, challenge) => {
    expect(error).toBeInstanceOf(AuthError);
    expect(error).toMatchObject({ name, code, status, expose: true });
    expect(error.challenge).toBeDefined();
    expect(error.challenge?.error).toBe(challenge);
  });
});

test('insufficient_scope names every scope that is needed', () => {
  const { challenge, scopes } = new InsufficientScopeError(['read:a', 'read:b']);
  expect(challenge?.scope).toBe('read:a read:b');
  expect(scopes).toEqual(['read:a', 'read:b']);
});

test.each(Object.keys(REASONS) as InvalidTokenReason[])(
  'reason %s has a fixed public text fit for a header, and keeps its detail to itself',
  (reason) => {
    const { message, challenge, detail } = new InvalidTokenError(reason, 'the detail');
    expect(message).toBe(REASONS[reason]);
    expect(challenge).toEqual({ error: 'invalid_token', error_description: message });
    expect(message).toMatch(/^[a-z][\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(detail).toBe('the detail');
  },
);

test.each<AuthErrorCode>(['ERR_REVOCATION_UNAVAILABLE', 'ERR_SIGNATURE_UNAVAILABLE'])(
  '%s is a 503 with Retry-After, and makes no challenge (RFC 9110 §15.6.4)',
  (code) => {
    const cause = new Error('inner');
    const error = new AuthError(code, { detail: 'the detail', cause });
    expect(error).toMatchObject({
      name: 'AuthError',
      code,
      status: 503,
      expose: true,
      headers: { 'Retry-After': '2' },
      challenge: undefined,
      detail: 'the detail',
      cause,
    });
    expect(error.message).not.toMatch(/detail|inner/);
  },
);

test('a refusal is an Error without a stack, and leaves the stacks of others alone', () => {
  const { stackTraceLimit } = Error;
  const error = new InvalidTokenError('expired');
  expect(error).toBeInstanceOf(Error);
  // Koa's own test of what is an error.
  expect(Object.prototype.toString.call(error)).toBe('[object Error]');
  expect(String(error)).toBe(`InvalidTokenError: ${REASONS.expired}`);
  expect(error.stack).not.toMatch(/^ +at /m);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  expect(new Error('other').stack).toMatch(/^ +at /m);
  // Tools that track asynchronous stacks do so.
  error.stack = 'their own';
  expect(new InvalidTokenError('expired').stack).not.toBe('their own');
});
