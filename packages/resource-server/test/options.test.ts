import { describe, expect, test } from '@jest/globals';
import { createIssuer, InvalidOptions, SIGNING_ALGORITHMS } from '@koa-oauth/issuer';
import { z } from 'zod';
import { proves } from '../../../test/support/proves.ts';
import { auth } from '../src/auth.ts';
import { type AuthOptions, type CheckedOptions, checkOptions } from '../src/options.ts';
import { verifySignature } from '../src/token/signature.ts';
import type { TrustedIssuer } from '../src/token/trusted-issuer.ts';

const good = { issuerBaseURL: 'https://tenant.example.com/', audience: 'https://api.example.com' };

function onlyIssuer<Claims>({ issuers }: CheckedOptions<Claims>) {
  const [issuer, ...others] = issuers as readonly TrustedIssuer<Claims>[];
  expect(others).toEqual([]);
  return issuer as TrustedIssuer<Claims>;
}

test('defaults: every asymmetric algorithm, both profiles, a minute of tolerance, a token required', () => {
  proves('ASVS 9.1.2');
  const checked = checkOptions(good);
  const { issuer, rules, claims } = onlyIssuer(checked);
  expect(rules).toEqual({
    issuerBaseURL: good.issuerBaseURL,
    audience: ['https://api.example.com'],
    algorithms: SIGNING_ALGORITHMS,
    profile: 'any',
    clockTolerance: 60,
    subRequired: true,
  });
  expect(checked).toMatchObject({
    authRequired: true,
    isRevoked: undefined,
    verifySignature,
    verifiedTokens: undefined,
    onEvent: undefined,
    realm: 'https://api.example.com',
    resourceMetadata: undefined,
  });
  expect(claims).toBeUndefined();
  expect(issuer.issuerBaseURL).toBe(good.issuerBaseURL);
  expect(SIGNING_ALGORITHMS.filter((alg) => /^hs|none/i.test(alg))).toEqual([]);
});

test('the address of the metadata is in ASCII, because a header has it', () => {
  const resourceMetadata = 'https://пример.example/.well-known/oauth-protected-resource';
  expect(checkOptions({ ...good, resourceMetadata }).resourceMetadata).toBe(
    'https://xn--e1afmkfd.example/.well-known/oauth-protected-resource',
  );
});

