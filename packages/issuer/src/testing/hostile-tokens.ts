import { createHmac } from 'node:crypto';
import { encode } from '../signed-jwt.ts';
import {
  createForge,
  type Forge,
  type HostileTokensOptions,
  invalidUtf8,
  respell,
  SIBLINGS,
} from './forge.ts';
import { publicJwk } from './test-key.ts';

/** Name of a hostile token, which says what is wrong with it. */
export type HostileTokenName = keyof ReturnType<typeof makeAll>;
/** Tokens that an API must reject, by name. */
export type HostileTokens = Readonly<Record<HostileTokenName, string>>;

/**
 * Makes tokens that an API must reject, each with one fault.
 *
 * @throws TypeError when the claims name no audience
 * @example
 * const tokens = hostileTokens({ issuer, key, now: Date.now() / 1000, claims: { aud: audience } });
 * expect(await statusOf(server, tokens['alg none, unsigned'])).toBe(401);
 */
export function hostileTokens(options: HostileTokensOptions): HostileTokens {
  return Object.freeze(makeAll(createForge(options)));
}

function makeAll(forge: Forge) {
  return {
    ...wrongSignatures(forge),
    ...wrongHeaders(forge),
    ...wrongClaims(forge),
    ...wrongForms(forge),
  };
}

