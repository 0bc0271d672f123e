import { generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf } from '../../../test/support/properties.ts';
import { proves } from '../../../test/support/proves.ts';
import { rsaKeyPair } from '../../../test/support/test-keys.ts';
import { issuerUnavailable } from '../src/errors.ts';
import type { LeftOutKey } from '../src/events.ts';
import {
  createJwksClient,
  JwkSet,
  type JwkSetOptions,
  parseWithNode,
  type SigningKey,
} from '../src/jwk-set.ts';

type Jwk = JsonWebKey & Record<string, unknown>;

const unavailable = { code: 'ERR_ISSUER_UNAVAILABLE', status: 503 };
const notFound = { code: 'ERR_SIGNING_KEY_NOT_FOUND' };

const rsaPair = rsaKeyPair();
const rsa = rsaPair.publicKey.export({ format: 'jwk' }) as Jwk;
const rsa2 = publicJwk(rsaKeyPair(1));
const rsa1024 = publicJwk(generateKeyPairSync('rsa', { modulusLength: 1024 }));
const p256 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
const p384 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }));
const p521 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-521' }));
const k256 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }));
const ed25519 = publicJwk(generateKeyPairSync('ed25519'));
const ed448 = publicJwk(generateKeyPairSync('ed448'));
const x25519 = publicJwk(generateKeyPairSync('x25519'));
const privateRsa = rsaPair.privateKey.export({ format: 'jwk' }) as Jwk;

function publicJwk({ publicKey }: { publicKey: typeof rsaPair.publicKey }): Jwk {
  return publicKey.export({ format: 'jwk' }) as Jwk;
}

/** Returns the usable and the ignored keys of a published document. */
async function readKeys(document: unknown) {
  let keys: readonly SigningKey[] = [];
  let leftOut: readonly LeftOutKey[] = [];
  const set = new JwkSet({
    fetch: async () => ({ status: 200, body: document, maxAge: undefined }),
    monotonicNow: () => 0,
    maxStale: 0,
    cooldown: 0,
    onRefreshed: (all) => {
      keys = all;
    },
    onLeftOut: (all) => {
      leftOut = all;
    },
  });
  await set.ready();
  return { keys, leftOut };
}

