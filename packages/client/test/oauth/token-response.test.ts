import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { OidcError } from '../../src/errors.ts';
import {
  judgeTokenResponse,
  retryAfter,
  TokenRequestRefused,
} from '../../src/oauth/token-response.ts';

const NOW = 1_700_000_000;
const good = { access_token: 'a', token_type: 'Bearer', expires_in: 60, scope: 'openid read' };
const judge = (body: unknown, status = 200, headers = {}) =>
  judgeTokenResponse({ status, headers, body }, 'openid', NOW);

function errorOf(work: () => unknown): OidcError {
  try {
    work();
  } catch (error) {
    return error as OidcError;
  }
  throw new Error('it was accepted');
}

describe('token response (RFC 6749 §5.1)', () => {
  test('is read', () => {
    expect(judge({ ...good, refresh_token: 'r', id_token: 'i.d.t', extra: 1 })).toEqual({
      accessToken: 'a',
      expiresAt: NOW + 60,
      scope: 'openid read',
      refreshToken: 'r',
      idToken: 'i.d.t',
    });
  });

  test.each([
    ['token_type in lower case', { token_type: 'bearer' }, {}],
    ['token_type in upper case', { token_type: 'BEARER' }, {}],
    ['expires_in as text', { expires_in: '60' }, { expiresAt: NOW + 60 }],
    ['expires_in missing: unknown', { expires_in: undefined }, { expiresAt: undefined }],
    ['scope missing: as requested', { scope: undefined }, { scope: 'openid' }],
    ['scope empty: nothing granted', { scope: '' }, { scope: '' }],
  ])('%s: accepted', (_name, change, result) => {
    expect(judge({ ...good, ...change })).toMatchObject(result);
  });

  test.each([
    ['token_type missing', { token_type: undefined }],
    ['token_type of another kind', { token_type: 'DPoP' }],
    ['access_token missing', { access_token: undefined }],
    ['access_token empty', { access_token: '' }],
    ['access_token a number', { access_token: 1 }],
    ['access_token that ends a header', { access_token: 'a\r\nX: y' }],
    ['refresh_token null', { refresh_token: null }],
    ['id_token an object', { id_token: {} }],
    ['expires_in zero', { expires_in: 0 }],
    ['expires_in negative', { expires_in: -1 }],
    ['expires_in no number', { expires_in: 'soon' }],
    ['expires_in infinite', { expires_in: Number.POSITIVE_INFINITY }],
    ['expires_in null', { expires_in: null }],
    ['scope a list', { scope: ['read'] }],
    ['scope with a line end', { scope: 'read\r\nX: y' }],
    ['scope with a quote (RFC 6749 §3.3)', { scope: 'read"' }],
    ['scope with a backslash', { scope: 'read\\' }],
    ['scope beyond ASCII', { scope: 'réad' }],
  ])('%s: refused', (_name, change) => {
    expect(errorOf(() => judge({ ...good, ...change })).code).toBe('ERR_TOKEN_RESPONSE');
  });

  test.each([undefined, null, [], 'text', 1])('a body %j: refused', (body) => {
    expect(errorOf(() => judge(body)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});

describe('error response (RFC 6749 §5.2)', () => {
  test('the error code is told to the log; the description, which may echo a secret, to nobody', () => {
    const body = { error: 'invalid_client', error_description: 'no client with the secret s3cr3t' };
    const error = errorOf(() => judge(body, 401)) as TokenRequestRefused;
    expect(error).toBeInstanceOf(TokenRequestRefused);
    expect(error).toMatchObject({ error: 'invalid_client', status: 502, detail: 'invalid_client' });
    expect(inspect(error)).not.toContain('s3cr3t');
  });

  test.each([429, 500, 502, 503])('%i is transient, whatever the body says', (status) => {
    const error = errorOf(() => judge({ error: 'invalid_grant' }, status));
    expect(error).toMatchObject({ code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', status: 503 });
  });

  test.each([
    [429, { 'retry-after': '9' }, 9],
    [503, { 'retry-after': '9' }, 9],
    [429, { 'x-ratelimit-reset': String(NOW + 9) }, 9],
    // Auth0 sends it with every answer.
    [500, { 'x-ratelimit-reset': String(NOW + 9) }, undefined],
    [429, {}, undefined],
  ])('%i with %j asks to be left alone for %p seconds', (status, headers, retryAfter) => {
    const error = errorOf(() => judge({}, status, headers));
    expect(error).toMatchObject({ retryAfter, headers: { 'Retry-After': `${retryAfter ?? 2}` } });
  });

  test.each([
    [302, good],
    [404, '<html>'],
    [400, {}],
    [400, { error: 'x'.repeat(41) }],
    [400, { error: 'code-abc-123 is unknown' }],
    [400, { error: '' }],
  ])('%i without an error is unusable', (status, body) => {
    expect(errorOf(() => judge(body, status)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});

describe('how long a server wants to be left alone (RFC 9110 §10.2.3)', () => {
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
});