/** Wrong algorithms, keys and signatures (RFC 8725 §3.1 to §3.5, §3.10). */
function wrongSignatures({ good, token, key, stranger, header, attacker, json }: Forge) {
  const [head = '', payload = '', signature = ''] = good.split('.');
  const unsigned = (alg: string) => token({}, { alg }).replace(/[^.]+$/, '');
  const forged = (change: Forge['header']) => token({}, change, stranger);
  const hmac = (secret: string | Buffer, alg = 'HS256') => {
    const input = `${encode({ ...header, alg })}.${payload}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const pem = key.publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const sibling = SIBLINGS[key.alg];
  const signer = sibling === 'Ed448' ? key : { ...key, alg: sibling };

  return {
    'alg none, unsigned': unsigned('none'),
    'alg none, with a signature': token({}, { alg: 'none' }),
    'alg None': token({}, { alg: 'None' }),
    'alg NONE': token({}, { alg: 'NONE' }),
    'alg nOnE': token({}, { alg: 'nOnE' }),
    'no signature': unsigned(key.alg),
    'HS256 keyed with the PEM': hmac(pem),
    'HS256 keyed with the PEM, trimmed': hmac(pem.trim()),
    'HS256 keyed with the DER': hmac(key.publicKey.export({ format: 'der', type: 'spki' })),
    'HS256 keyed with the JWK': hmac(JSON.stringify(publicJwk(key))),
    'HS256 keyed with nothing': hmac(''),
    'HS256 with a space before it': hmac(pem, ' HS256'),
    'an HMAC under the name of the real algorithm': hmac(pem, key.alg),
    'another algorithm of the same key': token({}, { alg: sibling }, signer),
    'another key under the right kid': forged({}),
    'another key, without a kid': forged({ kid: undefined }),
    'another key, embedded as jwk': forged({ jwk: publicJwk(stranger) }),
    'another key, named by jku': forged({ jku: `${attacker}jwks.json` }),
    'another key, named by x5u': forged({ x5u: `${attacker}cert.pem` }),
    'another key, with a certificate as x5c': forged({ x5c: ['MIIB'] }),
    'another key, under a kid that is an address': forged({ kid: `${attacker}jwks.json` }),
    'another payload under a good signature': `${head}.${encode(json({ sub: 'admin' }))}.${signature}`,
    'another header under a good signature': `${encode({ ...header, x: 1 })}.${payload}.${signature}`,
    'a signature cut short': `${head}.${payload}.${signature.slice(0, 40)}`,
    'a signature of zeros': `${head}.${payload}.${'A'.repeat(signature.length)}`,
    'a signature with more behind it': `${good}AAAA`,
  };
}

/**
 * Headers of other kinds of token, with extensions, or with a key that isn't the issuer's (RFC 7515
 * §4.1, RFC 8725 §3.11), under genuine signatures.
 */
function wrongHeaders({ token, raw, json, header, attacker, stranger }: Forge) {
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
    'ID token by its claim token_use': token({ token_use: 'id' }, { typ: 'JWT' }),
    'refresh token by its claim typ': token({ typ: 'Refresh' }, { typ: 'JWT' }),
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
    'invalid UTF-8 in the header': raw(json(), invalidUtf8(JSON.stringify(header), 0xc3)),
  };
}

/** Missing and wrong claims (RFC 7519 §4.1, RFC 9068 §4), under genuine signatures. */
function wrongClaims({ token, raw, json, issuer, audience, now }: Forge) {
  return {
    'exp missing': token({ exp: undefined }),
    'exp null': token({ exp: null }),
    'exp a string': token({ exp: String(now + 3600) }),
    'exp past': token({ exp: now - 3600, iat: now - 7200 }),
    'exp 0': token({ exp: 0 }),
    'exp negative': token({ exp: -1 }),
    'exp 1e999': raw(`{"exp":1e999,${json({ exp: undefined }).slice(1)}`),
    'exp in milliseconds': token({ exp: (now + 3600) * 1000 }),
    'nbf ahead': token({ nbf: now + 3600 }),
    'nbf a string': token({ nbf: String(now) }),
    'iat ahead': token({ iat: now + 9999, exp: now + 99_999 }),
    'iat a string': token({ iat: String(now) }),
    'iss missing': token({ iss: undefined }),
    'iss other': token({ iss: 'https://attacker.example/' }),
    'iss a list with ours in it': token({ iss: [issuer] }),
    'iss without its slash': token({ iss: issuer.replace(/\/$/, '') }),
    'iss in other case': token({ iss: issuer.toUpperCase() }),
    'iss with more behind it': token({ iss: `${issuer}@attacker.example/` }),
    'aud missing': token({ aud: undefined }),
    'aud null': token({ aud: null }),
    'aud other': token({ aud: 'https://attacker.example/api' }),
    'aud an empty list': token({ aud: [] }),
    'aud an object before ours': token({ aud: [{}, audience] }),
    'aud null behind ours': token({ aud: [audience, null] }),
    'aud ours in a list in a list': token({ aud: [[audience]] }),
    'aud with more behind it': token({ aud: `${audience}.attacker.example` }),
    'aud two in one string': token({ aud: `other ${audience}` }),
    'sub missing': token({ sub: undefined }),
    'sub null': token({ sub: null }),
    'sub empty': token({ sub: '' }),
    'sub a number': token({ sub: 5 }),
    'sub an object': token({ sub: { id: 'alice' } }),
    'jti a number': token({ jti: 5 }),
    'client_id a list': token({ client_id: ['web'] }),
    'scope an object': token({ scope: { read: true } }),
    'scope a list with a number': token({ scope: ['read', 5] }),
    // A token bound to a key must not pass as a bearer token (RFC 9449 §7.2, RFC 8705 §3).
    'cnf with jkt': token({ cnf: { jkt: 'x' } }),
    'cnf with x5t#S256': token({ cnf: { 'x5t#S256': 'x' } }),
    'cnf of an unknown method': token({ cnf: { other: 'x' } }),
    'cnf null': token({ cnf: null }),
  };
}

/** Tokens that aren't three parts of base64url with JSON objects in them (RFC 7515 §7.1, RFC 7519 §7.2). */
function wrongForms({ good, raw, json, signParts }: Forge) {
  const [head = '', payload = '', signature = ''] = good.split('.');
  const prepended = (member: string) => raw(`{${member},${json().slice(1)}`);
  // At any offset, the encoding of six question marks has a "_".
  const underscored = encode(json({ note: '??????' }));
  return {
    'exp twice': prepended('"exp":1'),
    'sub twice, once escaped': prepended('"s\\u0075b":"admin"'),
    'a name twice further in': prepended('"x":{"a":1,"a":2}'),
    'invalid UTF-8': raw(invalidUtf8(json(), 0xff)),
    'a byte order mark': raw(`\ufeff${json()}`),
    'payload null': raw('null'),
    'payload a list': raw(`[${json()}]`),
    'payload a string': raw(JSON.stringify('alice')),
    'payload a number': raw('5'),
    'payload a token itself': raw(good),
    'payload cut short': raw(json().slice(0, -1)),
    'payload of brackets without end': raw('['.repeat(10_000)),
    'no dots': 'abc',
    'dots only': '..',
    'two parts': `${head}.${payload}`,
    'four parts': `${good}.${signature}`,
    'five parts, as of a JWE': `${good}.${signature}.${signature}`,
    'an empty header': `.${payload}.${signature}`,
    'an empty payload': `${head}..${signature}`,
    'padding at the end': `${good}=`,
    'a signature spelled in another way': `${head}.${payload}.${respell(signature)}`,
    'a payload spelled in another way': signParts(head, respell(payload)),
    'the alphabet of plain base64': signParts(
      head,
      underscored.replaceAll('_', '/').replaceAll('-', '+'),
    ),
    // Node's own server answers 431 unless its maxHeaderSize is raised.
    'more than 16 kB': raw(json({ x: 'x'.repeat(13_000) })),
  };
}