describe('a key set', () => {
  const RSA_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];

  test.each<[string, Jwk, string[]]>([
    ['RSA without alg (RFC 7517 §4.4)', rsa, RSA_ALGORITHMS],
    ['RSA with alg RS512', { ...rsa, alg: 'RS512' }, ['RS512']],
    ['RSA with alg PS256', { ...rsa, alg: 'PS256' }, ['PS256']],
    ['P-256', p256, ['ES256']],
    ['P-384', p384, ['ES384']],
    ['P-521', p521, ['ES512']],
    ['Ed25519', ed25519, ['EdDSA', 'Ed25519']],
    ['Ed25519 named EdDSA', { ...ed25519, alg: 'EdDSA' }, ['EdDSA', 'Ed25519']],
    ['Ed25519 (RFC 9864 §2.2)', { ...ed25519, alg: 'Ed25519' }, ['EdDSA', 'Ed25519']],
    ['one with use', { ...rsa, alg: 'RS256', use: 'sig', key_ops: ['verify'] }, ['RS256']],
    ['one with unknown members', { ...rsa, x5t: 'a', x5c: ['b'], note: {} }, RSA_ALGORITHMS],
  ])('%s is a key for each of its algorithms (RFC 8725 §3.1)', async (_, jwk, algs) => {
    const { keys, leftOut } = await readKeys({ keys: [{ ...jwk, kid: 'a' }] });
    const key = expect.objectContaining({ type: 'public' });
    expect(keys).toEqual(algs.map((alg) => ({ kid: 'a', alg, key })));
    expect(new Set(keys.map((each) => each.key)).size).toBe(1);
    expect(leftOut).toEqual([]);
  });

  test.each<[string, unknown, string | RegExp]>([
    ['RSA under 2048 bits (RFC 7518 §3.3)', rsa1024, 'RSA key under 2048 bits'],
    [
      'RSA with the exponent 1 (RFC 8017 §3.1)',
      { ...rsa, e: 'AQ' },
      'RSA exponent that is even or under 3',
    ],
    ['RSA with the exponent 65536', { ...rsa, e: 'AQAA' }, 'RSA exponent that is even or under 3'],
    [
      'Ed25519 with a point of small order (RFC 8032 §5.1.7)',
      { ...ed25519, x: `AQ${'A'.repeat(41)}` },
      'Ed25519 point of small order',
    ],
    ['a private key', privateRsa, 'private or symmetric key'],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, 'private or symmetric key'],
    ['a symmetric key that hides it', { kty: 'oct' }, 'unsupported key type or curve'],
    ['one for encryption', { ...rsa, use: 'enc' }, 'not for signatures'],
    ['one whose use is a list', { ...rsa, use: ['sig'] }, 'not for signatures'],
    ['one whose key_ops lack verify', { ...rsa, key_ops: ['encrypt'] }, 'not for verifying'],
    ['RSA with an alg of elliptic curves', { ...rsa, alg: 'ES256' }, '"alg" does not fit the key'],
    ['RSA with a symmetric alg', { ...rsa, alg: 'HS256' }, '"alg" does not fit the key'],
    ['RSA with alg none', { ...rsa, alg: 'none' }, '"alg" does not fit the key'],
    ['RSA for encryption by its alg', { ...rsa, alg: 'RSA-OAEP' }, '"alg" does not fit the key'],
    ['an alg that is a list', { ...rsa, alg: ['RS256'] }, '"alg" does not fit the key'],
    ['an alg that is null', { ...rsa, alg: null }, '"alg" does not fit the key'],
    ['P-384 with alg ES256', { ...p384, alg: 'ES256' }, '"alg" does not fit the key'],
    ['a P-384 point called P-256', { ...p384, crv: 'P-256' }, 'malformed'],
    ['a point off its curve', { ...p256, y: p256.x }, 'malformed'],
    ['secp256k1', k256, 'unsupported key type or curve'],
    ['Ed448', ed448, 'unsupported key type or curve'],
    ['X25519', x25519, 'unsupported key type or curve'],
    ['RSA with a curve', { ...rsa, crv: 'P-256' }, 'unsupported key type or curve'],
    ['RSA without a modulus', { kty: 'RSA', e: 'AQAB' }, 'malformed'],
    ['RSA with a modulus that is a number', { kty: 'RSA', e: 'AQAB', n: 5 }, /./],
    ['an unknown type', { kty: 'AKP' }, 'unsupported key type or curve'],
    ['no type', {}, 'unsupported key type or curve'],
    ['the type __proto__', { kty: '__proto__' }, 'unsupported key type or curve'],
    ['the type constructor', { kty: 'constructor', alg: 'x' }, 'unsupported key type or curve'],
    ['a type without text', JSON.parse('{"kty":{"toString":1}}'), /./],
    ['a kid that is a number', { ...rsa, kid: 5 }, '"kid" is not a short string'],
    ['a kid of 257 characters', { ...rsa, kid: 'k'.repeat(257) }, '"kid" is not a short string'],
    ['null', null, 'not an object'],
    ['a string', 'key', 'not an object'],
    ['a list', [], 'unsupported key type or curve'],
  ])('%s is left out with a reason, and the good one works', async (_, jwk, reason) => {
    proves('RFC 8725 §3.4', 'RFC 8725 §3.5', 'FAPI 2.0 §5.4.1-2', 'FAPI 2.0 §5.4.1-3');
    const { keys, leftOut } = await readKeys({
      keys: [jwk, { ...rsa2, alg: 'RS256', kid: 'good' }],
    });
    expect(keys.map(({ kid }) => kid)).toEqual(['good']);
    expect(leftOut).toHaveLength(1);
    expect(leftOut[0]?.reason).toMatch(
      typeof reason === 'string' ? new RegExp(`^${reason}$`) : reason,
    );
  });

  test.each<[string, unknown]>([
    ['null', null],
    ['a list', [rsa]],
    ['a string', 'keys'],
    ['empty', {}],
    ['one whose keys are an object', { keys: { 0: rsa, length: 1 } }],
    ['one without keys', { keys: [] }],
    ['one with bad keys only', { keys: [rsa1024, null, { ...rsa, use: 'enc' }] }],
  ])('a document that is %s is no key set (RFC 7517 §5)', async (_, document) => {
    await expect(readKeys(document)).rejects.toMatchObject(unavailable);
  });

  test('the first hundred keys are read, and no more', async () => {
    const many = Array.from({ length: 150 }, (_, i) => ({ ...p256, kid: `k${i}` }));
    const { keys } = await readKeys({ keys: many });
    expect(keys.map(({ kid }) => kid)).toEqual(many.slice(0, 100).map(({ kid }) => kid));
  });

  test('no document of any shape makes another error than ERR_ISSUER_UNAVAILABLE', async () => {
    const member = fc.oneof(fc.jsonValue(), fc.constantFrom('RSA', 'EC', 'sig', 'AQAB', rsa.n));
    const jwk = fc.dictionary(
      fc.constantFrom('kty', 'kid', 'alg', 'use', 'n', 'e', 'crv', 'x', 'y', '__proto__'),
      member,
    );
    const document = fc.oneof(
      fc.jsonValue(),
      fc.record({ keys: fc.array(fc.oneof(jwk, fc.jsonValue()), { maxLength: 5 }) }),
    );
    await fc.assert(
      fc.asyncProperty(document, async (value) => {
        await readKeys(value).catch((error: unknown) => {
          expect(error).toMatchObject(unavailable);
        });
      }),
      { seed: 7517, numRuns: casesOf(500) },
    );
  });
});