test('what was checked stays so', () => {
  const audience = ['a'];
  const algorithms = ['RS256' as const];
  const checked = checkOptions({ ...good, audience, algorithms });
  audience.push('b');
  algorithms.pop();
  const { rules } = onlyIssuer(checked);
  expect(rules.audience).toEqual(['a']);
  expect(rules.algorithms).toEqual(['RS256']);
  for (const part of [checked, rules, rules.audience]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

describe('options that cannot work stop the start', () => {
  const schema = z.object({});
  test.each<[string, object, string]>([
    ['no audience', { audience: undefined }, 'audience'],
    ['an empty audience, as of an unset variable', { audience: '' }, 'audience'],
    ['an empty list of audiences', { audience: [] }, 'audience'],
    ['an empty audience among others', { audience: ['a', ''] }, 'audience'],
    ['an audience that is a pattern', { audience: /./ }, 'audience'],
    ['no issuer', { issuerBaseURL: undefined }, 'issuerBaseURL'],
    ['an issuer over http', { issuerBaseURL: 'http://tenant.example.com' }, 'issuerBaseURL'],
    ['an issuer with a query', { issuerBaseURL: 'https://a.example/?b' }, 'issuerBaseURL'],
    [
      'an issuer that is a string, as other libraries have it',
      { issuerBaseURL: undefined, issuer: 'https://tenant.example.com/' },
      'issuer must be made with createIssuer',
    ],
    ['an issuer that is null', { issuerBaseURL: undefined, issuer: null }, 'issuer must be made'],
    ['two issuers', { issuer: createIssuer({ issuerBaseURL: good.issuerBaseURL }) }, 'not both'],
    ['no algorithm', { algorithms: [] }, 'algorithms'],
    ['a symmetric algorithm (RFC 8725 §3.5)', { algorithms: ['RS256', 'HS256'] }, 'algorithms'],
    ['algorithm none (RFC 8725 §3.2)', { algorithms: ['none'] }, 'algorithms'],
    ['an algorithm in other case', { algorithms: ['rs256'] }, 'algorithms'],
    ['an algorithm alone', { algorithms: 'RS256' }, 'algorithms'],
    ['an unknown profile', { profile: 'strict' }, 'profile'],
    ['a profile in a list', { profile: ['any'] }, 'profile'],
    ['a tolerance below nothing', { clockTolerance: -1 }, 'clockTolerance'],
    ['a tolerance of an hour', { clockTolerance: 3600 }, 'clockTolerance'],
    ['a tolerance that is no number', { clockTolerance: Number.NaN }, 'clockTolerance'],
    ['a tolerance that is text', { clockTolerance: '5' }, 'clockTolerance'],
    ['authRequired that is null', { authRequired: null }, 'authRequired'],
    ['authRequired that is text', { authRequired: 'false' }, 'authRequired'],
    ['authRequired that is 0', { authRequired: 0 }, 'authRequired'],
    ['an empty realm', { realm: '' }, 'realm'],
    ['a realm that is a number', { realm: 5 }, 'realm'],
    ['metadata that is a path', { resourceMetadata: '/metadata' }, 'resourceMetadata'],
    [
      'metadata that is a URL object',
      { resourceMetadata: new URL('https://a.example') },
      'resource',
    ],
    ['claims without a namespace', { claims: { schema } }, 'claims.namespace'],
    ['claims of an empty namespace', { claims: { namespace: '', schema } }, 'claims.namespace'],
    ['claims without a schema', { claims: { namespace: 'https://a.example/' } }, 'claims.schema'],
    [
      'claims of a schema of another kind',
      { claims: { namespace: 'https://a.example/', schema: { type: 'object' } } },
      'claims.schema',
    ],
    ['claims that are null', { claims: null }, 'claims'],
    ['a clock that is a time', { now: 5 }, 'now'],
    ['a list of revoked tokens', { isRevoked: ['j1'] }, 'isRevoked'],
    ['a signature check that is a key', { verifySignature: {} }, 'verifySignature'],
    ['a listener that is null', { onEvent: null }, 'onEvent'],
    ['limits of verified tokens that are null', { verifiedTokens: null }, 'verifiedTokens'],
    ['limits that are true', { verifiedTokens: true }, 'verifiedTokens'],
    ['limits that are a number', { verifiedTokens: 5 }, 'verifiedTokens'],
    ['limits of nothing', { verifiedTokens: { maxEntries: 0 } }, 'verifiedTokens'],
    ['a limit that is text', { verifiedTokens: { maxBytes: '5' } }, 'verifiedTokens'],
    ['a limit without end', { verifiedTokens: { maxBytes: Infinity } }, 'verifiedTokens'],
    ['an unknown limit', { verifiedTokens: { maxEntrys: 5 } }, 'verifiedTokens'],
    ['an unknown name', { clockTolerence: 5 }, 'unknown: clockTolerence'],
    ['the name of a shared secret', { secret: 'x' }, 'unknown: secret'],
  ])('%s', (_, change, text) => {
    proves('RFC 8725 §3.1 HMAC', 'RFC 8725 §3.2', 'RFC 8725 §3.9', 'RFC 9068 §4 validation');
    const options = { ...good, ...change } as AuthOptions<unknown>;
    expect(() => checkOptions(options)).toThrow(InvalidOptions);
    expect(() => checkOptions(options)).toThrow(text);
  });

  test.each([undefined, null, {}, 'https://tenant.example.com/', 5])(
    'options that are %p: what is missing is named',
    (options) => {
      const make = () => auth(options as never);
      expect(make).toThrow(InvalidOptions);
      expect(make).toThrow(/^auth: audience must [^;]+; issuerBaseURL must [^;]+$/);
    },
  );

  test('all of them are named at once', () => {
    const options = {
      issuerBaseURL: 'nowhere',
      audience: '',
      algorithms: ['none'],
      profile: 'x',
      clockTolerance: -1,
      claims: { namespace: 'x', schema: {} },
      authRequired: 'yes',
      realm: '',
      resourceMetadata: 'x',
      now: 0,
      typo: true,
    } as unknown as AuthOptions<unknown>;
    const names = [
      ...['issuerBaseURL', 'audience', 'algorithms', 'profile', 'clockTolerance', 'authRequired'],
      ...['claims.namespace', 'claims.schema', 'realm', 'resourceMetadata', 'now must', 'typo'],
    ];
    for (const name of names) expect(() => checkOptions(options)).toThrow(name);
  });
});

test.each<[string, Partial<AuthOptions<unknown>>]>([
  ['several audiences', { audience: ['a', 'b'] }],
  [
    'an issuer made before',
    { issuerBaseURL: undefined, issuer: createIssuer({ issuerBaseURL: good.issuerBaseURL }) },
  ],
  ['no tolerance', { clockTolerance: 0 }],
  ['five minutes of tolerance', { clockTolerance: 300 }],
  ['verified tokens not remembered', { verifiedTokens: false }],
  ['one limit of verified tokens', { verifiedTokens: { maxBytes: 1 } }],
  ['limits left undefined', { verifiedTokens: { maxEntries: undefined } }],
  ['a namespace that is a URN', { claims: { namespace: 'urn:contacts:', schema: z.object({}) } }],
])('%s works', (_, change) => {
  expect(() => checkOptions({ ...good, ...change })).not.toThrow();
});
