import { generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type HostileTokenName,
  publicJwk,
  signJws,
  startTestIssuer,
  TEST_ALGORITHMS,
  type TestIssuer,
  type TestKey,
} from '@koa-oauth/issuer/testing';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import type { InvalidTokenReason } from '../src/errors.ts';
import type { AuthOptions } from '../src/options.ts';
import type { TokenProfile } from '../src/token/jwt-access-token.ts';
import { type Api, type Listening, listen, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const JWKS = '/.well-known/jwks.json';

const rsa = testKey({ kid: 'rsa' });
const ps = testKey({ kid: 'ps', alg: 'PS256' }, 1);
const es256 = testKey({ kid: 'es256', alg: 'ES256' });
const es256b = testKey({ kid: 'es256b', alg: 'ES256' });
const es384 = testKey({ kid: 'es384', alg: 'ES384' });
const ed = testKey({ kid: 'ed', alg: 'EdDSA' });
const enc = testKey({ kid: 'enc' }, 2);
const weak: TestKey = {
  kid: 'weak',
  alg: 'RS256',
  ...generateKeyPairSync('rsa', { modulusLength: 1024 }),
};
const otherKeys = [
  publicJwk(weak),
  { ...publicJwk(enc), use: 'enc' },
  { ...publicJwk(es384), kid: 'es384-as-es256', alg: 'ES256' },
  { kty: 'oct', kid: 'oct', alg: 'HS256', k: 'c2VjcmV0' },
];

let issuer: TestIssuer;
let canary: Listening;
let hostile: Readonly<Record<HostileTokenName, string>>;
const asked: string[] = [];
const apis = {} as Record<TokenProfile, Api>;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [rsa, ps, es256, es256b, es384, ed], otherKeys });
  canary = await listen((request, response) => {
    asked.push(request.url ?? '');
    response.end('{}');
  });
  hostile = issuer.hostileTokens({ aud: audience }, canary.url);
  for (const profile of ['any', 'rfc9068', 'auth0'] as const) {
    apis[profile] = await startApi({ issuerBaseURL: issuer.issuer, audience, profile });
  }
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => Promise.all([...Object.values(apis), issuer, canary].map((each) => each.close())));

type Change = Record<string, unknown>;
const now = () => Math.floor(Date.now() / 1000);
const claims = (change: Change = {}) => ({
  sub: 'alice',
  aud: audience,
  jti: 'j1',
  client_id: 'web',
  ...change,
});
const token = (payload: Change = {}, head: Change = {}, key?: TestKey) =>
  issuer.token(claims(payload), head, key);

async function start(options: Partial<AuthOptions<unknown>> = {}): Promise<Api> {
  const api = await startApi({ issuerBaseURL: issuer.issuer, audience, ...options });
  open.push(api);
  return api;
}

type Expected = InvalidTokenReason | 'accepted';

async function outcome(profile: TokenProfile, value: string): Promise<Expected> {
  const api = apis[profile];
  const { status, error, challenge, body } = await api.get(value);
  if (status === 200) return 'accepted';
  const thrown = api.errors.at(-1) as { reason: InvalidTokenReason; message: string };
  expect([status, error]).toEqual([401, 'invalid_token']);
  expect(challenge).toContain(`error_description="${thrown.message}"`);
  expect(body).toBe(thrown.message);
  return thrown.reason;
}

