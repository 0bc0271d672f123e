import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import type { Scheme } from '../../src/request/challenge.ts';
import {
  type AccessTokenRules,
  checkAccessToken,
  checkBinding,
  checkIssuer,
  checkTimes,
  readScopes,
} from '../../src/token/jwt-access-token.ts';

const NOW = 1_800_000_000;
const rules: AccessTokenRules = {
  issuerBaseURL: 'https://tenant.example.com/',
  audience: ['https://api.example.com', 'urn:api'],
  algorithms: ['RS256', 'ES256'],
  profile: 'any',
  clockTolerance: 5,
};
const header = { alg: 'RS256', typ: 'at+jwt', kid: 'key-1' };
const claims = {
  iss: 'https://tenant.example.com/',
  sub: 'alice',
  aud: 'https://api.example.com',
  exp: NOW + 60,
  iat: NOW - 60,
  jti: 'j1',
  client_id: 'web',
  scope: 'read:contacts',
};

/** Judges the good token with a change; answers `accepted` or the reason. */
function judge(
  change: { header?: object; payload?: object; profile?: AccessTokenRules['profile'] },
  now = NOW,
): string {
  try {
    const changed = { ...rules, profile: change.profile ?? 'any' };
    const payload = checkAccessToken(
      { header: { ...header, ...change.header }, payload: { ...claims, ...change.payload } },
      changed,
      now,
    );
    readScopes(payload, changed);
    return 'accepted';
  } catch (error) {
    expect(error).toMatchObject({ status: 401, code: 'ERR_INVALID_TOKEN' });
    return (error as { reason: string }).reason;
  }
}

describe('header', () => {
  test.each<[string, object, string]>([
    ['as it should be', {}, 'accepted'],
    ['no kid', { kid: undefined }, 'accepted'],
    ['a kid that is a number', { kid: 5 }, 'malformed'],
    ['a kid that is null', { kid: null }, 'malformed'],
    ['a kid that is a list', { kid: ['key-1'] }, 'malformed'],
    ['alg outside the list (RFC 8725 §3.1)', { alg: 'RS512' }, 'algorithm'],
    ['alg none (RFC 8725 §3.2)', { alg: 'none' }, 'algorithm'],
    ['alg None', { alg: 'None' }, 'algorithm'],
    ['alg NONE', { alg: 'NONE' }, 'algorithm'],
    ['alg empty', { alg: '' }, 'algorithm'],
    ['alg in lower case', { alg: 'rs256' }, 'algorithm'],
    ['alg symmetric', { alg: 'HS256' }, 'algorithm'],
    ['alg in a list', { alg: ['RS256'] }, 'algorithm'],
    ['no alg', { alg: undefined }, 'algorithm'],
    ['alg of the prototype', { alg: 'constructor' }, 'algorithm'],
    ['crit with an unknown name (RFC 7515 §4.1.11)', { crit: ['x'], x: 1 }, 'critical'],
    ['crit with a registered name', { crit: ['alg'] }, 'critical'],
    ['crit empty', { crit: [] }, 'critical'],
    ['crit twice the same', { crit: ['x', 'x'] }, 'critical'],
    ['crit that is no list', { crit: 'exp' }, 'critical'],
    ['crit null', { crit: null }, 'critical'],
    ['b64 false (RFC 7797 §7)', { b64: false, crit: ['b64'] }, 'critical'],
    ['b64 false, not called critical', { b64: false }, 'critical'],
    ['b64 true', { b64: true }, 'critical'],
    [
      'addresses and keys of its own, never looked at (RFC 8725 §3.10)',
      { jku: 'a', x5u: 'b', jwk: {}, x5c: [] },
      'accepted',
    ],
  ])('%s: %3$s', (_, change, expected) => {
    proves('RFC 8725 §3.1 algorithm', 'RFC 8725 §3.2', 'RFC 8725 §3.10', 'ASVS 9.1.3');
    proves('FAPI 2.0 §5.4.2');
    expect(judge({ header: change })).toBe(expected);
  });
});

