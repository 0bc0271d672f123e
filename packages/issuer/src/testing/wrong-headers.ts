import type { Forge } from './forge.ts';
import { publicJwk } from './test-key.ts';

/**
 * Headers of other kinds of token, with extensions, or with a key that isn't the issuer's (RFC 7515
 * §4.1, RFC 8725 §3.11), under genuine signatures.
 */
export function wrongHeaders({ token, raw, json, header, attacker, stranger }: Forge) {
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  return {
    'no alg': token({}, { alg: undefined }),
    'alg in a list': token({}, { alg: [header.alg] }),
    'alg unknown': token({}, { alg: 'XS256' }),
    'alg in lower case': token({}, { alg: String(header.alg).toLowerCase() }),
    'kid unknown': token({}, { kid: 'unknown' }),
    'kid empty': token({}, { kid: '' }),
    'kid a path': token({}, { kid: '../../../dev/null' }),
    'kid a query': token({}, { kid: "x' OR '1'='1" }),
    'kid __proto__': token({}, { kid: '__proto__' }),
    'kid beyond ASCII': token({}, { kid: 'schlüssel😀' }),
    'kid of 8 kB': token({}, { kid: 'k'.repeat(8000) }),
    'kid a number': token({}, { kid: 5 }),
    'kid null': token({}, { kid: null }),
    'kid an object': token({}, { kid: { toString: 'x' } }),
    'crit unknown': token({}, { crit: ['x'], x: 1 }),
    'crit empty': token({}, { crit: [] }),
    'crit of a registered name': token({}, { crit: ['alg'] }),
    'crit twice the same': token({}, { crit: ['x', 'x'], x: 1 }),
    'crit no list': token({}, { crit: 'exp' }),
    'b64 false': token({}, { b64: false, crit: ['b64'] }),
    'b64 false, not called critical': token({}, { b64: false }),
    'ID token': token({ nonce: 'n', at_hash: 'x' }, { typ: 'JWT' }),
    'ID token without a nonce': token({ at_hash: 'x' }, { typ: 'JWT' }),
    'ID token without a typ': token({ nonce: 'n' }, { typ: undefined }),
    'ID token for the client': token({ aud: 'web', nonce: 'n' }, { typ: 'JWT' }),
    'logout token': token({ events }, { typ: 'logout+jwt' }),
    'logout token of typ JWT': token({ events }, { typ: 'JWT' }),
    'security event': token({ events }, { typ: 'secevent+jwt' }),
    'DPoP proof': token(
      { htm: 'GET', htu: attacker },
      { typ: 'dpop+jwt', jwk: publicJwk(stranger) },
    ),
    'introspection answer': token({}, { typ: 'token-introspection+jwt' }),
    'typ with a parameter': token({}, { typ: 'at+jwt; a=b' }),
    'typ that only ends like ours': token({}, { typ: 'x-at+jwt' }),
    'typ empty': token({}, { typ: '' }),
    'typ a number': token({}, { typ: 5 }),
    'typ null': token({}, { typ: null }),
    'header a list': raw(json(), JSON.stringify([header.alg])),
    'alg twice': raw(json(), `{"alg":"none",${JSON.stringify(header).slice(1)}`),
    'invalid UTF-8 in the header': raw(
      json(),
      Buffer.concat([
        Buffer.from('{"x":"'),
        Buffer.from([0xc3]),
        Buffer.from(`",${JSON.stringify(header).slice(1)}`),
      ]),
    ),
  };
}
