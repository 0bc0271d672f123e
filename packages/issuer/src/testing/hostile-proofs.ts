import { createHmac, generateKeyPairSync, hash, randomBytes } from 'node:crypto';
import { encode } from '../signed-jwt.ts';
import { createProof } from './dpop-proof.ts';
import { invalidUtf8, respell, SIBLINGS } from './forge.ts';
import {
  createProofForge,
  decode,
  type HostileProofsOptions,
  type HostileRequest,
  type ProofForge,
  paddedHash,
  signatureOf,
  weakRsaKey,
} from './proof-forge.ts';

/** Name of a hostile proof, which says what is wrong with it. */
export type HostileProofName = keyof ReturnType<typeof makeAll>;
/** Headers of requests that an API must reject, by name. */
export type HostileProofs = Readonly<Record<HostileProofName, HostileRequest>>;

/**
 * Makes requests that an API must reject (RFC 9449 §4.3, §7), each with one fault. Most have a genuine
 * signature. Send each to `url` with `method`; the right answer is 401.
 *
 * @example
 * const key = createTestKey({ alg: 'ES256' });
 * const token = (claims) => issuer.token({ sub: 'alice', aud: audience, ...claims });
 * const proofs = hostileProofs({ key, method: 'GET', url, token });
 * for (const headers of Object.values(proofs)) expect((await fetch(url, { headers })).status).toBe(401);
 */
export function hostileProofs(options: HostileProofsOptions): HostileProofs {
  return Object.freeze(makeAll(createProofForge(options)));
}

function makeAll(forge: ProofForge) {
  return {
    ...wrongRequests(forge),
    ...wrongSignatures(forge),
    ...wrongHeaders(forge),
    ...wrongKeys(forge),
    ...wrongClaims(forge),
    ...wrongAddresses(forge),
    ...wrongForms(forge),
  };
}

/** Wrong headers of the request (RFC 9449 §4.3, §7.1, §7.2). */
function wrongRequests({
  options,
  unbound,
  request,
}: ProofForge): Record<
  | 'no proof'
  | 'an empty proof'
  | 'two proofs in one header'
  | 'the proof in quotes'
  | 'a scheme before the proof'
  | 'the access token as proof'
  | 'a bound token as bearer token'
  | 'an unbound token under DPoP',
  HostileRequest
> {
  const good = createProof(options);
  const { token } = options;
  return {
    'no proof': { authorization: `DPoP ${token}` },
    'an empty proof': request(''),
    'two proofs in one header': request(`${good}, ${createProof(options)}`),
    'the proof in quotes': request(`"${good}"`),
    'a scheme before the proof': request(`DPoP ${good}`),
    'the access token as proof': request(token),
    'a bound token as bearer token': { authorization: `Bearer ${token}`, dpop: good },
    'an unbound token under DPoP': request(createProof({ ...options, token: unbound }), unbound),
  };
}

