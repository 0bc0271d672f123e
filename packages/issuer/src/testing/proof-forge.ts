import { generateKeyPairSync, hash, type KeyObject } from 'node:crypto';
import { jwkThumbprint } from '../public-jwk.ts';
import { encode, signInput } from '../signed-jwt.ts';
import { createProof, type ProofOptions, thumbprintOf } from './dpop-proof.ts';
import { strangerOf } from './forge.ts';
import type { TestKey } from './test-key.ts';

/** Headers of a request that an API must reject. */
export type HostileRequest = Readonly<{ authorization: string; dpop?: string }>;

/** Options of `hostileProofs`. */
export interface HostileProofsOptions extends Omit<ProofOptions, 'token'> {
  /** Makes a token that the API accepts, with the given `cnf`. Without it the token is bound to no key. */
  readonly token: (claims: { readonly cnf?: { readonly jkt: string } }) => string;
}

export type Jwk = Readonly<Record<string, unknown>>;
type Members = Readonly<Record<string, unknown>>;

/** A good proof, and ways to change it. */
export interface ProofForge {
  readonly options: ProofOptions;
  readonly unbound: string;
  readonly jwk: Jwk;
  /** A key of the same kind. */
  readonly stranger: TestKey;
  /** Headers with the proof, and by default with the good token. */
  readonly request: (dpop: string, token?: string) => HostileRequest;
  /** Signs the good claims and header with changes. */
  readonly changed: (claims?: Members, header?: Members, signer?: TestKey) => HostileRequest;
  /** Signs parts of any form. */
  readonly raw: (change: (header: string, payload: string) => [unknown, unknown]) => HostileRequest;
  /** Sends a token that is bound to any JWK, and a proof with this JWK. Default: an empty signature */
  readonly boundTo: (jwk: Jwk, alg: string, sign?: (input: string) => Buffer) => HostileRequest;
}

/** Makes the good proof, and a token that is bound to its key. */
export function createProofForge({ token: mint, ...rest }: HostileProofsOptions): ProofForge {
  const { key } = rest;
  const options = { ...rest, token: mint({ cnf: { jkt: thumbprintOf(key) } }) };
  const request: ProofForge['request'] = (dpop, token = options.token) => ({
    authorization: `DPoP ${token}`,
    dpop,
  });
  return {
    options,
    unbound: mint({}),
    jwk: key.publicKey.export({ format: 'jwk' }) as Jwk,
    stranger: strangerOf(key),
    request,
    changed: (claims, header, signer) => request(createProof(options, claims, header, signer)),
    raw(change) {
      const [header = '', payload = ''] = createProof(options).split('.').map(decode);
      const [head, body] = change(header, payload);
      return request(signInput(`${encode(head)}.${encode(body)}`, key));
    },
    boundTo(jwk, alg, sign = () => Buffer.alloc(64)) {
      const token = mint({ cnf: { jkt: jwkThumbprint(jwk) } });
      const proof = createProof({ ...options, token }, {}, { jwk, alg });
      const input = proof.slice(0, proof.lastIndexOf('.'));
      return request(`${input}.${sign(input).toString('base64url')}`, token);
    },
  };
}

export function decode(part: string): string {
  return Buffer.from(part, 'base64url').toString();
}

/** Returns the signature of a JWS alone. */
export function signatureOf(input: string, key: TestKey): Buffer {
  const signed = signInput(input, key);
  return Buffer.from(signed.slice(signed.lastIndexOf('.') + 1), 'base64url');
}

/** Returns the padded hash of RS256 for 2048 bits (RFC 8017 §9.2): with the exponent 1, a signature. */
export function paddedHash(input: string): Buffer {
  const info = Buffer.from('3031300d060960864801650304020105000420', 'hex');
  const end = Buffer.concat([Buffer.of(0), info, hash('sha256', input, 'buffer')]);
  return Buffer.concat([Buffer.of(0, 1), Buffer.alloc(254 - end.length, 0xff), end]);
}

let weakKey: { jwk: Jwk; privateKey: KeyObject } | undefined;

/** Returns an RSA key of 1024 bits, the same each time. */
export function weakRsaKey() {
  if (weakKey === undefined) {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    weakKey = { jwk: publicKey.export({ format: 'jwk' }) as Jwk, privateKey };
  }
  return weakKey;
}
