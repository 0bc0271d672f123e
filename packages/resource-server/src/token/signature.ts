import { constants, type KeyObject, verify } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '@koa-oauth/issuer';

/** The algorithms accepted unless an option narrows them. */
export const ALGORITHMS = SIGNING_ALGORITHMS;

/** An algorithm that access tokens may be signed with: an asymmetric one. */
export type Algorithm = SigningAlgorithm;

/** The one algorithm and the one key that a signature must hold with (RFC 8725 §3.1). */
export interface SignatureRules {
  /** Algorithm of the key, which the token's header names too. */
  readonly alg: Algorithm;
  /** Public key of the issuer. */
  readonly key: KeyObject;
}

/**
 * Verifies the signature of a compact JWS (RFC 7515 §5.2), for `auth({ verifySignature })`: with an
 * HSM, a FIPS module or another library. Only `true` means that it holds.
 *
 * Return `false` for a wrong signature (401). An error means that the signature could not be checked:
 * the request is answered 503, because getting another token would not help.
 *
 * @example
 * auth({
 *   issuerBaseURL,
 *   audience,
 *   verifySignature: (token, { alg, key }) => hsm.verify(token, alg, key),
 * });
 */
export type VerifySignature = (token: string, rules: SignatureRules) => boolean | Promise<boolean>;

/** Parameters of `node:crypto` for one algorithm of RFC 7518 §3.1 or RFC 8037 §3.1. */
interface Scheme {
  readonly keyType: 'rsa' | 'ec' | 'ed25519';
  /** RFC 7518 §3.4 ties each ECDSA algorithm to one curve. */
  readonly curve?: string;
  readonly hash: string | null;
  readonly encoding?: {
    readonly padding?: number;
    readonly saltLength?: number;
    readonly dsaEncoding?: 'ieee-p1363';
  };
}

const PSS = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  // RFC 7518 §3.5
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
} as const;
const P1363 = { dsaEncoding: 'ieee-p1363' } as const;
const ED25519 = { keyType: 'ed25519', hash: null } as const;

const SCHEMES: Readonly<Record<Algorithm, Scheme>> = {
  RS256: { keyType: 'rsa', hash: 'sha256' },
  RS384: { keyType: 'rsa', hash: 'sha384' },
  RS512: { keyType: 'rsa', hash: 'sha512' },
  PS256: { keyType: 'rsa', hash: 'sha256', encoding: PSS },
  PS384: { keyType: 'rsa', hash: 'sha384', encoding: PSS },
  PS512: { keyType: 'rsa', hash: 'sha512', encoding: PSS },
  ES256: { keyType: 'ec', curve: 'prime256v1', hash: 'sha256', encoding: P1363 },
  ES384: { keyType: 'ec', curve: 'secp384r1', hash: 'sha384', encoding: P1363 },
  ES512: { keyType: 'ec', curve: 'secp521r1', hash: 'sha512', encoding: P1363 },
  EdDSA: ED25519,
  Ed25519: ED25519,
};

/**
 * Verifies the signature of a compact JWS with `node:crypto`; what `auth` uses by default. A key of
 * another type or curve than the algorithm's verifies nothing.
 *
 * @example
 * const verify: VerifySignature = (token, rules) =>
 *   rules.alg === 'ES256' ? hsm.verify(token, rules.key) : verifySignature(token, rules);
 */
export function verifySignature(token: string, { alg, key }: SignatureRules): boolean {
  const { keyType, curve, hash, encoding } = SCHEMES[alg];
  if (key.asymmetricKeyType !== keyType) return false;
  if (curve !== undefined && key.asymmetricKeyDetails?.namedCurve !== curve) return false;
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const signed = Buffer.from(token.slice(0, end));
  // Node 24 takes a key alone in half the time of an object that holds it.
  return verify(hash, signed, encoding === undefined ? key : { key, ...encoding }, signature);
}