const REASONS: Record<HostileTokenName, InvalidTokenReason> = {
  // Algorithms, keys, signatures: RFC 8725 §3.1 to §3.5, §3.10.
  'alg none, unsigned': 'malformed',
  'alg none, with a signature': 'algorithm',
  'alg None': 'algorithm',
  'alg NONE': 'algorithm',
  'alg nOnE': 'algorithm',
  'no signature': 'malformed',
  'HS256 keyed with the PEM': 'algorithm',
  'HS256 keyed with the PEM, trimmed': 'algorithm',
  'HS256 keyed with the DER': 'algorithm',
  'HS256 keyed with the JWK': 'algorithm',
  'HS256 keyed with nothing': 'algorithm',
  'HS256 with a space before it': 'algorithm',
  'an HMAC under the name of the real algorithm': 'signature',
  'another algorithm of the same key': 'key',
  'another key under the right kid': 'signature',
  'another key, without a kid': 'signature',
  'another key, embedded as jwk': 'signature',
  'another key, named by jku': 'signature',
  'another key, named by x5u': 'signature',
  'another key, with a certificate as x5c': 'signature',
  'another key, under a kid that is an address': 'key',
  'another payload under a good signature': 'signature',
  'another header under a good signature': 'signature',
  'a signature cut short': 'signature',
  'a signature of zeros': 'signature',
  'a signature with more behind it': 'signature',
  // Header: RFC 7515 §4.1, RFC 8725 §3.11.
  'no alg': 'algorithm',
  'alg in a list': 'algorithm',
  'alg unknown': 'algorithm',
  'alg in lower case': 'algorithm',
  'kid unknown': 'key',
  'kid empty': 'key',
  'kid a path': 'key',
  'kid a query': 'key',
  'kid __proto__': 'key',
  'kid beyond ASCII': 'key',
  'kid of 8 kB': 'key',
  'kid a number': 'malformed',
  'kid null': 'malformed',
  'kid an object': 'malformed',
  'crit unknown': 'critical',
  'crit empty': 'critical',
  'crit of a registered name': 'critical',
  'crit twice the same': 'critical',
  'crit no list': 'critical',
  'b64 false': 'critical',
  'b64 false, not called critical': 'critical',
  'ID token': 'type',
  'ID token without a nonce': 'type',
  'ID token without a typ': 'type',
  'ID token by its claim token_use': 'type',
  'refresh token by its claim typ': 'type',
  'ID token for the client': 'type',
  'logout token': 'type',
  'logout token of typ JWT': 'type',
  'security event': 'type',
  'DPoP proof': 'type',
  'introspection answer': 'type',
  'typ with a parameter': 'type',
  'typ that only ends like ours': 'type',
  'typ empty': 'type',
  'typ a number': 'type',
  'typ null': 'type',
  'header a list': 'malformed',
  'alg twice': 'malformed',
  'invalid UTF-8 in the header': 'malformed',
  // Claims: RFC 7519 §4.1, RFC 9068 §4, RFC 9449 §7.2, RFC 8705 §3.
  'exp missing': 'claim',
  'exp null': 'claim',
  'exp a string': 'claim',
  'exp past': 'expired',
  'exp 0': 'expired',
  'exp negative': 'claim',
  'exp 1e999': 'claim',
  'exp in milliseconds': 'claim',
  'nbf ahead': 'not_yet_valid',
  'nbf a string': 'claim',
  'iat ahead': 'not_yet_valid',
  'iat a string': 'claim',
  'iss missing': 'claim',
  'iss other': 'issuer',
  'iss a list with ours in it': 'claim',
  'iss without its slash': 'issuer',
  'iss in other case': 'issuer',
  'iss with more behind it': 'issuer',
  'aud missing': 'claim',
  'aud null': 'claim',
  'aud other': 'audience',
  'aud an empty list': 'audience',
  'aud an object before ours': 'claim',
  'aud null behind ours': 'claim',
  'aud ours in a list in a list': 'claim',
  'aud with more behind it': 'audience',
  'aud two in one string': 'audience',
  'sub missing': 'claim',
  'sub null': 'claim',
  'sub empty': 'claim',
  'sub a number': 'claim',
  'sub an object': 'claim',
  'jti a number': 'claim',
  'client_id a list': 'claim',
  'scope an object': 'claim',
  'scope a list with a number': 'claim',
  'cnf with jkt': 'sender_constrained',
  'cnf with x5t#S256': 'sender_constrained',
  'cnf of an unknown method': 'sender_constrained',
  'cnf null': 'sender_constrained',
  // Form: RFC 7515 §7.1, RFC 7519 §7.2, RFC 4648 §3.5.
  'exp twice': 'malformed',
  'sub twice, once escaped': 'malformed',
  'a name twice further in': 'malformed',
  'invalid UTF-8': 'malformed',
  'a byte order mark': 'malformed',
  'payload null': 'malformed',
  'payload a list': 'malformed',
  'payload a string': 'malformed',
  'payload a number': 'malformed',
  'payload a token itself': 'malformed',
  'payload cut short': 'malformed',
  'payload of brackets without end': 'malformed',
  'no dots': 'malformed',
  'dots only': 'malformed',
  'two parts': 'malformed',
  'four parts': 'malformed',
  'five parts, as of a JWE': 'malformed',
  'an empty header': 'malformed',
  'an empty payload': 'malformed',
  'padding at the end': 'malformed',
  'a signature spelled in another way': 'malformed',
  'a payload spelled in another way': 'malformed',
  'the alphabet of plain base64': 'malformed',
  'more than 16 kB': 'oversized',
};