describe('typ and profile, RFC 9068 §4, RFC 8725 §3.11', () => {
  const yes = 'accepted';
  test.each<[string, unknown, string, string, string]>([
    ['at+jwt', 'at+jwt', yes, yes, 'type'],
    ['AT+JWT', 'AT+JWT', yes, yes, 'type'],
    ['application/at+jwt', 'application/at+jwt', yes, yes, 'type'],
    ['Application/AT+JWT', 'Application/AT+JWT', yes, yes, 'type'],
    ['JWT', 'JWT', yes, 'type', yes],
    ['jwt', 'jwt', yes, 'type', yes],
    ['absent', undefined, yes, 'type', yes],
    ['application/application/at+jwt', 'application/application/at+jwt', 'type', 'type', 'type'],
    ['at+jwt with a parameter', 'at+jwt; a=b', 'type', 'type', 'type'],
    ['x-at+jwt', 'x-at+jwt', 'type', 'type', 'type'],
    ['logout+jwt', 'logout+jwt', 'type', 'type', 'type'],
    ['dpop+jwt', 'dpop+jwt', 'type', 'type', 'type'],
    ['token-introspection+jwt', 'token-introspection+jwt', 'type', 'type', 'type'],
    ['secevent+jwt', 'secevent+jwt', 'type', 'type', 'type'],
    ['id_token', 'id_token', 'type', 'type', 'type'],
    ['JOSE', 'JOSE', 'type', 'type', 'type'],
    ['empty', '', 'type', 'type', 'type'],
    ['a number', 5, 'type', 'type', 'type'],
    ['null', null, 'type', 'type', 'type'],
    ['a list', ['at+jwt'], 'type', 'type', 'type'],
  ])('%s', (_, typ, any, rfc9068, auth0) => {
    proves('RFC 8725 §3.11', 'RFC 9068 §2.1', 'ASVS 9.2.2');
    const change = { header: { typ } };
    expect(judge(change)).toBe(any);
    expect(judge({ ...change, profile: 'rfc9068' })).toBe(rfc9068);
    expect(judge({ ...change, profile: 'auth0' })).toBe(auth0);
  });

  test.each(['nonce', 'at_hash', 'c_hash', 's_hash', 'events'])(
    'typ JWT with the claim "%s" is an ID token or a security event',
    (name) => {
      proves('RFC 8725 §3.12');
      for (const typ of ['JWT', undefined]) {
        expect(judge({ header: { typ }, payload: { [name]: 'x' } })).toBe('type');
        expect(judge({ header: { typ }, payload: { [name]: null }, profile: 'auth0' })).toBe(
          'type',
        );
      }
    },
  );

  test.each<[string, object, string]>([
    ['an ID token of Cognito', { token_use: 'id' }, 'type'],
    ['an access token of Cognito', { token_use: 'access' }, 'accepted'],
    ['an access token of Ory Hydra', { token_use: 'access_token' }, 'accepted'],
    ['an ID token of Keycloak', { typ: 'ID' }, 'type'],
    ['a refresh token of Keycloak', { typ: 'Refresh' }, 'type'],
    ['an offline token of Keycloak', { typ: 'Offline' }, 'type'],
    ['a kind that is no text', { typ: ['Bearer'] }, 'type'],
    ['an access token of Keycloak', { typ: 'Bearer' }, 'accepted'],
    ['a bound access token of Keycloak', { typ: 'DPoP' }, 'accepted'],
    ['a claim like the header', { typ: 'at+jwt' }, 'accepted'],
    ['a plain name', { typ: 'access' }, 'accepted'],
    ['an ID token of PingAM', { tokenName: 'id_token' }, 'type'],
    ['a refresh token of PingAM', { tokenName: 'refresh_token', token_type: 'Bearer' }, 'type'],
    ['an access token of PingAM', { tokenName: 'access_token', token_type: 'Bearer' }, 'accepted'],
    ['an ID token of Oracle', { tok_type: 'IT' }, 'type'],
    ['an access token of Oracle', { tok_type: 'AT' }, 'accepted'],
  ])('typ JWT with the claims of %s: %o', (_, payload, expected) => {
    proves('RFC 8725 §3.12');
    for (const typ of ['JWT', undefined]) {
      expect(judge({ header: { typ }, payload })).toBe(expected);
    }
    // RFC 9068 §2.1: this type names the kind by itself.
    expect(judge({ payload })).toBe('accepted');
  });

  test.each(['iat', 'jti', 'client_id'])('RFC 9068 §2.2 requires "%s", by that profile', (name) => {
    proves('RFC 9068 §2.2');
    expect(judge({ payload: { [name]: undefined }, profile: 'rfc9068' })).toBe('claim');
    expect(judge({ payload: { [name]: undefined } })).toBe('accepted');
    expect(
      judge({ header: { typ: 'JWT' }, payload: { [name]: undefined }, profile: 'auth0' }),
    ).toBe('accepted');
  });
});