test('node:crypto parses what jwks-rsa parses, and nothing else', async () => {
  const jwks = [
    { ...rsa, alg: 'RS256' },
    { ...rsa, alg: 'PS512', use: 'sig', key_ops: ['verify'], x5c: ['b'] },
    { ...rsa1024, alg: 'RS256' },
    { ...p256, alg: 'ES256' },
    { ...p521, alg: 'ES512' },
    { ...ed25519, alg: 'EdDSA' },
    { ...ed25519, alg: 'Ed25519' },
    { ...p384, crv: 'P-256', alg: 'ES256' },
    { ...p256, y: p256.x, alg: 'ES256' },
    { ...ed25519, x: 'AA', alg: 'EdDSA' },
    { kty: 'RSA', e: 'AQAB', alg: 'RS256' },
    { kty: 'EC', crv: 'P-256', alg: 'ES256' },
    { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' },
  ].map((jwk, index) => ({ ...jwk, kid: String(index) }));
  const fetcher = async () => ({ keys: jwks });
  const [byJwksRsa, byNode] = await Promise.all([
    createJwksClient(fetcher).then((client) => client.getSigningKeys()),
    parseWithNode(fetcher),
  ]);
  const shown = (keys: typeof byNode) => keys.map((key) => [key.kid, key.getPublicKey().trim()]);
  expect(shown(byNode)).toEqual(shown(byJwksRsa));
  expect(byNode.map(({ kid }) => Number(kid))).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

/** A set over a list of JWKs that can be changed, and a clock that is set by hand. */
function setUp(jwks: Jwk[], options: Partial<JwkSetOptions> = {}) {
  const source = { jwks, calls: 0, status: 200, failure: undefined as Error | undefined };
  const clock = { now: 1_000_000_000_000 };
  const set = new JwkSet({
    fetch: async () => {
      source.calls += 1;
      await new Promise((resolve) => setImmediate(resolve));
      if (source.failure) throw source.failure;
      return { status: source.status, body: { keys: source.jwks }, maxAge: undefined };
    },
    monotonicNow: () => clock.now,
    maxStale: 3_600_000,
    cooldown: 10_000,
    ...options,
  });
  return { source, clock, set };
}

const MINUTE = 60_000;
const one = { ...rsa, kid: 'one', alg: 'RS256' };
const two = { ...rsa2, kid: 'two', alg: 'RS256' };
const byOne = { alg: 'RS256', kid: 'one' };
const byTwo = { alg: 'RS256', kid: 'two' };

describe('which key is found', () => {
  test.each<[string, Jwk[], Record<string, unknown>, string | undefined]>([
    ['by kid', [one, two], byTwo, 'two'],
    ['by kid in other case', [one], { alg: 'RS256', kid: 'ONE' }, undefined],
    ['by kid, but another alg (RFC 8725 §3.1)', [one], { alg: 'PS256', kid: 'one' }, undefined],
    ['by kid, but a symmetric alg', [one], { alg: 'HS256', kid: 'one' }, undefined],
    ['by kid, but no alg', [one], { kid: 'one' }, undefined],
    ['no kid, one key', [one], { alg: 'RS256' }, 'one'],
    ['no kid, several keys of the alg', [one, two], { alg: 'RS256' }, undefined],
    ['no kid, one key of the alg', [one, { ...p256, kid: 'ec' }], { alg: 'ES256' }, 'ec'],
    ['a kid, and a key without', [rsa], byOne, undefined],
    [
      'two keys of one kid, told apart by alg',
      [
        { ...p256, kid: 'one' },
        { ...p384, kid: 'one' },
      ],
      { alg: 'ES384', kid: 'one' },
      'one',
    ],
    ['a kid that is empty', [one], { alg: 'RS256', kid: '' }, undefined],
    ['a kid that is null', [one], { alg: 'RS256', kid: null }, undefined],
    ['a kid that is a number', [{ ...one, kid: '1' }], { alg: 'RS256', kid: 1 }, undefined],
    ['a kid that is a list', [one], { alg: 'RS256', kid: ['one'] }, undefined],
    ['a kid of a megabyte', [one], { alg: 'RS256', kid: 'k'.repeat(2 ** 20) }, undefined],
    ['a kid named __proto__', [one], { alg: 'RS256', kid: '__proto__' }, undefined],
    ['an alg named constructor', [one], { alg: 'constructor', kid: 'one' }, undefined],
    ['an alg that is a list', [one], { alg: ['RS256'], kid: 'one' }, undefined],
  ])('%s', async (_, jwks, header, kid) => {
    proves('RFC 8725 §3.1 algorithm', 'RFC 8725 §3.10', 'FAPI 2.0 §5.4.3');
    const { set } = setUp(jwks);
    const found = set.find(header);
    if (kid === undefined) await expect(found).rejects.toMatchObject(notFound);
    else expect(await found).toMatchObject([{ kid, alg: header.alg }]);
  });

  test('two keys with one kid and one alg, in the order of the set (RFC 7517 §4.5)', async () => {
    proves('FAPI 2.0 §5.4.3');
    const { set } = setUp([one, { ...rsa2, kid: 'one' }]);
    const found = await set.find(byOne);
    expect(found.map(({ key }) => key.export({ format: 'jwk' }).n)).toEqual([rsa.n, rsa2.n]);
    expect(await set.find(byOne)).toBe(found);
  });

  test('at most four of one name, and one that is listed twice is one', async () => {
    const named = Array.from({ length: 6 }, () => ({
      ...publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' })),
      kid: 'one',
    }));
    const { set } = setUp([named[0]!, ...named]);
    const found = await set.find({ alg: 'ES256', kid: 'one' });
    const x = found.map(({ key }) => key.export({ format: 'jwk' }).x);
    expect(x).toEqual(named.slice(0, 4).map((jwk) => jwk.x));
  });

  test('without kid, a key without alg is no plain choice next to one of its type', async () => {
    const { set } = setUp([
      { ...rsa, kid: 'any' },
      { ...rsa2, kid: 'one', alg: 'PS256' },
    ]);
    await expect(set.find({ alg: 'PS256' })).rejects.toMatchObject(notFound);
    expect(await set.find({ alg: 'RS256' })).toMatchObject([{ kid: 'any' }]);
  });
});

describe('a key that is not known', () => {
  test('is looked for once more: the first token after a rotation finds its key', async () => {
    const { source, set } = setUp([one]);
    await set.find(byOne);
    source.jwks = [two, one];
    expect(await set.find(byTwo)).toMatchObject([{ kid: 'two' }]);
    expect(source.calls).toBe(2);
  });

  test('right after the first fetch it is not looked for again', async () => {
    const { source, set } = setUp([one]);
    await expect(set.find(byTwo)).rejects.toMatchObject(notFound);
    expect(source.calls).toBe(1);
  });

  test('a flood of made-up names makes one fetch per cooldown, and good keys are found', async () => {
    const { source, clock, set } = setUp([one]);
    await set.find(byOne);
    for (let round = 1; round <= 3; round += 1) {
      const flood = Array.from({ length: 2000 }, (_, i) =>
        set.find({ alg: 'RS256', kid: `made-up-${i}` }).catch(({ code }) => code),
      );
      expect(await set.find(byOne)).toMatchObject([{ kid: 'one' }]);
      expect(new Set(await Promise.all(flood))).toEqual(new Set(['ERR_SIGNING_KEY_NOT_FOUND']));
      clock.now += 9_999;
      await expect(set.find(byTwo)).rejects.toMatchObject(notFound);
      expect(source.calls).toBe(1 + round);
      clock.now += 1;
    }
  });

  test('an unknown key is an outage while the issuer is down', async () => {
    const { source, clock, set } = setUp([one]);
    await set.find(byOne);
    source.failure = issuerUnavailable('down');
    await expect(set.find(byTwo)).rejects.toMatchObject(unavailable);
    await expect(set.find(byTwo)).rejects.toMatchObject(unavailable);
    expect(await set.find(byOne)).toMatchObject([{ kid: 'one' }]);
    expect(source.calls).toBe(2);
    source.failure = undefined;
    source.jwks = [two];
    clock.now += 250;
    expect(await set.find(byTwo)).toMatchObject([{ kid: 'two' }]);
  });
});

describe('over time', () => {
  test('a key taken out of the set is gone after the next fetch', async () => {
    const { source, clock, set } = setUp([one, two]);
    const [key] = await set.find(byOne);
    expect(set.has(key!)).toBe(true);
    source.jwks = [two];
    clock.now += 10 * MINUTE;
    await expect(set.find(byOne)).rejects.toMatchObject(notFound);
    expect(set.has(key!)).toBe(false);
    expect(await set.find(byTwo)).toMatchObject([{ kid: 'two' }]);
  });

  test('a key that stays is the same object after the next fetch', async () => {
    const { source, clock, set } = setUp([one]);
    const [key] = await set.find(byOne);
    source.jwks = [two, { ...one }];
    clock.now += 10 * MINUTE;
    expect((await set.find(byOne))[0]).toBe(key);
    expect(source.calls).toBe(2);
  });

  test('a key replaced under the same kid is another key', async () => {
    const { source, clock, set } = setUp([one]);
    const [key] = await set.find(byOne);
    source.jwks = [{ ...rsa2, kid: 'one' }];
    clock.now += 10 * MINUTE;
    expect((await set.find(byOne))[0]).not.toBe(key);
    expect(set.has(key!)).toBe(false);
  });

  test.each<[string, Jwk[], number]>([
    ['an empty set', [], 200],
    ['a set of bad keys', [rsa1024], 200],
    ['a 404', [two], 404],
    ['a redirect', [two], 302],
    ['a 204', [two], 204],
  ])('%s does not take the place of a good one', async (_, jwks, status) => {
    const { source, clock, set } = setUp([one]);
    await set.find(byOne);
    Object.assign(source, { jwks, status });
    clock.now += 11 * MINUTE;
    expect(await set.find(byOne)).toMatchObject([{ kid: 'one' }]);
    expect(source.calls).toBe(2);
  });
});

describe('keys left out', () => {
  test('are reported, with kid and reason', async () => {
    const told: LeftOutKey[] = [];
    const { set } = setUp([one, { ...rsa1024, kid: 'weak' }], {
      onLeftOut: (keys) => told.push(...keys),
    });
    await set.find(byOne);
    expect(told).toEqual([{ kid: 'weak', reason: 'RSA key under 2048 bits' }]);
  });
});
