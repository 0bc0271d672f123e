import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { IssuerError } from '@koa-oauth/issuer';
import { proves } from '../../../../test/support/proves.ts';
import { OidcError } from '../../src/errors.ts';
import { verifyLogoutToken } from '../../src/login/back-channel-logout.ts';
import {
  ISSUER,
  MISREADABLE,
  signingKeys,
  signJws,
  signTexts,
} from '../support/issuer-stand-in.ts';

const NOW = 1_700_000_000;
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';

const expected = { issuer: ISSUER, clientID: 'client-1', now: NOW, clockTolerance: 60 };
const good = {
  iss: ISSUER,
  aud: 'client-1',
  iat: NOW,
  exp: NOW + 120,
  jti: 'jti-1',
  events: { [LOGOUT]: {} },
  sub: 'user-1',
  sid: 'sid-1',
};

const sign = (claims: object, header: object = {}) =>
  signJws({ alg: 'RS256', kid: 'key-1', typ: 'logout+jwt', ...header }, claims);

async function detailOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(OidcError);
    expect((error as OidcError).code).toBe('ERR_LOGOUT_TOKEN');
    expect((error as OidcError).status).toBe(400);
    return (error as OidcError).detail;
  }
  throw new Error('it was accepted');
}

describe('OpenID Connect Back-Channel Logout 1.0 §2.6', () => {
  const accepted: [string, Record<string, unknown>, object?][] = [
    ['as it should be', {}],
    ['no type', {}, { typ: undefined }],
    ['the type of any JWT', {}, { typ: 'JWT' }],
    ['its type in full and in capitals', {}, { typ: 'application/Logout+JWT' }],
    ['aud a list of one', { aud: ['client-1'] }],
    ['aud a list with us', { aud: ['x', 'client-1'] }],
    ['issued two minutes ago, by a clock that is a minute behind', { iat: NOW - 180 }],
    ['issued ahead within the tolerance', { iat: NOW + 60 }],
    ['no exp', { exp: undefined }],
    ['expired within the tolerance', { exp: NOW - 59 }],
    ['additional events', { events: { [LOGOUT]: {}, 'https://x.example/event': {} } }],
    ['more in the event', { events: { [LOGOUT]: { more: true } } }],
    ['unknown claims', { trace_id: '1' }],
    ['sub null, as absent', { sub: null }],
  ];
  test.each(accepted)('%s: accepted', async (_name, change, header = {}) => {
    const verified = await verifyLogoutToken(
      sign({ ...good, ...change }, header),
      signingKeys,
      expected,
    );
    expect(verified).toMatchObject({ iss: ISSUER, jti: 'jti-1', sid: 'sid-1' });
  });

  test('a sub alone is about all of a user’s sessions, a sid about one', async () => {
    const { iss, iat, jti, sub, sid } = good;
    for (const absent of [undefined, null]) {
      const ofUser = sign({ ...good, sid: absent });
      const verified = await verifyLogoutToken(ofUser, signingKeys, expected);
      expect(verified).toEqual({ iss, iat, jti, sub });
    }
    const ofSession = sign({ ...good, sub: undefined });
    expect(await verifyLogoutToken(ofSession, signingKeys, expected)).toEqual({
      iss,
      iat,
      jti,
      sid,
    });
  });

  const rejected: [name: string, change: Record<string, unknown>, detail: string][] = [
    ['iss missing', { iss: undefined }, '"iss"'],
    ['iss of another', { iss: 'https://evil.example/' }, '"iss"'],
    ['iss without its slash', { iss: ISSUER.slice(0, -1) }, '"iss"'],
    ['iss as a list', { iss: [ISSUER] }, '"iss"'],
    ['aud missing', { aud: undefined }, '"aud"'],
    ['aud of another', { aud: 'client-2' }, '"aud"'],
    ['aud a list without us', { aud: ['x', 'y'] }, '"aud"'],
    ['aud a list in a list', { aud: [['client-1']] }, '"aud"'],
    ['aud an object', { aud: { 'client-1': true } }, '"aud"'],
    ['iat missing', { iat: undefined }, '"iat"'],
    ['iat as text', { iat: String(NOW) }, '"iat"'],
    ['iat beyond all bounds', { iat: 1e300 }, '"iat"'],
    ['iat more than two minutes ago', { iat: NOW - 181 }, '"iat"'],
    ['iat in the future', { iat: NOW + 61 }, '"iat"'],
    ['expired', { exp: NOW - 60 }, '"exp"'],
    ['exp as text', { exp: String(NOW + 100) }, '"exp"'],
    ['exp null', { exp: null }, '"exp"'],
    ['jti missing', { jti: undefined }, '"jti"'],
    ['jti empty', { jti: '' }, '"jti"'],
    ['jti a number', { jti: 1 }, '"jti"'],
    ['jti over 255 characters', { jti: 'x'.repeat(256) }, '"jti"'],
    ['events missing', { events: undefined }, '"events"'],
    ['events a list', { events: [LOGOUT] }, '"events"'],
    ['events a text', { events: LOGOUT }, '"events"'],
    ['events null', { events: null }, '"events"'],
    ['events without the member', { events: {} }, '"events"'],
    ['events with another member', { events: { 'https://x.example/event': {} } }, '"events"'],
    ['the event a list', { events: { [LOGOUT]: [] } }, '"events"'],
    ['the event true', { events: { [LOGOUT]: true } }, '"events"'],
    ['the event null', { events: { [LOGOUT]: null } }, '"events"'],
    ['the event text', { events: { [LOGOUT]: '{}' } }, '"events"'],
    ['nonce present', { nonce: 'nonce-1' }, '"nonce"'],
    ['nonce null', { nonce: null }, '"nonce"'],
    ['neither sub nor sid', { sub: undefined, sid: undefined }, '"sub" and "sid"'],
    ['sub and sid null', { sub: null, sid: null }, '"sub" and "sid"'],
    ['sub null without a sid', { sub: null, sid: undefined }, '"sub" and "sid"'],
    ['sub a number', { sub: 1, sid: undefined }, '"sub"'],
    ['sub empty', { sub: '', sid: undefined }, '"sub"'],
    ['sub over 255 characters', { sub: 'x'.repeat(256) }, '"sub"'],
    ['sid a list', { sid: ['sid-1'] }, '"sid"'],
    ['sid empty with a sub', { sid: '' }, '"sid"'],
  ];
  test.each(rejected)('%s: refused', async (_name, change, detail) => {
    proves('ASVS 9.2.3', 'ASVS 10.5.5');
    const verified = verifyLogoutToken(sign({ ...good, ...change }), signingKeys, expected);
    expect(await detailOf(verified)).toContain(detail);
  });
});