describe('registered claims have their types, RFC 7519 §4.1', () => {
  const odd: [string, unknown][] = [
    ['null', null],
    ['true', true],
    ['an object', {}],
    ['a list with a number', [5]],
    ['a list of lists', [[]]],
  ];
  const cases = ['iss', 'sub', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'azp', 'scope'].flatMap(
    (name) => odd.map(([kind, value]) => [name, kind, value] as const),
  );
  test.each(cases)('"%s" that is %s', (name, _, value) => {
    proves('RFC 8725 §3.8 subject', 'RFC 8725 §3.9', 'RFC 6750 §5.3 lifetime', 'RFC 9068 §2.2');
    expect(judge({ payload: { [name]: value } })).toBe('claim');
  });

  test.each<[string, string, unknown]>([
    ['iss', 'a list with ours in it', [claims.iss]],
    ['iss', 'missing', undefined],
    ['sub', 'a number', 5],
    ['sub', 'empty', ''],
    ['sub', 'missing', undefined],
    ['aud', 'missing', undefined],
    ['aud', 'null', null],
    ['aud', 'an object', { 0: claims.aud }],
    ['aud', 'a number', 5],
    ['aud', 'a list with an object before ours', [{}, claims.aud]],
    ['aud', 'a list with null after ours', [claims.aud, null]],
    ['aud', 'a list in a list', [[claims.aud]]],
    ['jti', 'a number', 5],
    ['client_id', 'a number', 5],
    ...['exp', 'nbf', 'iat'].flatMap((name): [string, string, unknown][] => [
      [name, 'text', String(NOW + 60)],
      [name, '1e999', JSON.parse('1e999')],
      [name, '-1e999', JSON.parse('-1e999')],
      [name, 'below nothing', -1],
      [name, 'in milliseconds', (NOW + 60) * 1000],
      [name, 'no number', Number.NaN],
    ]),
    ['exp', 'missing', undefined],
  ])('"%s" that is %s', (name, _, value) => {
    expect(judge({ payload: { [name]: value } })).toBe('claim');
  });
});

test.each<[string, string]>([
  ['https://evil.example/', 'issuer'],
  ['https://tenant.example.com//', 'issuer'],
  ['https://TENANT.example.com/', 'issuer'],
  ['https://tenant.example.com/ ', 'issuer'],
  ['http://tenant.example.com/', 'issuer'],
  ['https://tenant.example.com.evil.example/', 'issuer'],
  ['', 'issuer'],
  ['/', 'issuer'],
  ['https://tenant.example.com', 'accepted'],
  ['https://tenant.example.com/', 'accepted'],
])('before the metadata is known, iss %p: %s, a slash at the end aside', (iss, expected) => {
  expect(judge({ payload: { iss } })).toBe(expected);
});

describe('checkIssuer', () => {
  const issuer = 'https://tenant.example.com/';

  test.each([
    'https://evil.example/',
    'https://tenant.example.com',
    'https://tenant.example.com//',
    'https://TENANT.example.com/',
    '',
  ])('iss %p is not the issuer of the metadata, byte for byte (RFC 9068 §4)', (iss) => {
    proves('RFC 8725 §3.8 issuer');
    expect(() => checkIssuer({ iss }, { issuer })).toThrow(
      expect.objectContaining({ status: 401, reason: 'issuer' }),
    );
  });

  test('the same bytes pass', () => {
    expect(() => checkIssuer({ iss: issuer }, { issuer })).not.toThrow();
  });

  test('a slash too few is hinted at, in the detail alone', () => {
    expect(() => checkIssuer({ iss: issuer.slice(0, -1) }, { issuer })).toThrow(
      expect.objectContaining({
        detail: expect.stringContaining('slash'),
        message: expect.not.stringContaining('slash'),
      }),
    );
  });
});