describe('hostile tokens: 401 invalid_token, each for its own reason, in every profile', () => {
  test.each(Object.entries(REASONS) as [HostileTokenName, InvalidTokenReason][])(
    '%s: %s',
    async (name, reason) => {
      expect(await outcome('any', hostile[name])).toBe(reason);
      expect(await outcome('rfc9068', hostile[name])).toBe(reason);
      // The profile for typ JWT refuses at+jwt first of all.
      expect(await outcome('auth0', hostile[name])).not.toBe('accepted');
    },
  );

  test.each(TEST_ALGORITHMS.filter((alg) => alg !== 'RS256'))(
    'of an issuer that signs with %s: none comes in, and the good one does',
    async (alg) => {
      const other = await startTestIssuer({ keys: [testKey({ alg })] });
      open.push(other);
      const api = await start({ issuerBaseURL: other.issuer });
      expect((await api.get(other.token(claims()))).status).toBe(200);
      const answers: [string, number][] = [];
      for (const [name, value] of Object.entries(other.hostileTokens({ aud: audience })))
        answers.push([name, (await api.get(value)).status]);
      expect(answers.filter(([, status]) => status !== 401)).toEqual([]);
    },
  );

  test('jku, x5u, jwk, x5c and kid make no request (RFC 8725 §3.10), nor does a foreign iss', async () => {
    const own = { jku: canary.url, x5u: canary.url, x5t: 'x', x5c: ['MIIB'], jwk: publicJwk(rsa) };
    expect(await outcome('any', token({}, own))).toBe('accepted');
    expect(await outcome('any', token({ iss: canary.url }))).toBe('issuer');
    // Those above carried the same address.
    expect(asked).toEqual([]);
  });

  test('hopeless tokens cause no request at all: 401 even while a cold issuer is down', async () => {
    const cold = await startTestIssuer({ keys: [rsa] });
    open.push(cold);
    const api = await start({ issuerBaseURL: cold.issuer });
    cold.goDown();
    const needsKey: InvalidTokenReason[] = ['key', 'signature'];
    const tokens = cold.hostileTokens({ aud: audience });
    for (const [name, reason] of Object.entries(REASONS) as [HostileTokenName, string][]) {
      // Only the metadata shows that just the slash is wrong.
      if (needsKey.includes(reason as InvalidTokenReason) || name === 'iss without its slash')
        continue;
      expect([name, (await api.get(tokens[name])).status]).toEqual([name, 401]);
    }
    expect(cold.requests).toEqual([]);
    expect((await api.get(cold.token(claims()))).status).toBe(503);
  });
});

describe('the matrix: name, token, and what becomes of it by default and as rfc9068', () => {
  test.each<[string, () => string, Expected, Expected]>([
    ['typ at+jwt', () => token(), 'accepted', 'accepted'],
    ['typ JWT', () => token({}, { typ: 'JWT' }), 'accepted', 'type'],
    ['typ absent', () => token({}, { typ: undefined }), 'accepted', 'type'],
    ['typ logout+jwt', () => hostile['logout token'], 'type', 'type'],
    ['no exp', () => hostile['exp missing'], 'claim', 'claim'],
    ['exp 1e999', () => hostile['exp 1e999'], 'claim', 'claim'],
    ['iat 9999 s ahead', () => hostile['iat ahead'], 'not_yet_valid', 'not_yet_valid'],
    ['no aud', () => hostile['aud missing'], 'claim', 'claim'],
    ['no iss', () => hostile['iss missing'], 'claim', 'claim'],
    ['aud [{}, ours]', () => hostile['aud an object before ours'], 'claim', 'claim'],
    ['crit unknown', () => hostile['crit unknown'], 'critical', 'critical'],
    ['crit []', () => hostile['crit empty'], 'critical', 'critical'],
    ['b64 false', () => hostile['b64 false'], 'critical', 'critical'],
    [
      'PS256 under a JWK with alg RS256',
      () => hostile['another algorithm of the same key'],
      'key',
      'key',
    ],
    ['RSA-1024 key', () => token({}, {}, weak), 'key', 'key'],
    [
      'cnf.jkt sent as Bearer',
      () => hostile['cnf with jkt'],
      'sender_constrained',
      'sender_constrained',
    ],
    [
      'cnf x5t#S256 as Bearer',
      () => hostile['cnf with x5t#S256'],
      'sender_constrained',
      'sender_constrained',
    ],
    [
      'unknown cnf as Bearer',
      () => hostile['cnf of an unknown method'],
      'sender_constrained',
      'sender_constrained',
    ],
    ['scope as array', () => token({ scope: ['read'] }), 'accepted', 'claim'],
    [
      'scp a number, without a scope',
      () => token({ scope: undefined, scp: 5 }),
      'claim',
      'accepted',
    ],
    ['exp twice in the JSON', () => hostile['exp twice'], 'malformed', 'malformed'],
    ['sub a number', () => hostile['sub a number'], 'claim', 'claim'],
    ['no jti', () => token({ jti: undefined }), 'accepted', 'claim'],
    [
      'last signature character changed',
      () => hostile['a signature spelled in another way'],
      'malformed',
      'malformed',
    ],
    ['= appended to the token', () => hostile['padding at the end'], 'malformed', 'malformed'],
  ])('%s', async (_, make, any, rfc9068) => {
    proves('RFC 8725 §3.11', 'RFC 9068 §5 ID token');
    expect(await outcome('any', make())).toBe(any);
    expect(await outcome('rfc9068', make())).toBe(rfc9068);
  });
});