/** Wrong algorithms and signatures (RFC 9449 §4.3 items 5 and 7). */
function wrongSignatures({ options, jwk, stranger, request, changed }: ProofForge) {
  const good = createProof(options);
  const [head = '', payload = '', signature = ''] = good.split('.');
  const { alg } = options.key;
  const unsigned = (dpop = '') => request(dpop.replace(/[^.]+$/, ''));
  const hmac = (secret: string | Buffer, name = 'HS256') => {
    const input = `${encode({ typ: 'dpop+jwt', alg: name, jwk })}.${payload}`;
    return request(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`);
  };
  const own = stranger.publicKey.export({ format: 'jwk' });
  const pem = options.key.publicKey.export({ format: 'pem', type: 'spki' });
  const sibling = SIBLINGS[alg];
  return {
    'alg none, unsigned': unsigned(changed({}, { alg: 'none' }).dpop),
    'alg none, with a signature': changed({}, { alg: 'none' }),
    'alg None': changed({}, { alg: 'None' }),
    'no signature': unsigned(good),
    'HS256 keyed with the JWK': hmac(JSON.stringify(jwk)),
    'HS256 keyed with the PEM': hmac(pem),
    'HS256 keyed with nothing': hmac(''),
    'an HMAC under the name of the real algorithm': hmac(JSON.stringify(jwk), alg),
    'another algorithm than that of the key': changed({}, { alg: sibling }),
    'alg missing': changed({}, { alg: undefined }),
    'alg unknown': changed({}, { alg: 'XS256' }),
    'alg in a list': changed({}, { alg: [alg] }),
    'alg in lower case': changed({}, { alg: alg.toLowerCase() }),
    'signed by another key': changed({}, {}, stranger),
    'another key, named in the proof': changed({}, { jwk: own }, stranger),
    'another payload under a good signature': request(
      `${head}.${encode(decode(payload).replace('"jti":"', '"jti":"x'))}.${signature}`,
    ),
    'another header under a good signature': request(
      `${encode(decode(head).replace('{', '{"x":1,'))}.${payload}.${signature}`,
    ),
    'a signature cut short': request(`${head}.${payload}.${signature.slice(0, 40)}`),
    'a signature of zeros': request(`${head}.${payload}.${'A'.repeat(signature.length)}`),
    'a signature with more behind it': request(`${good}AAAA`),
  };
}

/** Wrong headers under genuine signatures (RFC 9449 §4.3 item 4, RFC 7515 §4.1). */
function wrongHeaders({ raw, jwk, changed }: ProofForge) {
  const name = 'https://attacker.example/jwks.json';
  return {
    'typ missing': changed({}, { typ: undefined }),
    'typ JWT': changed({}, { typ: 'JWT' }),
    'typ at+jwt': changed({}, { typ: 'at+jwt' }),
    'typ empty': changed({}, { typ: '' }),
    'typ null': changed({}, { typ: null }),
    'typ in a list': changed({}, { typ: ['dpop+jwt'] }),
    'typ with more behind it': changed({}, { typ: 'dpop+jwt; a=b' }),
    'crit unknown': changed({}, { crit: ['x'], x: 1 }),
    'crit empty': changed({}, { crit: [] }),
    'b64 false': changed({}, { b64: false, crit: ['b64'] }),
    'jwk missing': changed({}, { jwk: undefined }),
    'jwk null': changed({}, { jwk: null }),
    'jwk in a list': changed({}, { jwk: [jwk] }),
    'jwk as text': changed({}, { jwk: JSON.stringify(jwk) }),
    'jwk empty': changed({}, { jwk: {} }),
    'the key named by jku': changed({}, { jwk: undefined, jku: name }),
    'the key named by kid': changed({}, { jwk: undefined, kid: 'key-1' }),
    'alg twice': raw((header, payload) => [`{"alg":"none",${header.slice(1)}`, payload]),
    'jwk twice': raw((header, payload) => [`{"jwk":{},${header.slice(1)}`, payload]),
    'kty twice': raw((header, payload) => [header.replace('"jwk":{', '$&"kty":"oct",'), payload]),
    'header in a list': raw((header, payload) => [`[${header}]`, payload]),
    'invalid UTF-8 in the header': raw((header, payload) => [invalidUtf8(header, 0xc3), payload]),
  };
}

/** Tokens that are bound to a key under which others can sign, or to none that fits (RFC 8725 §3.4, §3.5). */
function wrongKeys({ options, jwk, boundTo, changed }: ProofForge) {
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const { x, y, ...ec } = p256.export({ format: 'jwk' }) as Record<string, string>;
  const privateJwk = options.key.privateKey.export({ format: 'jwk' });
  // The factors of this number are not needed.
  const modulus = (bits: number) => {
    const bytes = randomBytes(bits / 8);
    bytes.writeUInt8(bytes.readUInt8(0) | 0x80, 0);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) | 1, bytes.length - 1);
    return { kty: 'RSA', n: bytes.toString('base64url') };
  };
  const small = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from([1, ...Buffer.alloc(31)]) };
  const member = jwk.n === undefined ? 'x' : 'n';
  return {
    'jwk with the private key': changed({}, { jwk: privateJwk }),
    'jwk symmetric': boundTo({ kty: 'oct', k: 'c2VjcmV0' }, 'HS256'),
    'jwk of an unknown type': boundTo({ ...jwk, kty: 'XX' }, options.key.alg),
    'jwk for encryption': changed({}, { jwk: { ...jwk, use: 'enc' } }),
    'jwk for another algorithm': changed({}, { jwk: { ...jwk, alg: 'RSA-OAEP' } }),
    'jwk that may not verify': changed({}, { jwk: { ...jwk, key_ops: ['encrypt'] } }),
    'jwk with padding': boundTo({ ...jwk, [member]: `${jwk[member]}=` }, options.key.alg, (input) =>
      signatureOf(input, options.key),
    ),
    'an RSA key of 1024 bits': boundTo(weakRsaKey().jwk, 'RS256', (input) =>
      signatureOf(input, { ...options.key, alg: 'RS256', privateKey: weakRsaKey().privateKey }),
    ),
    'an RSA key with the exponent 1': boundTo({ ...modulus(2048), e: 'AQ' }, 'RS256', paddedHash),
    'an RSA key with an even exponent': boundTo(
      { ...modulus(2048), e: 'AQAA' },
      'RS256',
      paddedHash,
    ),
    'an RSA key with a huge exponent': boundTo(
      { ...modulus(2048), e: modulus(2040).n },
      'RS256',
      paddedHash,
    ),
    'an RSA key of 16384 bits': boundTo({ ...modulus(16_384), e: 'AQAB' }, 'RS256'),
    'an Ed25519 key of small order': boundTo(
      { ...small, x: small.x.toString('base64url') },
      'EdDSA',
      () => Buffer.concat([small.x, Buffer.alloc(32)]),
    ),
    'a point off its curve': boundTo({ ...ec, x, y: x }, 'ES256'),
    'a point at infinity': boundTo({ ...ec, x: 'A'.repeat(43), y: 'A'.repeat(43) }, 'ES256'),
    'a point of another curve': boundTo({ ...ec, crv: 'P-384', x, y }, 'ES384'),
    'a coordinate missing': boundTo({ ...ec, x }, 'ES256'),
    'a coordinate that is a number': boundTo({ ...ec, x, y: 5 }, 'ES256'),
  };
}

/** Missing and wrong claims, under genuine signatures (RFC 9449 §4.3 items 3, 8, 11 and 12). */
function wrongClaims({ options, raw, changed }: ProofForge) {
  const { method, token, now = Date.now() / 1000 } = options;
  const iat = Math.floor(now);
  const prepended = (member: string) =>
    raw((header, payload) => [header, `{${member},${payload.slice(1)}`]);
  return {
    'jti missing': changed({ jti: undefined }),
    'jti empty': changed({ jti: '' }),
    'jti a number': changed({ jti: 5 }),
    'jti null': changed({ jti: null }),
    'htm missing': changed({ htm: undefined }),
    'htm of another method': changed({ htm: method === 'GET' ? 'POST' : 'GET' }),
    'htm in lower case': changed({ htm: method.toLowerCase() }),
    'htm in a list': changed({ htm: [method] }),
    'htm with a space': changed({ htm: `${method} ` }),
    'iat missing': changed({ iat: undefined }),
    'iat null': changed({ iat: null }),
    'iat a string': changed({ iat: String(iat) }),
    'iat an hour ago': changed({ iat: iat - 3600 }),
    'iat an hour ahead': changed({ iat: iat + 3600 }),
    'iat in milliseconds': changed({ iat: iat * 1000 }),
    'iat negative': changed({ iat: -1 }),
    'iat 1e999': raw((header, payload) => [header, payload.replace(/"iat":\d+/, '"iat":1e999')]),
    'exp past': changed({ exp: iat - 3600 }),
    'exp a string': changed({ exp: String(iat + 60) }),
    'nbf ahead': changed({ nbf: iat + 3600 }),
    'ath missing': changed({ ath: undefined }),
    'ath empty': changed({ ath: '' }),
    'ath of another token': changed({ ath: hash('sha256', `${token}x`, 'base64url') }),
    'ath in hexadecimal': changed({ ath: hash('sha256', token, 'hex') }),
    'ath by SHA-512': changed({ ath: hash('sha512', token, 'base64url') }),
    'ath in a list': changed({ ath: [hash('sha256', token, 'base64url')] }),
    'nonce a number': changed({ nonce: 5 }),
    'iat twice': prepended('"iat":1'),
    'jti twice, once escaped': prepended('"\\u006ati":"x"'),
  };
}

/** Other addresses, and spellings that a parser of browsers repairs (RFC 9449 §4.3 item 9). */
function wrongAddresses({ options, changed }: ProofForge) {
  const { protocol, host, pathname, href, hostname } = new URL(options.url);
  const htu = (value: unknown) => changed({ htu: value });
  const at = (authority: string, path = pathname) => htu(`${protocol}//${authority}${path}`);
  const other = protocol === 'https:' ? 'http:' : 'https:';
  const wide = (text: string) => String.fromCharCode(text.charCodeAt(0) + 0xfee0) + text.slice(1);
  const escaped = (text: string) => `%${text.charCodeAt(0).toString(16)}${text.slice(1)}`;
  return {
    'htu missing': htu(undefined),
    'htu null': htu(null),
    'htu in a list': htu([href]),
    'htu empty': htu(''),
    'htu of another path': at(host, `${pathname}/other`),
    'htu of another host': at('attacker.example'),
    'htu of another port': at(`${hostname}:1`),
    'htu of another scheme': htu(`${other}//${host}${pathname}`),
    'htu of a longer host': at(`${hostname}.attacker.example`),
    'htu with a user': at(`user@${host}`),
    'htu with an empty user': at(`@${host}`),
    'htu with our host as user': at(`${host}@attacker.example`),
    'htu with a path alone': htu(pathname),
    'htu without a scheme': htu(`//${host}${pathname}`),
    'htu without slashes': htu(`${protocol}${host}${pathname}`),
    'htu with one slash': htu(`${protocol}/${host}${pathname}`),
    'htu with three slashes': htu(`${protocol}///${host}${pathname}`),
    'htu with backslashes': htu(`${protocol}\\\\${host}${pathname.replaceAll('/', '\\')}`),
    'htu with a dot segment': at(host, `/.${pathname}`),
    'htu with two dots': at(host, `/other/..${pathname}`),
    'htu with escaped dots': at(host, `/other/%2e%2E${pathname}`),
    'htu with two slashes in the path': at(host, `/${pathname}`),
    'htu with an escaped slash': at(host, `/%2F${pathname.slice(1)}`),
    'htu with an incomplete escape': at(host, `${pathname}%`),
    'htu with a space before it': htu(` ${href}`),
    'htu with a line feed behind it': htu(`${href}\n`),
    'htu with a tab in it': htu(`${protocol}//${host.slice(0, 1)}\t${host.slice(1)}${pathname}`),
    'htu with a wide letter in the host': at(wide(host)),
    'htu with an escape in the host': at(escaped(host)),
    'htu with a soft hyphen in the host': at(`${host.slice(0, 1)}\u00ad${host.slice(1)}`),
    'htu with a long port': at(`${hostname}:0${new URL(options.url).port || '80'}`),
  };
}

/** Proofs that aren't three parts of base64url with JSON objects in them (RFC 9449 §4.3 item 2). */
function wrongForms({ options, raw, request, changed }: ProofForge) {
  const good = createProof(options);
  const [head = '', payload = '', signature = ''] = good.split('.');
  return {
    'no dots': request('abc'),
    'two parts': request(`${head}.${payload}`),
    'four parts': request(`${good}.${signature}`),
    'five parts, as of a JWE': request(`${good}.${signature}.${signature}`),
    'an empty header': request(`.${payload}.${signature}`),
    'an empty payload': request(`${head}..${signature}`),
    'padding at the end': request(`${good}=`),
    'a signature spelled in another way': request(`${head}.${payload}.${respell(signature)}`),
    'payload null': raw((header) => [header, 'null']),
    'payload in a list': raw((header, body) => [header, `[${body}]`]),
    'payload a proof itself': raw((header) => [header, good]),
    'payload cut short': raw((header, body) => [header, body.slice(0, -1)]),
    'payload of brackets without end': raw((header) => [header, '['.repeat(4000)]),
    'a byte order mark': raw((header, body) => [header, `\ufeff${body}`]),
    'invalid UTF-8': raw((header, body) => [header, invalidUtf8(body, 0xff)]),
    'a proof of 10 kB': changed({ x: 'x'.repeat(7000) }),
  };
}
