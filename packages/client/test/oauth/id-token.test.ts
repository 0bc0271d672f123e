import { createHash, createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { IssuerError, isTime } from '@koa-oauth/issuer';
import { proves } from '../../../../test/support/proves.ts';
import { rsaKeyPair } from '../../../../test/support/test-keys.ts';
import { OidcError } from '../../src/errors.ts';
import {
  accessTokenHash,
  type IdTokenClaims,
  type IdTokenExpectations,
  judgeRefreshedClaims,
  userClaims,
  verifyIdToken,
} from '../../src/oauth/id-token.ts';
import { verifySignedJwt } from '../../src/oauth/signed-jwt.ts';
import {
  ISSUER,
  MISREADABLE,
  signingKeys,
  signJws,
  signTexts,
} from '../support/issuer-stand-in.ts';

describe('an ID token', () => {
  const NOW = 1_700_000_000;
  const ACCESS_TOKEN = 'access-1';

  const expected: IdTokenExpectations = {
    issuer: ISSUER,
    clientID: 'client-1',
    nonce: 'nonce-1',
    accessToken: ACCESS_TOKEN,
    maxAge: undefined,
    now: NOW,
    clockTolerance: 60,
  };
  const good = {
    iss: ISSUER,
    sub: 'u',
    aud: 'client-1',
    iat: NOW,
    exp: NOW + 300,
    nonce: 'nonce-1',
  };

  const sign = (claims: object, header: object = {}) =>
    signJws({ alg: 'RS256', kid: 'key-1', ...header }, claims);

  async function detailOf(work: Promise<unknown>): Promise<string | undefined> {
    try {
      await work;
    } catch (error) {
      expect(error).toBeInstanceOf(OidcError);
      expect((error as OidcError).code).toBe('ERR_ID_TOKEN');
      return (error as OidcError).detail;
    }
    throw new Error('it was accepted');
  }

  type Claims = Record<string, unknown>;

  describe('OpenID Connect Core 1.0 §3.1.3.7: claims', () => {
    const hash = accessTokenHash(ACCESS_TOKEN, 'RS256');
    const accepted: [string, Claims, Partial<IdTokenExpectations>?][] = [
      ['as it should be', {}],
      ['aud as a list of one', { aud: ['client-1'] }],
      ['two audiences and azp', { aud: ['client-1', 'x'], azp: 'client-1' }],
      ['azp without need', { azp: 'client-1' }],
      ['expired within the tolerance', { iat: NOW - 300, exp: NOW - 59 }],
      ['issued ahead within the tolerance', { iat: NOW + 60 }],
      ['issued ten minutes ago', { iat: NOW - 600 }],
      ['at_hash', { at_hash: hash }],
      ['auth_time within max_age', { auth_time: NOW - 100 }, { maxAge: 100 }],
      ['auth_time now, max_age 0', { auth_time: NOW }, { maxAge: 0 }],
      ['auth_time by a clock ahead', { auth_time: NOW + 60 }, { maxAge: 0 }],
      ['acr among the asked', { acr: 'b' }, { acr: ['a', 'b'] }],
      ['acr that was not requested', { acr: 'b' }],
      ['nbf now', { nbf: NOW }],
      ['a time with a fraction', { exp: NOW + 0.5 }],
      ['events of an app’s own', { events: ['concert'] }],
      ['a nonce that was not requested', {}, { nonce: undefined }],
    ];
    test.each(accepted)('%s: accepted', async (_name, change, also = {}) => {
      const claims = { ...good, ...change };
      const verified = await verifyIdToken(sign(claims), signingKeys, { ...expected, ...also });
      expect(verified).toEqual(claims);
    });

    test.each([
      ...['azp', 'nbf', 'auth_time', 'acr', 'amr', 'at_hash', 'c_hash', 'sid', 'jti'],
      'session_expiry',
    ])('%s null: accepted as absent', async (name) => {
      const token = sign({ ...good, [name]: null, manager: null });
      expect(await verifyIdToken(token, signingKeys, expected)).toStrictEqual({
        ...good,
        manager: null,
      });
    });

    const rejected: [string, Claims, string, Partial<IdTokenExpectations>?][] = [
      ['iss missing', { iss: undefined }, '"iss"'],
      ['iss of another', { iss: 'https://evil.example/' }, '"iss"'],
      ['iss without its slash', { iss: ISSUER.slice(0, -1) }, '"iss"'],
      ['iss as a list', { iss: [ISSUER] }, '"iss"'],
      ['sub missing', { sub: undefined }, '"sub"'],
      ['sub empty', { sub: '' }, '"sub"'],
      ['sub a number', { sub: 1 }, '"sub"'],
      ['sub over 255 characters', { sub: 'x'.repeat(256) }, '"sub"'],
      ['aud missing', { aud: undefined }, '"aud"'],
      ['aud of another', { aud: 'client-2' }, '"aud"'],
      ['aud that begins like ours', { aud: 'client-12' }, '"aud"'],
      ['aud a list without us', { aud: ['x', 'y'] }, '"aud"'],
      ['aud an object', { aud: { 'client-1': true } }, '"aud"'],
      ['several audiences without azp', { aud: ['client-1', 'x'] }, '"azp"'],
      ['azp of another', { azp: 'client-2' }, '"azp"'],
      ['several audiences, azp null', { aud: ['client-1', 'x'], azp: null }, '"azp"'],
      ['exp missing', { exp: undefined }, '"exp"'],
      ['exp null', { exp: null }, '"exp"'],
      ['exp as text', { exp: String(NOW + 300) }, '"exp"'],
      ['exp beyond all bounds', { exp: 1e300 }, '"exp"'],
      ['exp negative', { exp: -1 }, '"exp"'],
      ['expired', { exp: NOW - 60 }, '"exp"'],
      ['iat missing', { iat: undefined }, '"iat"'],
      ['iat as text', { iat: String(NOW) }, '"iat"'],
      ['iat in the future', { iat: NOW + 61 }, '"iat"'],
      ['iat a week ago', { iat: NOW - 604_800 }, '"iat"'],
      ['nbf in the future', { nbf: NOW + 61 }, '"nbf"'],
      ['nbf as text', { nbf: 'now' }, '"nbf"'],
      ['nonce missing', { nonce: undefined }, '"nonce"'],
      ['nonce of another', { nonce: 'nonce-2' }, '"nonce"'],
      ['nonce null', { nonce: null }, '"nonce"'],
      ['nonce as a list', { nonce: ['nonce-1'] }, '"nonce"'],
      ['auth_time missing', {}, '"auth_time"', { maxAge: 100 }],
      ['auth_time null', { auth_time: null }, '"auth_time"', { maxAge: 100 }],
      ['auth_time too long ago', { auth_time: NOW - 161 }, '"auth_time"', { maxAge: 100 }],
      ['auth_time too long ago for 0', { auth_time: NOW - 61 }, '"auth_time"', { maxAge: 0 }],
      ['auth_time as text', { auth_time: String(NOW) }, '"auth_time"'],
      ['auth_time in the future', { auth_time: NOW + 61 }, '"auth_time" lies in the future'],
      ['auth_time in milliseconds', { auth_time: NOW * 1000 }, '"auth_time"', { maxAge: 100 }],
      ['acr missing', {}, '"acr"', { acr: ['a'] }],
      ['acr not among the asked', { acr: 'c' }, '"acr"', { acr: ['a', 'b'] }],
      ['acr that holds one of the asked', { acr: 'a b' }, '"acr"', { acr: ['a', 'b'] }],
      ['acr a list', { acr: ['a'] }, '"acr"', { acr: ['a'] }],
      ['acr where none would do', { acr: 'a' }, '"acr"', { acr: [] }],
      ['at_hash of another', { at_hash: accessTokenHash('x', 'RS256') }, '"at_hash"'],
      ['at_hash not text', { at_hash: 1 }, '"at_hash"'],
      [
        'a logout token without its type',
        { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
        '"events"',
      ],
    ];
    test.each(rejected)('%s: rejected', async (_name, change, detail, also = {}) => {
      proves(
        'RFC 8725 §3.8 issuer',
        'RFC 8725 §3.9',
        'RFC 8725 §3.12',
        'RFC 9700 §4.6',
        'ASVS 9.2.1',
        'ASVS 10.5.1',
        'ASVS 10.5.4',
      );
      const token = sign({ ...good, ...change });
      const verified = verifyIdToken(token, signingKeys, { ...expected, ...also });
      expect(await detailOf(verified)).toContain(detail);
    });

    test.each([[[]], [[good]], ['text'], [1], [null]])('payload %j: rejected', async (payload) => {
      const token = signJws({ alg: 'RS256', kid: 'key-1' }, payload);
      expect(await detailOf(verifyIdToken(token, signingKeys, expected))).toContain('JSON object');
    });

    test('claims nested too deep to be stored: rejected', async () => {
      const payload = JSON.stringify({ ...good, x: 0 });
      const nested = payload.replace('"x":0', `"x":${'['.repeat(9000)}${']'.repeat(9000)}`);
      const token = signTexts('{"alg":"RS256","kid":"key-1"}', nested);
      const verified = verifyIdToken(token, signingKeys, expected);
      expect(await detailOf(verified)).toContain('nested too deep');
    });

    test.each(MISREADABLE)(
      '%s: rejected (RFC 8725 §3.7)',
      async (_name, header, payload, detail) => {
        proves('RFC 8725 §3.7');
        const token = signTexts(header, payload(JSON.stringify(good)));
        expect(await detailOf(verifyIdToken(token, signingKeys, expected))).toContain(detail);
      },
    );
  });

  describe('OpenID Connect Core 1.0 §3.1.3.7: signature', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const signEd = (claims: object, alg: string) => {
      const [header = '', payload = ''] = sign(claims, { alg }).split('.');
      const input = `${header}.${payload}`;
      return `${input}.${signWith(null, Buffer.from(input), privateKey).toString('base64url')}`;
    };

    test.each(['EdDSA', 'Ed25519'])('%s: accepted, with the at_hash of SHA-512', async (alg) => {
      const half = createHash('sha512').update(ACCESS_TOKEN).digest().subarray(0, 32);
      const claims = { ...good, at_hash: half.toString('base64url') };
      const keys = async () => [{ key: publicKey, alg }];
      expect(await verifyIdToken(signEd(claims, alg), keys, expected)).toEqual(claims);
      const other = signEd({ ...claims, at_hash: accessTokenHash('x', alg) }, alg);
      expect(await detailOf(verifyIdToken(other, keys, expected))).toContain('"at_hash"');
      const forged = `${signEd(claims, alg).slice(0, -4)}AAAA`;
      expect(await detailOf(verifyIdToken(forged, keys, expected))).toContain('signature');
      const rsa = signEd(claims, alg);
      expect(await detailOf(verifyIdToken(rsa, signingKeys, expected))).toContain('signature');
    });

    const [head = '', body = '', signature = ''] = sign(good).split('.');
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const hmac = (input: string) =>
      createHmac('sha256', 'secret').update(input).digest('base64url');
    const hs256 = `${encode({ alg: 'HS256' })}.${body}`;

    const rejected: [string, string, string][] = [
      ['alg none', `${encode({ alg: 'none' })}.${body}.`, 'not a signed JWT'],
      ['alg none with a signature', `${encode({ alg: 'none' })}.${body}.${signature}`, '"alg"'],
      ['alg NONE', `${encode({ alg: 'NONE' })}.${body}.${signature}`, '"alg"'],
      ['HMAC', `${hs256}.${hmac(hs256)}`, '"alg"'],
      ['alg missing', `${encode({})}.${body}.${signature}`, '"alg"'],
      ['alg a list', `${encode({ alg: ['RS256'] })}.${body}.${signature}`, '"alg"'],
      ['another alg than the key has', sign(good, { alg: 'PS256' }), 'signature'],
      ['a curve for an RSA key', sign(good, { alg: 'ES256' }), 'signature'],
      ['kid a number', sign(good, { kid: 1 }), '"kid"'],
      ['typ of an access token', sign(good, { typ: 'at+jwt' }), '"typ"'],
      ['typ of a logout token', sign(good, { typ: 'logout+jwt' }), '"typ"'],
      ['typ in full and in capitals', sign(good, { typ: 'application/Logout+JWT' }), '"typ"'],
      ['typ no text', sign(good, { typ: 1 }), '"typ"'],
      ['crit', sign(good, { crit: ['x'], x: 1 }), '"crit"'],
      ['b64 (RFC 7797)', sign(good, { crit: ['b64'], b64: false }), '"crit"'],
      ['no signature', `${head}.${body}.`, 'not a signed JWT'],
      ['two spellings of a signature', `${head}.${body}.${signature}=`, 'not a signed JWT'],
      [
        'a signature of another',
        `${head}.${encode({ ...good, sub: 'v' })}.${signature}`,
        'signature',
      ],
      ['two parts', `${head}.${body}`, 'not a signed JWT'],
      ['five parts, encrypted', 'a.b.c.d.e', 'not a signed JWT'],
      ['no header', `.${body}.${signature}`, 'not a signed JWT'],
      ['nothing', '', 'not a signed JWT'],
      ['far too long', `${head}.${'A'.repeat(40_000)}.${signature}`, 'too long'],
    ];
    test.each(rejected)('%s: rejected', async (_name, token, detail) => {
      proves(
        'RFC 8725 §3.1 HMAC',
        'RFC 8725 §3.2',
        'RFC 8725 §3.3',
        'RFC 8725 §3.11',
        'ASVS 9.1.1',
      );
      expect(await detailOf(verifyIdToken(token, signingKeys, expected))).toContain(detail);
    });

    test('no key is asked for when the algorithm is not allowed', async () => {
      proves('ASVS 9.1.2');
      let asked = false;
      const key = async () => {
        asked = true;
        return signingKeys();
      };
      await detailOf(
        verifyIdToken(`${encode({ alg: 'none' })}.${body}.${signature}`, key, expected),
      );
      expect(asked).toBe(false);
    });

    test('each key of its name is tried (RFC 7517 §4.5)', async () => {
      const others = [1, 2].map((index) => ({ key: rsaKeyPair(index).publicKey, alg: 'RS256' }));
      const all = async () => [...others, ...(await signingKeys())];
      expect((await verifyIdToken(sign(good), all, expected)).sub).toBe('u');
      const none = async () => others;
      expect(await detailOf(verifyIdToken(sign(good), none, expected))).toContain('signature');
    });

    test('an unknown kid is the token’s fault', async () => {
      const key = async () => {
        throw new IssuerError('ERR_SIGNING_KEY_NOT_FOUND');
      };
      expect(await detailOf(verifyIdToken(sign(good), key, expected))).toContain('no key');
    });

    test('keys that cannot be fetched do not make the token invalid', async () => {
      const unavailable = Object.assign(new Error('down'), { status: 503 });
      const key = () => Promise.reject(unavailable);
      await expect(verifyIdToken(sign(good), key, expected)).rejects.toBe(unavailable);
    });
  });

  test.each([
    ['RS256', 'sha256', 16],
    ['PS384', 'sha384', 24],
    ['ES512', 'sha512', 32],
  ])('§3.1.3.6: at_hash of %s is the left half of %s', (alg, name, bytes) => {
    const half = createHash(name).update('t').digest().subarray(0, bytes);
    expect(accessTokenHash('t', alg)).toBe(half.toString('base64url'));
  });

  describe('OpenID Connect Core 1.0 §12.2: ID token of a refresh', () => {
    const first: IdTokenClaims = { ...good, auth_time: NOW - 10 };

    test.each([
      ['the same again', first],
      ['issued later', { ...first, iat: NOW + 5, exp: NOW + 500 }],
      ['without nonce and auth_time', { ...first, nonce: undefined, auth_time: undefined }],
      ['aud as a list', { ...first, aud: ['client-1'] }],
    ] as [string, IdTokenClaims][])('%s: accepted', (_name, refreshed) => {
      expect(() => judgeRefreshedClaims(refreshed, first)).not.toThrow();
    });

    test.each([
      ['iss', { iss: 'https://other.example/' }],
      ['sub', { sub: 'v' }],
      ['aud', { aud: ['client-1', 'x'] }],
      ['auth_time', { auth_time: NOW }],
      ['nonce', { nonce: 'n2' }],
    ])('another %s: rejected', async (name, change) => {
      proves('RFC 8725 §3.8 subject');
      const judge = async () => judgeRefreshedClaims({ ...first, ...change }, first);
      expect(await detailOf(judge())).toContain(`"${name}"`);
    });
  });

  test('the user’s claims are all but those about the token', () => {
    const token = { iss: 'i', aud: 'c', exp: 2, iat: 1, nbf: 1, azp: 'c', nonce: 'n', jti: 'j' };
    const signIn = {
      auth_time: 1,
      acr: 'a',
      amr: ['pwd'],
      at_hash: 'h',
      c_hash: 'h',
      s_hash: 'h',
      sid: 's',
    };
    const user = { sub: 'u', name: 'Ada', 'https://example.com/roles': ['admin'] };
    expect(userClaims({ ...token, ...signIn, ...user })).toEqual(user);
  });
});

describe('a signed JWT', () => {
  const expected = { issuer: ISSUER, clientID: 'client-1', now: 1_700_000_000, clockTolerance: 60 };
  const claims = { iss: ISSUER, aud: 'client-1', iat: expected.now, a: 1 };
  const sign = (header: object) => signJws({ alg: 'RS256', kid: 'key-1', ...header }, claims);

  test.each([
    ['logout+jwt', 'logout+jwt'],
    ['application/at+JWT', 'at+jwt'],
    ['APPLICATION/JWT', 'jwt'],
    [undefined, undefined],
  ])('RFC 7515 §4.1.9: typ %s is asked about as %s', async (typ, asked) => {
    const types: unknown[] = [];
    const isType = (type?: string) => types.push(type) > 0;
    const kind = { isType, code: 'ERR_ID_TOKEN', maxAge: 60 } as const;
    const verified = await verifySignedJwt(sign({ typ }), signingKeys, kind, expected);
    expect(verified).toEqual({ alg: 'RS256', claims });
    expect(types).toEqual([asked]);
  });

  test('another kind of token is refused before a key is asked for', async () => {
    const kind = { isType: () => false, code: 'ERR_LOGOUT_TOKEN', maxAge: 60 } as const;
    const key = () => Promise.reject(new Error('asked'));
    await expect(verifySignedJwt(sign({}), key, kind, expected)).rejects.toMatchObject({
      code: 'ERR_LOGOUT_TOKEN',
      detail: '"typ" is that of another kind of token',
    });
  });

  test.each([
    [0, true],
    [1_700_000_000.5, true],
    [-1, false],
    [1e300, false],
    [Number.NaN, false],
    ['1700000000', false],
    [null, false],
    [undefined, false],
  ])('isTime(%p) is %p', (value, expected) => {
    expect(isTime(value)).toBe(expected);
  });
});