test('every one of the 63 other last characters is refused', async () => {
  const good = token();
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (const letter of alphabet.replace(good.at(-1) as string, '')) {
    expect(await outcome('any', good.slice(0, -1) + letter)).not.toBe('accepted');
  }
});

describe('a set with keys of every kind, RFC 8725 §3.1 to §3.5', () => {
  test.each<[string, TestKey]>([
    ['RS256', rsa],
    ['PS256', ps],
    ['ES256', es256],
    ['ES384', es384],
    ['EdDSA', ed],
  ])('%s works', async (_, key) => {
    expect(await outcome('any', token({}, {}, key))).toBe('accepted');
  });

  test('no kid, where one key has the alg, works; where several have it, it does not', async () => {
    expect(await outcome('any', token({}, { kid: undefined }))).toBe('accepted');
    expect(await outcome('any', token({}, { kid: undefined }, es256))).toBe('key');
  });

  test.each<[string, () => string, Expected]>([
    ['ES256 over P-384 (RFC 7518 §3.4)', () => token({}, {}, { ...es384, alg: 'ES256' }), 'key'],
    [
      'ES256 over P-384, so published',
      () => token({}, {}, { ...es384, kid: 'es384-as-es256', alg: 'ES256' }),
      'key',
    ],
    ['RS512 under a key for RS256', () => token({}, {}, { ...rsa, alg: 'RS512' }), 'key'],
    ['a key for encryption', () => token({}, {}, enc), 'key'],
    ['a key by the name of another', () => token({}, { kid: 'es256b' }, es256), 'signature'],
    ['ES256K', () => token({}, { alg: 'ES256K' }), 'algorithm'],
    ['RSA-OAEP', () => token({}, { alg: 'RSA-OAEP' }), 'algorithm'],
    ['HS256 of a published secret', () => token({}, { alg: 'HS256', kid: 'oct' }), 'algorithm'],
  ])('%s: %3$s', async (_, make, expected) => {
    expect(await outcome('any', make())).toBe(expected);
  });

  test('an algorithm that is off by option is refused before its key is looked for', async () => {
    const narrow = await start({ algorithms: ['ES256'] });
    const before = issuer.requests.length;
    expect(await narrow.get(token())).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(narrow.errors).toEqual([expect.objectContaining({ reason: 'algorithm' })]);
    expect(issuer.requests.slice(before)).not.toContain(JWKS);
    expect((await narrow.get(token({}, {}, es256))).status).toBe(200);
  });
});

describe('odd tokens that are good, RFC 7519 §4, RFC 9068 §2', () => {
  const raw = (member: string) =>
    signJws(
      { alg: 'RS256', typ: 'at+jwt', kid: 'rsa' },
      `{${member},${JSON.stringify({ iss: issuer.issuer, exp: now() + 600, ...claims() }).slice(1)}`,
      rsa,
    );

  test.each<[string, () => string]>([
    ['one that just fits', () => token({ x: 'x'.repeat(8000) })],
    ['names of the prototype', () => raw('"__proto__":{"scope":"admin"},"constructor":1')],
    [
      'aud a list with the userinfo endpoint',
      () => token({ aud: [audience, 'https://a/userinfo'] }),
    ],
    ['unknown members', () => token({ x: { y: [null, 1.5, { z: '😀' }] } }, { x: 1 })],
  ])('%s', async (_, make) => {
    expect(await outcome('any', make())).toBe('accepted');
  });

  test('the profile auth0 takes typ JWT and not at+jwt', async () => {
    const auth0 = token({ jti: undefined, client_id: undefined, azp: 'web' }, { typ: 'JWT' });
    expect(await outcome('auth0', auth0)).toBe('accepted');
    expect(await outcome('auth0', token())).toBe('type');
  });
});