test.each<[unknown, string]>([
  ['https://api.example.com', 'accepted'],
  ['urn:api', 'accepted'],
  [['urn:other', 'urn:api'], 'accepted'],
  [['https://api.example.com', 'https://tenant.example.com/userinfo'], 'accepted'],
  ['https://API.example.com', 'audience'],
  ['https://api.example.com/', 'audience'],
  ['https://api.example.com.evil.example', 'audience'],
  ['https://api.example.com urn:api', 'audience'],
  ['web', 'audience'],
  ['', 'audience'],
  [[], 'audience'],
  [['urn:other'], 'audience'],
  ['__proto__', 'audience'],
])('aud %p: %s (RFC 8725 §3.9)', (aud, expected) => {
  proves('RFC 8725 §3.9', 'RFC 9700 §4.10.2', 'ASVS 9.2.3');
  expect(judge({ payload: { aud } })).toBe(expected);
});

describe('times, with five seconds of tolerance, RFC 7519 §4.1.4', () => {
  test.each<[string, object, number, string]>([
    ['one second before exp', {}, NOW + 59, 'accepted'],
    ['at exp', {}, NOW + 60, 'accepted'],
    ['four seconds past exp', {}, NOW + 64, 'accepted'],
    ['just before the tolerance ends', {}, NOW + 64.999, 'accepted'],
    ['as the tolerance ends', {}, NOW + 65, 'expired'],
    ['six seconds past exp', {}, NOW + 66, 'expired'],
    ['exp 0', { exp: 0 }, NOW, 'expired'],
    ['a clock that gives no number', {}, Number.NaN, 'expired'],
    ['exp with a fraction', { exp: NOW + 0.5 }, NOW, 'accepted'],
    ['nbf five seconds ahead', { nbf: NOW + 5 }, NOW, 'accepted'],
    ['nbf six seconds ahead', { nbf: NOW + 6 }, NOW, 'not_yet_valid'],
    ['iat five seconds ahead', { iat: NOW + 5 }, NOW, 'accepted'],
    ['iat six seconds ahead', { iat: NOW + 6 }, NOW, 'not_yet_valid'],
    ['iat 9999 s ahead', { iat: NOW + 9999, exp: NOW + 99_999 }, NOW, 'not_yet_valid'],
  ])('%s', (_, payload, now, expected) => {
    proves('RFC 6750 §5.1 replay', 'RFC 9068 §4 validation', 'ASVS 9.2.1');
    expect(judge({ payload }, now)).toBe(expected);
  });

  test('without tolerance the second of exp is too late, and that of nbf is in time', () => {
    expect(() => checkTimes({ exp: NOW }, 0, NOW)).toThrow();
    expect(() => checkTimes({ exp: NOW + 1, nbf: NOW, iat: NOW }, 0, NOW)).not.toThrow();
    expect(() => checkTimes({ exp: NOW + 9, nbf: NOW + 1 }, 0, NOW)).toThrow();
  });
});

test.each<[string, unknown]>([
  ['jkt (RFC 9449 §7.2)', { jkt: 'x' }],
  ['x5t#S256 (RFC 8705 §3)', { 'x5t#S256': 'x' }],
  ['an unknown method', { other: 'x' }],
  ['nothing', {}],
  ['null', null],
])('a token bound by cnf to %s is no bearer token', (_, cnf) => {
  proves('RFC 9700 §2.2.1', 'RFC 9700 §4.10.1');
  for (const dpop of [undefined, 'allowed', 'required'] as const) {
    expect(binding(cnf, 'Bearer', dpop)).toBe('sender_constrained');
  }
});

const jkt = 'x'.repeat(43);

test.each<[string, unknown, string]>([
  ['a thumbprint', { jkt }, jkt],
  ['a thumbprint and members that are not known', { jkt, other: 'x' }, jkt],
  ['nothing', undefined, 'unbound'],
  ['null', null, 'unbound'],
  ['a thumbprint alone', jkt, 'unbound'],
  ['a list', [{ jkt }], 'unbound'],
  ['a thumbprint of another length', { jkt: `${jkt}x` }, 'unbound'],
  ['a thumbprint that is a number', { jkt: 5 }, 'unbound'],
  ['a certificate (RFC 8705 §3)', { 'x5t#S256': jkt }, 'unbound'],
  ['a thumbprint and a certificate', { jkt, 'x5t#S256': jkt }, 'unbound'],
  ['a thumbprint and a key', { jkt, jwk: {} }, 'unbound'],
])(
  'under the scheme DPoP, a token that is bound to %s: %3$s (RFC 9449 §7.1)',
  (_, cnf, expected) => {
    expect(binding(cnf, 'DPoP', 'allowed')).toBe(expected);
  },
);

