import {
  constants,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  sign,
  type webcrypto,
} from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestKey, signJws, startIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import type { InvalidTokenReason } from '../src/errors.ts';
import type { TokenProfile } from '../src/jwt-access-token.ts';
import { type Api, type Listening, listen, startApi } from './protected-api.ts';

const audience = 'https://api.example.com';
const METADATA = '/.well-known/openid-configuration';
const JWKS = '/.well-known/jwks.json';

const rsa = createTestKey('rsa');
const elsewhere = createTestKey('rsa');
const pairs = {
  ps: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  weak: generateKeyPairSync('rsa', { modulusLength: 1024 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p256b: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed: generateKeyPairSync('ed25519'),
  enc: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const jwk = (key: KeyObject, more: object): object => ({
  ...key.export({ format: 'jwk' }),
  ...more,
});
const set = {
  keys: [
    jwk(rsa.publicKey, { kid: 'rsa', alg: 'RS256', use: 'sig' }),
    jwk(pairs.ps.publicKey, { kid: 'ps', alg: 'PS256' }),
    jwk(pairs.weak.publicKey, { kid: 'weak', alg: 'RS256' }),
    jwk(pairs.p256.publicKey, { kid: 'p256' }),
    jwk(pairs.p256b.publicKey, { kid: 'p256b' }),
    jwk(pairs.p384.publicKey, { kid: 'p384' }),
    jwk(pairs.p521.publicKey, { kid: 'p521' }),
    jwk(pairs.p384.publicKey, { kid: 'p384-as-es256', alg: 'ES256' }),
    jwk(pairs.ed.publicKey, { kid: 'ed', alg: 'EdDSA' }),
    jwk(pairs.enc.publicKey, { kid: 'enc', use: 'enc' }),
    { kty: 'oct', kid: 'oct', alg: 'HS256', k: 'c2VjcmV0' },
  ],
};

let issuer: TestIssuer;
let canary: Listening;
const asked: string[] = [];
const apis = {} as Record<TokenProfile, Api>;

beforeAll(async () => {
  issuer = await startIssuer({ keys: [rsa] });
  // A set with keys of every kind in place of the issuer's own.
  issuer.fault = (request, response) => {
    const { issuer: name } = issuer;
    const metadata = { issuer: name, jwks_uri: `${name}.well-known/jwks.json` };
    response.end(JSON.stringify(request.url === METADATA ? metadata : set));
  };
  canary = await listen((request, response) => {
    asked.push(request.url ?? '');
    response.end(JSON.stringify({ keys: [jwk(elsewhere.publicKey, { kid: 'rsa' })] }));
  });
  for (const profile of ['any', 'rfc9068', 'auth0'] as const) {
    apis[profile] = await startApi({ issuerBaseURL: issuer.issuer, audience, profile });
  }
});
afterAll(async () => {
  for (const api of Object.values(apis)) await api.close();
  await Promise.all([issuer.close(), canary.close()]);
});

type Change = Record<string, unknown>;
const now = () => Math.floor(Date.now() / 1000);
const claims = (change: Change = {}) => ({
  iss: issuer.issuer,
  sub: 'alice',
  aud: audience,
  iat: now(),
  exp: now() + 600,
  jti: 'j1',
  client_id: 'web',
  ...change,
});
const header = (change: Change = {}) => ({ alg: 'RS256', typ: 'at+jwt', kid: 'rsa', ...change });
const token = (payload: Change = {}, head: Change = {}) =>
  signJws(header(head), claims(payload), rsa.privateKey);

/** Signs with any key and algorithm. */
function signed(
  head: Change,
  key: KeyObject,
  options: object = {},
  hash: string | null = 'sha256',
) {
  const input = signJws(header(head), claims(), rsa.privateKey).split('.').slice(0, 2).join('.');
  const signature = sign(hash, Buffer.from(input), { key, ...options });
  return `${input}.${signature.toString('base64url')}`;
}

function hmac(secret: string | Buffer, head: Change = {}): string {
  const input = token({}, { alg: 'HS256', ...head })
    .split('.')
    .slice(0, 2)
    .join('.');
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const raw = (payload: string | Buffer, head: string | Buffer = JSON.stringify(header())) =>
  signJws(head, payload, rsa.privateKey);
const text = (change: Change = {}) => JSON.stringify(claims(change));
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
const ec = { dsaEncoding: 'ieee-p1363' };
const pem = () => rsa.publicKey.export({ format: 'pem', type: 'spki' }) as string;

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

describe('the matrix: name, token, and what becomes of it by default and as rfc9068', () => {
  test.each<[string, () => string, Expected, Expected]>([
    ['typ at+jwt', () => token(), 'accepted', 'accepted'],
    ['typ JWT', () => token({}, { typ: 'JWT' }), 'accepted', 'type'],
    ['typ absent', () => token({}, { typ: undefined }), 'accepted', 'type'],
    ['typ logout+jwt', () => token({}, { typ: 'logout+jwt' }), 'type', 'type'],
    ['no exp', () => token({ exp: undefined }), 'claim', 'claim'],
    ['exp 1e999', () => raw(text().replace(/"exp":\d+/, '"exp":1e999')), 'claim', 'claim'],
    [
      'iat 9999 s ahead',
      () => token({ iat: now() + 9999, exp: now() + 99_999 }),
      'not_yet_valid',
      'not_yet_valid',
    ],
    ['no aud', () => token({ aud: undefined }), 'claim', 'claim'],
    ['no iss', () => token({ iss: undefined }), 'claim', 'claim'],
    ['aud [{}, ours]', () => token({ aud: [{}, audience] }), 'claim', 'claim'],
    ['crit unknown', () => token({}, { crit: ['x'], x: 1 }), 'critical', 'critical'],
    ['crit []', () => token({}, { crit: [] }), 'critical', 'critical'],
    ['b64 false', () => token({}, { b64: false, crit: ['b64'] }), 'critical', 'critical'],
    [
      'PS256 under a JWK with alg RS256',
      () => signed({ alg: 'PS256' }, rsa.privateKey, pss),
      'key',
      'key',
    ],
    ['RSA-1024 key', () => signed({ kid: 'weak' }, pairs.weak.privateKey), 'key', 'key'],
    [
      'cnf.jkt sent as Bearer',
      () => token({ cnf: { jkt: 'x' } }),
      'sender_constrained',
      'sender_constrained',
    ],
    [
      'cnf x5t#S256 as Bearer',
      () => token({ cnf: { 'x5t#S256': 'x' } }),
      'sender_constrained',
      'sender_constrained',
    ],
    [
      'unknown cnf as Bearer',
      () => token({ cnf: { other: 'x' } }),
      'sender_constrained',
      'sender_constrained',
    ],
    ['scope as array', () => token({ scope: ['a'] }), 'claim', 'claim'],
    ['exp twice in the JSON', () => raw(`{"exp":1,${text().slice(1)}`), 'malformed', 'malformed'],
    ['sub a number', () => token({ sub: 5 }), 'claim', 'claim'],
    ['no jti', () => token({ jti: undefined }), 'accepted', 'claim'],
    ['last signature character changed', () => respelled(token()), 'malformed', 'malformed'],
    ['= appended to the token', () => `${token()}=`, 'malformed', 'malformed'],
  ])('%s', async (_, make, any, rfc9068) => {
    expect(await outcome('any', make())).toBe(any);
    expect(await outcome('rfc9068', make())).toBe(rfc9068);
  });
});

/** The same bytes, spelled with other stray bits in the last character. */
function respelled(value: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet[alphabet.indexOf(value.at(-1) as string) ^ 1];
  return value.slice(0, -1) + last;
}

test('every one of the 63 other last characters is refused', async () => {
  const good = token();
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (const letter of alphabet.replace(good.at(-1) as string, '')) {
    expect(await outcome('any', good.slice(0, -1) + letter)).not.toBe('accepted');
  }
});

describe('algorithms and keys, RFC 8725 §3.1 to §3.5', () => {
  test.each<[string, () => string]>([
    ['RS256', () => token()],
    ['PS256', () => signed({ alg: 'PS256', kid: 'ps' }, pairs.ps.privateKey, pss)],
    ['ES256', () => signed({ alg: 'ES256', kid: 'p256' }, pairs.p256.privateKey, ec)],
    ['ES384', () => signed({ alg: 'ES384', kid: 'p384' }, pairs.p384.privateKey, ec, 'sha384')],
    ['ES512', () => signed({ alg: 'ES512', kid: 'p521' }, pairs.p521.privateKey, ec, 'sha512')],
    ['EdDSA', () => signed({ alg: 'EdDSA', kid: 'ed' }, pairs.ed.privateKey, {}, null)],
    ['no kid, where one key has the alg', () => token({}, { kid: undefined })],
  ])('%s works', async (_, make) => {
    expect(await outcome('any', make())).toBe('accepted');
  });

  const unsigned = (alg: string) => token({}, { alg }).replace(/[^.]+$/, '');
  test.each<[string, () => string, Expected]>([
    ['none, unsigned', () => unsigned('none'), 'malformed'],
    ['none, with a signature', () => token({}, { alg: 'none' }), 'algorithm'],
    ['None', () => token({}, { alg: 'None' }), 'algorithm'],
    ['NONE', () => token({}, { alg: 'NONE' }), 'algorithm'],
    ['nOnE', () => token({}, { alg: 'nOnE' }), 'algorithm'],
    ['RS256 unsigned', () => unsigned('RS256'), 'malformed'],
    ['HS256 keyed with the PEM', () => hmac(pem()), 'algorithm'],
    ['HS256 keyed with the PEM without its line break', () => hmac(pem().trim()), 'algorithm'],
    [
      'HS256 keyed with the DER',
      () => hmac(rsa.publicKey.export({ format: 'der', type: 'spki' })),
      'algorithm',
    ],
    ['HS256 keyed with the JWK text', () => hmac(JSON.stringify(set.keys[0])), 'algorithm'],
    ['HS256 keyed with nothing', () => hmac(''), 'algorithm'],
    ['HS256 of a published secret', () => hmac('secret', { kid: 'oct' }), 'algorithm'],
    ['an HMAC that calls itself RS256', () => hmac(pem(), { alg: 'RS256' }), 'signature'],
    ['HS256 with a space before', () => hmac(pem(), { alg: ' HS256' }), 'algorithm'],
    [
      'ES256 over P-384',
      () => signed({ alg: 'ES256', kid: 'p384' }, pairs.p384.privateKey, ec),
      'key',
    ],
    [
      'ES256 over P-384, so published',
      () => signed({ alg: 'ES256', kid: 'p384-as-es256' }, pairs.p384.privateKey, ec),
      'key',
    ],
    [
      'ES256 with a DER signature',
      () => signed({ alg: 'ES256', kid: 'p256' }, pairs.p256.privateKey),
      'signature',
    ],
    ['ES256K', () => token({}, { alg: 'ES256K' }), 'algorithm'],
    ['RSA-OAEP', () => token({}, { alg: 'RSA-OAEP' }), 'algorithm'],
    ['a key for encryption', () => signed({ kid: 'enc' }, pairs.enc.privateKey), 'key'],
    [
      'RS512 under a key for RS256',
      () => signed({ alg: 'RS512' }, rsa.privateKey, {}, 'sha512'),
      'key',
    ],
    [
      'another key under the same kid',
      () => signJws(header(), claims(), elsewhere.privateKey),
      'signature',
    ],
    ['an unknown kid', () => token({}, { kid: 'other' }), 'key'],
    ['a kid that is empty', () => token({}, { kid: '' }), 'key'],
    ['a kid that is a path', () => token({}, { kid: '../../dev/null' }), 'key'],
    ['a kid that is a query', () => token({}, { kid: "x' OR '1'='1" }), 'key'],
    ['a kid of 8 kB', () => token({}, { kid: 'k'.repeat(8000) }), 'key'],
    ['a kid of the prototype', () => token({}, { kid: '__proto__' }), 'key'],
    ['a kid beyond ASCII', () => token({}, { kid: 'schlüssel😀' }), 'key'],
    ['a kid that is a number', () => token({}, { kid: 5 }), 'malformed'],
    ['a kid that is null', () => token({}, { kid: null }), 'malformed'],
    ['a kid that is an object', () => token({}, { kid: { toString: 'rsa' } }), 'malformed'],
    [
      'no kid, where several keys have the alg',
      () => signed({ alg: 'ES256', kid: undefined }, pairs.p256.privateKey, ec),
      'key',
    ],
  ])('%s: %3$s', async (_, make, expected) => {
    expect(await outcome('any', make())).toBe(expected);
  });

  test('an algorithm that is off by option is refused before its key is looked for', async () => {
    const narrow = await startApi({
      issuerBaseURL: issuer.issuer,
      audience,
      algorithms: ['ES256'],
    });
    const before = issuer.requests.length;
    expect(await narrow.get(token())).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(narrow.errors).toEqual([expect.objectContaining({ reason: 'algorithm' })]);
    expect(issuer.requests.slice(before)).not.toContain(JWKS);
    const es256 = signed({ alg: 'ES256', kid: 'p256' }, pairs.p256.privateKey, ec);
    expect((await narrow.get(es256)).status).toBe(200);
    await narrow.close();
  });

  test('hopeless tokens cause no request for keys', async () => {
    const cold = await startApi({ issuerBaseURL: issuer.issuer, audience });
    const before = issuer.requests.length;
    const hopeless = [
      token({}, { alg: 'none' }),
      hmac(pem()),
      token({}, { crit: ['x'] }),
      token({}, { typ: 'dpop+jwt' }),
      token({ iss: 'https://evil.example/' }),
      token({ aud: 'https://other.example' }),
      token({ exp: now() - 60 }),
      token({ cnf: {} }),
      'abc',
      'a.b.c',
    ];
    for (const value of hopeless) expect((await cold.get(value)).status).toBe(401);
    expect(issuer.requests.slice(before)).toEqual([METADATA]);
    await cold.close();
  });

  test('jku, x5u, jwk and x5c in a header are neither asked nor believed (RFC 8725 §3.10)', async () => {
    const publicJwk = elsewhere.publicKey.export({ format: 'jwk' }) as webcrypto.JsonWebKey;
    const own: Change = {
      jku: `${canary.url}jwks`,
      x5u: `${canary.url}x5u`,
      jwk: { ...publicJwk, kid: 'rsa' },
      x5c: ['MIIB'],
      x5t: 'x',
    };
    expect(await outcome('any', token({}, own))).toBe('accepted');
    const forge = (head: Change) =>
      signJws(header({ ...own, ...head }), claims(), elsewhere.privateKey);
    expect(await outcome('any', forge({}))).toBe('signature');
    expect(await outcome('any', forge({ kid: undefined }))).toBe('signature');
    expect(await outcome('any', forge({ kid: `${canary.url}kid` }))).toBe('key');
    expect(await outcome('any', token({ iss: canary.url }))).toBe('issuer');
    expect(asked).toEqual([]);
  });
});

describe('only access tokens come in, RFC 9068 §4, RFC 8725 §3.11', () => {
  test.each<[string, Change, Change, Expected]>([
    ['an ID token with a nonce', { nonce: 'n' }, { typ: 'JWT' }, 'type'],
    ['an ID token with at_hash', { at_hash: 'x' }, { typ: undefined }, 'type'],
    ['an ID token for the client', { aud: 'web' }, { typ: 'JWT' }, 'audience'],
    ['a logout token without a type of its own', { events: {} }, { typ: 'JWT' }, 'type'],
    ['a logout token', { events: {} }, { typ: 'logout+jwt' }, 'type'],
    ['a DPoP proof', { htm: 'GET' }, { typ: 'dpop+jwt' }, 'type'],
    ['an introspection answer', {}, { typ: 'token-introspection+jwt' }, 'type'],
    ['a typ that is a number', {}, { typ: 5 }, 'type'],
    ['another API’s token', { aud: 'https://other.example' }, {}, 'audience'],
    ['another issuer’s token', { iss: 'https://evil.example/' }, {}, 'issuer'],
    ['our issuer without its slash', { iss: 'SLASH' }, {}, 'issuer'],
    ['a list of issuers', { iss: ['https://evil.example/'] }, {}, 'claim'],
    ['an expired token', { exp: 1 }, {}, 'expired'],
    ['a token for later', { nbf: 4e9 }, {}, 'not_yet_valid'],
  ])('%s', async (_, payload, head, expected) => {
    const change = payload.iss === 'SLASH' ? { iss: issuer.issuer.slice(0, -1) } : payload;
    expect(await outcome('any', token(change, head))).toBe(expected);
  });

  test('the profile auth0 takes typ JWT and not at+jwt', async () => {
    expect(
      await outcome(
        'auth0',
        token({ jti: undefined, client_id: undefined, azp: 'web' }, { typ: 'JWT' }),
      ),
    ).toBe('accepted');
    expect(await outcome('auth0', token())).toBe('type');
  });
});

describe('form, RFC 7515 §7.1, RFC 7519 §7.2', () => {
  test.each<[string, () => string, Expected]>([
    ['a payload that is null', () => raw('null'), 'malformed'],
    ['a payload that is a list', () => raw(`[${text()}]`), 'malformed'],
    ['a payload that is a string', () => raw(JSON.stringify('alice')), 'malformed'],
    ['a payload that is a number', () => raw('5'), 'malformed'],
    ['a header that is a list', () => raw(text(), '["RS256"]'), 'malformed'],
    [
      'invalid UTF-8',
      () =>
        raw(
          Buffer.concat([
            Buffer.from(text({ x: '' }).slice(0, -2)),
            Buffer.from([0xff]),
            Buffer.from('"}'),
          ]),
        ),
      'malformed',
    ],
    [
      'alg twice',
      () => raw(text(), '{"alg":"none","alg":"RS256","kid":"rsa","typ":"at+jwt"}'),
      'malformed',
    ],
    ['sub twice, once escaped', () => raw(`{"s\\u0075b":"admin",${text().slice(1)}`), 'malformed'],
    [
      'a name twice in an inner object',
      () => raw(text({ x: 0 }).replace('"x":0', '"x":{"a":1,"a":2}')),
      'malformed',
    ],
    ['another alphabet', () => token().replace(/\.([^.]*)$/, '.+/$1'), 'malformed'],
    ['five parts', () => `${token()}.a.b`, 'malformed'],
    ['a payload of 17 kB', () => token({ x: 'x'.repeat(13_000) }), 'oversized'],
    ['a payload of 200 kB', () => token({ x: 'x'.repeat(150_000) }), 'oversized'],
    ['a payload that fits', () => token({ x: 'x'.repeat(8000) }), 'accepted'],
    [
      'deep nesting',
      () => raw(text({ x: 0 }).replace('"x":0', `"x":${'['.repeat(4000)}${']'.repeat(4000)}`)),
      'accepted',
    ],
    [
      'names of the prototype',
      () => raw(`{"__proto__":{"scope":"admin"},"constructor":1,${text().slice(1)}`),
      'accepted',
    ],
    ['a signature by one part of the good one', () => token().slice(0, -102), 'signature'],
    [
      'a signature of another token',
      () => [...token({ sub: 'admin' }).split('.').slice(0, 2), token().split('.')[2]].join('.'),
      'signature',
    ],
  ])('%s', async (_, make, expected) => {
    expect(await outcome('any', make())).toBe(expected);
  });
});
