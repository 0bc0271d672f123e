import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationRefused } from '../../src/errors.ts';
import {
  judgeAuthorizationResponse,
  readAuthorizationResponse,
} from '../../src/oauth/authorization-response.ts';

const ISSUER = 'https://issuer.example/';

const judge = (params: Record<string, string>, issPromised = false) =>
  judgeAuthorizationResponse(new URLSearchParams(params), { issuer: ISSUER, issPromised });

function errorOf(work: () => unknown): AuthorizationRefused {
  try {
    work();
  } catch (error) {
    return error as AuthorizationRefused;
  }
  throw new Error('it was accepted');
}

describe('C3, C4, N1, N2, V10.2.2: authorization response (RFC 6749 §4.1.2, RFC 9207 §2.4)', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['a code', { code: 'c' }, false],
    ['a code and the issuer', { code: 'c', iss: ISSUER }, false],
    ['a code and the promised issuer', { code: 'c', iss: ISSUER }, true],
    ['a code and what nobody knows', { code: 'c', session_state: 'x' }, false],
  ])('%s: accepted', (_name, params, issPromised) => {
    expect(judge(params, issPromised)).toBe('c');
  });

  test.each<[string, Record<string, string>, boolean, string]>([
    ['no code', {}, false, 'ERR_AUTHORIZATION_RESPONSE'],
    ['an empty code', { code: '' }, false, 'ERR_AUTHORIZATION_RESPONSE'],
    ['another issuer', { code: 'c', iss: 'https://evil.example/' }, false, 'ERR_ISSUER_MISMATCH'],
    [
      'the issuer in capitals',
      { code: 'c', iss: ISSUER.toUpperCase() },
      false,
      'ERR_ISSUER_MISMATCH',
    ],
    ['an empty issuer', { code: 'c', iss: '' }, false, 'ERR_ISSUER_MISMATCH'],
    ['no issuer, though promised', { code: 'c' }, true, 'ERR_ISSUER_MISMATCH'],
    [
      'an error of another',
      { error: 'e', iss: 'https://evil.example/' },
      false,
      'ERR_ISSUER_MISMATCH',
    ],
    ['an error', { error: 'access_denied' }, false, 'ERR_AUTHORIZATION_REFUSED'],
    [
      'an error and a code',
      { error: 'access_denied', code: 'c' },
      false,
      'ERR_AUTHORIZATION_REFUSED',
    ],
    [
      'a passing error',
      { error: 'temporarily_unavailable' },
      false,
      'ERR_AUTHORIZATION_UNAVAILABLE',
    ],
  ])('%s: refused', (_name, params, issPromised, code) => {
    proves('RFC 9207 §2.4 other issuer', 'RFC 9207 §2.4 missing iss', 'ASVS 10.2.2');
    expect(errorOf(() => judge(params, issPromised)).code).toBe(code);
  });

  test('C5: what the issuer says of an error is bounded and has no control characters', () => {
    const error_description = `a\r\nb\u202e${'c'.repeat(500)}`;
    const error = errorOf(() => judge({ error: `x${'y'.repeat(500)}`, error_description }));
    expect(error.error.length).toBeLessThanOrEqual(60);
    expect(error.errorDescription).toMatch(/^a b c{1,300}…$/);
    expect(error.errorDescription?.length).toBeLessThanOrEqual(300);
    expect(error.message).toBe('the authorization server refused the sign-in');
  });

  test.each(['code=a&code=b', 'state=a&code=c&state=a', 'x=1&x=1', 'error=a&error='])(
    '%s: a parameter that comes twice is refused (§3.1)',
    (querystring) => {
      expect(errorOf(() => readAuthorizationResponse(querystring)).code).toBe(
        'ERR_AUTHORIZATION_RESPONSE',
      );
    },
  );
});