test('a token that is not bound is a bearer token, except where DPoP is required', () => {
  expect(binding(undefined, 'Bearer', undefined)).toBeUndefined();
  expect(binding(undefined, 'Bearer', 'allowed')).toBeUndefined();
  expect(binding(undefined, 'Bearer', 'required')).toBe('unbound');
});

/** Returns the thumbprint that a proof must fit, or the reason of a refusal. */
function binding(cnf: unknown, scheme: Scheme, dpop: AccessTokenRules['dpop']) {
  try {
    return checkBinding({ cnf }, scheme, { dpop });
  } catch (error) {
    expect(error).toMatchObject({ status: 401, code: 'ERR_INVALID_TOKEN' });
    return (error as { reason: string }).reason;
  }
}

test('the claims come out as they are', () => {
  expect(checkAccessToken({ header, payload: claims }, rules, NOW)).toBe(claims);
});

describe('scopes', () => {
  const payload = (change: object) => ({ ...claims, scope: undefined, ...change }) as never;
  const inClaim = (scopeClaim: string) => ({ ...rules, scopeClaim });
  const strict: AccessTokenRules = { ...rules, profile: 'rfc9068' };
  const url = 'https://api.example.com/scopes';

  test.each<[string, object, readonly string[], AccessTokenRules?]>([
    ['words', { scope: 'a b' }, ['a', 'b']],
    ['spaces', { scope: '  a   b ' }, ['a', 'b']],
    ['nothing', {}, []],
    ['an empty text', { scope: '' }, []],
    ['a list', { scope: ['a', 'b'] }, ['a', 'b']],
    ['scp, words', { scp: 'a b' }, ['a', 'b']],
    ['scp, a list', { scp: ['a', 'b'] }, ['a', 'b']],
    ['scope and scp', { scope: 'a', scp: 'b' }, ['a']],
    ['an empty scope and scp', { scope: '', scp: 'b' }, []],
    ['scp of Auth0', { scp: ['a'] }, ['a'], { ...rules, profile: 'auth0' }],
    ['scp, strictly', { scp: ['a'] }, [], strict],
    ['another claim', { [url]: ['a'], scope: 'b', scp: 'c' }, ['a'], inClaim(url)],
    ['another claim that is missing', { scope: 'b', scp: 'c' }, [], inClaim(url)],
    ['another claim, strictly', { roles: ['a'] }, ['a'], { ...strict, scopeClaim: 'roles' }],
    ['a name that objects have', {}, [], inClaim('constructor')],
  ])('are read from %s', (_, change, scopes, given = rules) => {
    expect(readScopes(payload(change), given)).toEqual(scopes);
  });

  test.each<[string, object, AccessTokenRules]>([
    ['a list, strictly (RFC 9068 §2.2.3)', { scope: ['a'] }, strict],
    ['scp, a number', { scp: 5 }, rules],
    ['scp, null', { scp: null }, rules],
    ['scp, a list of lists', { scp: [['a']] }, rules],
    ['another claim, an object', { roles: { a: true } }, inClaim('roles')],
  ])('are not read from %s', (_, change, given) => {
    expect(() => readScopes(payload(change), given)).toThrow(
      expect.objectContaining({ reason: 'claim' }),
    );
  });
});

describe('a token without `sub`', () => {
  const lenient = { ...rules, subRequired: false };
  const check = (change: object, given: AccessTokenRules) => {
    const payload = { ...claims, sub: undefined, ...change };
    return checkAccessToken({ header, payload }, given, NOW);
  };

  test('is accepted by an option, if it names its client', () => {
    expect(check({}, lenient).client_id).toBe('web');
    expect(check({ client_id: undefined, azp: 'web' }, lenient).azp).toBe('web');
  });

  test.each<[string, object, AccessTokenRules]>([
    ['without the option', {}, rules],
    ['without a client', { client_id: undefined }, lenient],
    ['of a client without a name', { client_id: '', azp: '' }, lenient],
    ['with an empty one', { sub: '' }, lenient],
    ['with null', { sub: null }, lenient],
  ])('is rejected %s', (_, change, given) => {
    expect(() => check(change, given)).toThrow(expect.objectContaining({ reason: 'claim' }));
  });
});