describe('anything that is not a logout token is refused', () => {
  const [head = '', body = '', signature = ''] = sign(good).split('.');
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const hmac = (input: string) => createHmac('sha256', 'secret').update(input).digest('base64url');
  const hs256 = `${encode({ alg: 'HS256', typ: 'logout+jwt' })}.${body}`;
  const idToken = { ...good, events: undefined, jti: undefined, nonce: 'n', at_hash: 'x' };
  const accessToken = { ...good, events: undefined, aud: 'https://api.example', scope: 'read' };

  const rejected: [string, string, string][] = [
    ['an ID token', sign(idToken, { typ: 'JWT' }), '"jti"'],
    ['an ID token without a type', sign(idToken, { typ: undefined }), '"jti"'],
    ['an ID token with a jti', sign({ ...idToken, jti: 'j' }, { typ: undefined }), '"events"'],
    ['an ID token with both', sign({ ...idToken, jti: 'j' }, { typ: 'JWT' }), '"events"'],
    ['an access token', sign(accessToken, { typ: 'at+jwt' }), '"typ"'],
    ['an access token without a type', sign(accessToken, { typ: undefined }), '"aud"'],
    [
      'an access token for us',
      sign({ ...accessToken, aud: 'client-1' }, { typ: undefined }),
      '"events"',
    ],
    ['typ of a security event', sign(good, { typ: 'secevent+jwt' }), '"typ"'],
    ['typ empty', sign(good, { typ: '' }), '"typ"'],
    ['typ a number', sign(good, { typ: 5 }), '"typ"'],
    ['typ null', sign(good, { typ: null }), '"typ"'],
    ['typ that only ends like ours', sign(good, { typ: 'x-logout+jwt' }), '"typ"'],
    ['unsigned', `${encode({ alg: 'none', typ: 'logout+jwt' })}.${body}.`, 'not a signed JWT'],
    ['alg none', `${encode({ alg: 'none', typ: 'logout+jwt' })}.${body}.${signature}`, '"alg"'],
    ['signed with a secret', `${hs256}.${hmac(hs256)}`, '"alg"'],
    ['another alg than the key has', sign(good, { alg: 'PS256' }), 'signature'],
    ['no signature', `${head}.${body}.`, 'not a signed JWT'],
    [
      'the signature of another',
      `${head}.${encode({ ...good, sub: 'v' })}.${signature}`,
      'signature',
    ],
    ['crit', sign(good, { crit: ['x'], x: 1 }), '"crit"'],
    ['garbage', 'garbage', 'not a signed JWT'],
    ['encrypted', 'a.b.c.d.e', 'not a signed JWT'],
    ['far too long', `${head}.${'A'.repeat(40_000)}.${signature}`, 'too long'],
    ['a list', sign([good]), 'JSON object'],
  ];
  test.each(rejected)('%s: refused', async (_name, token, detail) => {
    proves('RFC 8725 §3.12', 'ASVS 9.1.1', 'ASVS 9.2.2', 'ASVS 10.5.5');
    expect(await detailOf(verifyLogoutToken(token, signingKeys, expected))).toContain(detail);
  });

  test.each(MISREADABLE)('%s (RFC 8725 §3.7)', async (_name, header, payload, detail) => {
    const token = signTexts(header, payload(JSON.stringify(good)));
    expect(await detailOf(verifyLogoutToken(token, signingKeys, expected))).toContain(detail);
  });

  test('a key that the issuer does not have makes the token invalid', async () => {
    const key = async () => {
      throw new IssuerError('ERR_SIGNING_KEY_NOT_FOUND');
    };
    expect(await detailOf(verifyLogoutToken(sign(good), key, expected))).toContain('no key');
  });

  test('keys that cannot be fetched do not make the token invalid', async () => {
    const unavailable = Object.assign(new Error('down'), { status: 503 });
    const key = () => Promise.reject(unavailable);
    await expect(verifyLogoutToken(sign(good), key, expected)).rejects.toBe(unavailable);
  });
});
