import { describe, expect, test } from '@jest/globals';
import type { OidcError } from '../src/errors.ts';
import { judgeTokenResponse, TokenRequestRefused } from '../src/token-response.ts';

const NOW = 1_700_000_000;
const good = { access_token: 'a', token_type: 'Bearer', expires_in: 60, scope: 'openid read' };
const judge = (body: unknown, status = 200) => judgeTokenResponse({ status, body }, 'openid', NOW);

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
  ])('%s: refused', (_name, change) => {
    expect(errorOf(() => judge({ ...good, ...change })).code).toBe('ERR_TOKEN_RESPONSE');
  });

  test.each([undefined, null, [], 'text', 1])('a body %j: refused', (body) => {
    expect(errorOf(() => judge(body)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});

describe('error response (RFC 6749 §5.2)', () => {
  test('names the error, bounded, for the log only', () => {
    const body = { error: 'invalid_grant', error_description: `x\n${'y'.repeat(999)}` };
    const error = errorOf(() => judge(body, 400)) as TokenRequestRefused;
    expect(error).toBeInstanceOf(TokenRequestRefused);
    expect(error).toMatchObject({ error: 'invalid_grant', status: 502 });
    expect(error.detail?.length).toBeLessThan(350);
    expect(error.message).not.toContain('y');
  });

  test.each([429, 500, 502, 503])('%i is transient, whatever the body says', (status) => {
    const error = errorOf(() => judge({ error: 'invalid_grant' }, status));
    expect(error).toMatchObject({ code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', status: 503 });
  });

  test.each([
    [302, good],
    [404, '<html>'],
    [400, {}],
  ])('%i without an error is unusable', (status, body) => {
    expect(errorOf(() => judge(body, status)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});
