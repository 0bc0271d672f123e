import { constants, type KeyObject, verify } from 'node:crypto';
import {
  answerInTime,
  FAPI_ALGORITHMS,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  type SigningKey,
} from '@koa-oauth/issuer';
import { InvalidTokenError, unavailable } from '../errors.ts';
import type { TokenProfile } from './jwt-access-token.ts';

/** Algorithm for access tokens. All are asymmetric. */
export type Algorithm = SigningAlgorithm;

/** The only algorithm and key that a signature is verified with (RFC 8725 §3.1). */
export interface SignatureRules {
  /** Algorithm of the key, which the token's header names too. */
  readonly alg: Algorithm;
  /** Public key of the issuer. */
  readonly key: KeyObject;
}

/**
 * Verifies the signature of a compact JWS (RFC 7515 §5.2) for `auth({ verifySignature })`, with an HSM, a
 * FIPS module or another library. Any result except `true` is a wrong signature.
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
  readonly keyOptions?: {
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
  PS256: { keyType: 'rsa', hash: 'sha256', keyOptions: PSS },
  PS384: { keyType: 'rsa', hash: 'sha384', keyOptions: PSS },
  PS512: { keyType: 'rsa', hash: 'sha512', keyOptions: PSS },
  ES256: { keyType: 'ec', curve: 'prime256v1', hash: 'sha256', keyOptions: P1363 },
  ES384: { keyType: 'ec', curve: 'secp384r1', hash: 'sha384', keyOptions: P1363 },
  ES512: { keyType: 'ec', curve: 'secp521r1', hash: 'sha512', keyOptions: P1363 },
  EdDSA: ED25519,
  Ed25519: ED25519,
};

/**
 * Verifies the signature of a compact JWS with `node:crypto`, as `auth` does by default. Returns false for
 * a key whose type or curve is not that of the algorithm.
 *
 * @example
 * const verify: VerifySignature = (token, rules) =>
 *   rules.alg === 'ES256' ? hsm.verify(token, rules.key) : verifySignature(token, rules);
 */
export function verifySignature(token: string, { alg, key }: SignatureRules): boolean {
  const { keyType, curve, hash, keyOptions } = SCHEMES[alg];
  if (key.asymmetricKeyType !== keyType) return false;
  if (curve !== undefined && key.asymmetricKeyDetails?.namedCurve !== curve) return false;
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const signed = Buffer.from(token.slice(0, end));
  // Node 24 takes a key alone in half the time of an object that holds it.
  return verify(hash, signed, keyOptions === undefined ? key : { key, ...keyOptions }, signature);
}

/**
 * Returns the key that verifies the signature.
 *
 * @throws InvalidTokenError `signature`; AuthError `ERR_SIGNATURE_UNAVAILABLE` (503) when `verify` throws
 *   or does not answer in time
 */
export async function checkSignature(
  token: string,
  keys: readonly SigningKey[],
  verify: VerifySignature,
): Promise<SigningKey> {
  for (const signingKey of keys) {
    if (await isSignedWith(signingKey, token, verify)) return signingKey;
  }
  throw new InvalidTokenError('signature');
}

/**
 * Reports whether a key verifies the signature of a token or a proof.
 *
 * @throws AuthError `ERR_SIGNATURE_UNAVAILABLE` (503) when `verify` throws or does not answer in time
 */
export async function isSignedWith(
  { alg, key }: SignatureRules,
  jws: string,
  verify: VerifySignature,
): Promise<boolean> {
  try {
    return (await answerInTime(verify(jws, { alg, key }))) === true;
  } catch (cause) {
    throw unavailable('ERR_SIGNATURE_UNAVAILABLE', 'verifySignature', cause);
  }
}

/** Returns the algorithms that a profile allows, for tokens and for proofs. */
export function algorithmsOf(profile: TokenProfile): readonly Algorithm[] {
  return profile === 'fapi2' ? FAPI_ALGORITHMS : SIGNING_ALGORITHMS;
}

/** Reports whether a value is a non-empty list of algorithms that a profile allows. */
export function areAlgorithmsOf(profile: TokenProfile, value: unknown): boolean {
  const allowed = algorithmsOf(profile);
  return Array.isArray(value) && value.length > 0 && value.every((alg) => allowed.includes(alg));
}
