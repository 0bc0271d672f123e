import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  AuthError,
  ClaimMismatchError,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  type InvalidTokenReason,
  REASONS,
  RevocationUnavailable,
  UnauthorizedError,
} from '../src/errors.ts';

describe('codes, status and challenge, RFC 6750 §3.1', () => {
  test.each<[AuthError, string, string, number, string | undefined]>([
    [new UnauthorizedError(), 'UnauthorizedError', 'ERR_MISSING_TOKEN', 401, undefined],
    [
      new InvalidRequestError('x'),
      'InvalidRequestError',
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
    [new ClaimMismatchError(), 'ClaimMismatchError', 'ERR_CLAIM_MISMATCH', 403, undefined],
  ])('%s', (error, name, code, status, challenge) => {
    expect(error).toBeInstanceOf(AuthError);
    expect(error).toMatchObject({ name, code, status, expose: true });
    expect(error.challenge.error).toBe(challenge);
  });
});

test('insufficient_scope names every scope that is needed', () => {
  const { challenge, scopes } = new InsufficientScopeError(['read:a', 'read:b']);
  expect(challenge.scope).toBe('read:a read:b');
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

test('RevocationUnavailable is a 503 with Retry-After, and no AuthError: it makes no challenge (RFC 9110 §15.6.4)', () => {
  const cause = new Error('inner');
  const error = new RevocationUnavailable('the detail', cause);
  expect(error).not.toBeInstanceOf(AuthError);
  expect(error).toMatchObject({
    name: 'RevocationUnavailable',
    code: 'ERR_REVOCATION_UNAVAILABLE',
    status: 503,
    expose: true,
    headers: { 'Retry-After': '2' },
    detail: 'the detail',
    cause,
  });
  expect(error.message).not.toMatch(/detail|inner/);
});

test.each(Object.entries(REASONS))(
  'the documentation has reason %s with its text',
  (reason, text) => {
    const page = readFileSync(new URL('../../../docs/resource-server.md', import.meta.url), 'utf8');
    expect(page).toContain(`| \`${reason}\` | ${text} |`);
  },
);

test('a refusal has no stack, costs none to others, and can be made where Error is frozen', () => {
  const { stackTraceLimit } = Error;
  expect(new InvalidTokenError('expired').stack).not.toMatch(/^ +at /m);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  expect(new Error('other').stack).toMatch(/^ +at /m);
  Object.defineProperty(Error, 'stackTraceLimit', { writable: false });
  try {
    expect(new InvalidTokenError('expired')).toMatchObject({ status: 401, reason: 'expired' });
  } finally {
    Object.defineProperty(Error, 'stackTraceLimit', { writable: true });
  }
});
