import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationRefused } from '../../src/errors.ts';
import {
  authorizationParamsFaults,
  authorizationURL,
  codeChallenge,
  createAuthorizationRequest,
  essentialAcr,
  judgeAuthorizationResponse,
  randomToken,
  readAuthorizationResponse,
} from '../../src/oauth/authorization-endpoint.ts';
import {
  foreignScope,
  isSameScope,
  missingScopes,
  scopeParameter,
  scopesOf,
  unionOfScopes,
} from '../../src/oauth/scope.ts';

describe('the authorization endpoint', () => {
  const metadata = {
    issuer: 'https://issuer.example/',
    jwks_uri: 'https://issuer.example/jwks',
    authorization_endpoint: 'https://issuer.example/authorize?tenant=1',
  };
  const create = (params: Record<string, string | number | boolean | undefined> = {}) => {
    const { parameters, transaction } = createAuthorizationRequest(
      metadata,
      'client-1',
      { scope: 'openid', ...params },
      {
        redirectURI: 'https://app.example/callback',
        returnTo: '/x',
        params: {},
        isRetry: false,
        startedAt: 1_700_000_000,
        isElsewhere: false,
        isBound: false,
      },
    );
    return { url: authorizationURL(metadata, parameters), transaction };
  };

  describe('authorization request', () => {
    test('the endpoint keeps its own query (RFC 6749 §3.1)', () => {
      expect(new URL(create().url).searchParams.get('tenant')).toBe('1');
    });

    test('the PKCE challenge is that of RFC 7636 appendix B', () => {
      expect(codeChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
        'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      );
      const { url, transaction } = create();
      expect(new URL(url).searchParams.get('code_challenge')).toBe(
        codeChallenge(transaction.codeVerifier),
      );
      expect(url).not.toContain(transaction.codeVerifier);
    });

    test('no two requests have the same random value', () => {
      proves('ASVS 10.1.2');
      const values = Array.from({ length: 50 }, () => create().transaction).flatMap(
        ({ state, nonce, codeVerifier }) => [state.slice(0, 43), nonce, codeVerifier],
      );
      expect(new Set(values).size).toBe(150);
      for (const value of values) expect(Buffer.from(value, 'base64url')).toHaveLength(32);
    });

    test('values that are falsy but mean something are sent, undefined is not', () => {
      const { url, transaction } = create({ max_age: 0, x: '', y: false, z: undefined });
      const params = new URL(url).searchParams;
      expect([params.get('max_age'), params.get('x'), params.get('y')]).toEqual(['0', '', 'false']);
      expect(params.has('z')).toBe(false);
      expect(transaction.maxAge).toBe(0);
    });

    test.each(['audience', 'resource'])(
      '%s is sent, and remembered as what was asked for',
      (name) => {
        const { url, transaction } = create({ [name]: 'https://api.example' });
        expect(new URL(url).searchParams.get(name)).toBe('https://api.example');
        expect(transaction.audience).toBe('https://api.example');
      },
    );

    test.each([
      'response_type',
      'response_mode',
      'client_id',
      'redirect_uri',
      'request',
      'request_uri',
      'state',
      'nonce',
      'code_challenge',
      'code_challenge_method',
    ])('a caller cannot set %s', (name) => {
      expect(() => create({ [name]: 'mine' })).toThrow('cannot be part of a sign-in');
    });

    test.each([
      ['scope without openid', { scope: 'profile' }],
      ['no scope', { scope: undefined }],
      ['scope with an empty word', { scope: 'openid  read' }],
      ['scope with a quotation mark', { scope: 'openid "x"' }],
      ['a negative max_age', { scope: 'openid', max_age: -1 }],
      ['a max_age that is not a number', { scope: 'openid', max_age: Number.NaN }],
      ['a max_age in text', { scope: 'openid', max_age: '1' as never }],
      ['claims that are no JSON', { scope: 'openid', claims: '{' }],
      ['claims that are a list', { scope: 'openid', claims: '[]' }],
      ['an empty audience', { scope: 'openid', audience: '' }],
      ['a resource that is no URI (RFC 8707 §2)', { scope: 'openid', resource: 'orders' }],
      ['a resource with a fragment', { scope: 'openid', resource: 'https://api.example/#x' }],
    ])('%s is a fault', (_name, params) => {
      expect(authorizationParamsFaults(params)).toHaveLength(1);
    });
  });

  test('a random token is 256 bits in base64url, another each time', () => {
    proves('ASVS 7.2.3', 'FAPI 2.0 §5.4.1-4');
    expect(randomToken()).toMatch(/^[\w-]{43}$/);
    expect(randomToken()).not.toBe(randomToken());
  });

  const asking = (acr: unknown) => JSON.stringify({ id_token: { acr } });

  describe('acr as an essential claim (OpenID Connect Core §5.5.1.1)', () => {
    test.each<[string, string | undefined, readonly string[] | undefined]>([
      ['nothing asked', undefined, undefined],
      ['other claims', '{"userinfo":{"email":null},"id_token":null}', undefined],
      ['acr by its name', asking(null), undefined],
      ['a wish', asking({ values: ['a'] }), undefined],
      ['essential, whatever it is', asking({ essential: true }), undefined],
      ['one value', asking({ essential: true, value: 'a' }), ['a']],
      ['several', asking({ essential: true, values: ['a', 'b'] }), ['a', 'b']],
      ['none of them', asking({ essential: true, values: [] }), []],
    ])('%s', (_name, claims, values) => {
      expect(essentialAcr(claims)).toEqual(values);
    });

    test.each([
      ['no JSON', '{'],
      ['a list', '[]'],
      ['null', 'null'],
      ['no object of claims', '{"id_token":1}'],
      ['acr as text', asking('a')],
      ['values as text', asking({ essential: true, values: 'a' })],
      ['a value that is a number', asking({ essential: true, values: [1] })],
      ['an object instead of JSON', {}],
    ])('%s is refused', (_name, claims) => {
      expect(() => essentialAcr(claims)).toThrow('claims must be JSON');
    });
  });

  const ISSUER = 'https://issuer.example/';

  const judge = (params: Record<string, string>, needsIss = false) =>
    judgeAuthorizationResponse(new URLSearchParams(params), { issuer: ISSUER, needsIss });

  function errorOf(work: () => unknown): AuthorizationRefused {
    try {
      work();
    } catch (error) {
      return error as AuthorizationRefused;
    }
    throw new Error('it was accepted');
  }

  describe('authorization response (RFC 6749 §4.1.2, RFC 9207 §2.4)', () => {
    test.each<[string, Record<string, string>, boolean]>([
      ['a code', { code: 'c' }, false],
      ['a code and the issuer', { code: 'c', iss: ISSUER }, false],
      ['a code and the promised issuer', { code: 'c', iss: ISSUER }, true],
      ['a code and an unknown parameter', { code: 'c', session_state: 'x' }, false],
    ])('%s: accepted', (_name, params, needsIss) => {
      expect(judge(params, needsIss)).toBe('c');
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
    ])('%s: refused', (_name, params, needsIss, code) => {
      proves('RFC 9207 §2.4 other issuer', 'RFC 9207 §2.4 missing iss', 'ASVS 10.2.2');
      expect(errorOf(() => judge(params, needsIss)).code).toBe(code);
    });

    test('what the issuer says of an error is bounded and has no control characters', () => {
      const error_description = `a\r\nb\u202e${'c'.repeat(500)}`;
      const error = errorOf(() => judge({ error: `x${'y'.repeat(500)}`, error_description }));
      expect(error.error.length).toBeLessThanOrEqual(60);
      expect(error.errorDescription).toMatch(/^a b c{1,300}…$/);
      expect(error.errorDescription?.length).toBeLessThanOrEqual(300);
      expect(error.message).toBe(
        'the authorization server refused the sign-in (ERR_AUTHORIZATION_REFUSED)',
      );
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
});

describe('scope', () => {
  test('a scope is a set (RFC 6749 §3.3)', () => {
    expect(scopesOf(' read  write read ')).toEqual(new Set(['read', 'write']));
    expect(scopesOf('')).toEqual(new Set());
    expect(isSameScope('read write', 'write read read')).toBe(true);
    expect(isSameScope('read', 'read write')).toBe(false);
    expect(isSameScope('read write', 'read')).toBe(false);
  });

  test('missing scopes are listed in the given order; a part of a name is no match', () => {
    expect(missingScopes('b a', '')).toEqual(['b', 'a']);
    expect(missingScopes('read:all read', 'read read:')).toEqual(['read:all']);
    expect(missingScopes('', 'read')).toEqual([]);
  });

  test.each([
    ['read write', 'read write'],
    [['read', 'write', 'read'], 'read write'],
    [['read write', 'delete'], 'read write delete'],
    [[], ''],
    ['  ', ''],
  ])('%j is the parameter %j', (scope, parameter) => {
    expect(scopeParameter(scope)).toBe(parameter);
  });

  test.each(['a"b', 'a\\b', 'a\tb', 'a\r\nb', 'é', ['a', 'b\u0000'], [5], [null], 5, null, {}])(
    '%j is none',
    (scope) => {
      expect(() => scopeParameter(scope as string)).toThrow(TypeError);
    },
  );

  test('a union has each scope once, in the order of its first appearance', () => {
    expect(unionOfScopes('b a', undefined, 'c a', '')).toBe('b a c');
    expect(unionOfScopes()).toBe('');
  });

  test('of what somebody else wrote, what can be a scope is left', () => {
    expect(foreignScope('read "x" wr\\ite  a:b \u0000 é …')).toBe('read a:b');
  });
});
