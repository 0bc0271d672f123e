import { constants, type KeyObject, sign } from 'node:crypto';
import { StacklessError } from './errors.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from './public-jwk.ts';
import { decodeUnverifiedJwt, type UnverifiedJwt } from './unverified-jwt.ts';

/** JWT of an issuer for one of its clients. Its claims may be used once its signature is verified. */
export interface SignedJwt {
  /** Members that select a verification key. */
  readonly header: { readonly alg: string; readonly kid?: string };
  /** All claims. Only these types were checked. */
  readonly claims: Readonly<Record<string, unknown>> & {
    readonly iss: string;
    readonly iat: number;
  };
}

/** Values that a JWT of an issuer is checked against. */
export interface SignedJwtExpectations {
  /** The metadata's `issuer`, byte for byte. */
  readonly issuer: string;
  /** Client id, or several; `aud` must name one. */
  readonly clientID: string | readonly string[];
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the clocks may differ. */
  readonly clockTolerance: number;
  /** Accepted algorithms. Default: `SIGNING_ALGORITHMS`. */
  readonly algorithms?: readonly string[] | undefined;
}

/** Kind of JWT. */
export interface SignedJwtKind {
  /**
   * Reports whether a token is of the expected type (RFC 8725 §3.11).
   *
   * @param typ in lower case, without `application/` (RFC 7515 §4.1.9)
   */
  readonly isType: (typ: string | undefined) => boolean;
  /** Maximum seconds since it was issued. The issuer sends it at once: an older one is a replay. */
  readonly maxAge: number;
}

/** Error for a JWT that breaks a rule. Its message names the rule, and contains no part of the token. */
export class InvalidJwt extends StacklessError {
  override readonly name = 'InvalidJwt';
  readonly code = 'ERR_INVALID_JWT';
}

const MAX_JWT_LENGTH = 32 * 1024;

/**
 * Checks all of a JWT that an issuer signed for a client, such as an ID token, except its signature: form,
 * `alg`, `typ`, `crit`, `iss`, `aud`, `iat` and `exp` (OpenID Connect Core 1.0 §3.1.3.7). It needs
 * neither a key nor the network.
 *
 * @throws InvalidJwt `ERR_INVALID_JWT`, its message naming the rule
 * @example
 * const { header, claims } = checkSignedJwt(token, { isType: (typ) => typ === 'logout+jwt', maxAge: 120 }, expected);
 * const keys = await issuer.signingKeys(header); // next: verify the signature
 */
export function checkSignedJwt(
  unverified: string,
  { isType, maxAge }: SignedJwtKind,
  expected: SignedJwtExpectations,
): SignedJwt {
  const { header, payload } = decode(unverified);
  return {
    header: checkHeader(header, isType, expected),
    claims: checkClaims(payload, maxAge, expected),
  };
}

function decode(unverified: string): UnverifiedJwt {
  if (unverified.length > MAX_JWT_LENGTH) throw new InvalidJwt('it is too long');
  try {
    return decodeUnverifiedJwt(unverified);
  } catch (error) {
    throw new InvalidJwt(`it is not a signed JWT: ${(error as Error).message}`);
  }
}

function checkHeader(
  { alg, kid, typ, crit, b64 }: UnverifiedJwt['header'],
  isType: SignedJwtKind['isType'],
  { algorithms = SIGNING_ALGORITHMS }: SignedJwtExpectations,
): SignedJwt['header'] {
  const allowed: readonly string[] = algorithms;
  if (typeof alg !== 'string' || !allowed.includes(alg)) {
    throw new InvalidJwt('"alg" is not allowed');
  }
  if (typ !== undefined && typeof typ !== 'string') throw new InvalidJwt('"typ" is not a string');
  if (!isType(typ?.toLowerCase().replace(/^application\//, ''))) {
    throw new InvalidJwt('"typ" is that of another kind of token');
  }
  // RFC 7515 §4.1.11: no extension is understood here, so none may be critical.
  if (crit !== undefined || b64 !== undefined) throw new InvalidJwt('"crit" is not understood');
  if (kid === undefined) return { alg };
  if (typeof kid !== 'string') throw new InvalidJwt('"kid" is not a string');
  return { alg, kid };
}

function checkClaims(
  claims: UnverifiedJwt['payload'],
  maxAge: number,
  { issuer, clientID, now, clockTolerance }: SignedJwtExpectations,
): SignedJwt['claims'] {
  const { iss, aud, iat, exp } = claims;
  if (iss !== issuer) throw new InvalidJwt('"iss" is not the issuer');
  const named = [aud].flat();
  if (![clientID].flat().some((id) => named.includes(id))) {
    throw new InvalidJwt('"aud" does not name this client');
  }
  if (!isTime(iat)) throw new InvalidJwt('"iat" is not a time');
  if (iat - clockTolerance > now) {
    throw new InvalidJwt(`"iat" lies in the future, by ${iat - now} seconds: compare the clocks`);
  }
  // Also with a clock that gives no number.
  if (!(now - iat <= maxAge + clockTolerance)) throw new InvalidJwt('"iat" is too long ago');
  if (exp !== undefined && !isTime(exp)) throw new InvalidJwt('"exp" is not a time');
  if (exp !== undefined && now - clockTolerance >= exp) throw new InvalidJwt('"exp" has passed');
  return { ...claims, iss: issuer, iat };
}

/** Reports whether a claim is a time: seconds since 1970, up to the largest safe integer. */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Algorithm and private key that sign a token. They need not fit the token's header. */
export interface Signer {
  readonly alg: SigningAlgorithm;
  readonly privateKey: KeyObject;
}

/**
 * Signs a header and a payload of any form (RFC 7515 §7.1). Text and bytes are used as they are, other
 * values as JSON. The header's `alg` has no effect.
 *
 * @example
 * const token = signJws({ alg: 'ES256', kid }, { iss, aud, exp }, { alg: 'ES256', privateKey });
 */
export function signJws(header: unknown, payload: unknown, signer: Signer): string {
  return signInput(`${encode(header)}.${encode(payload)}`, signer);
}

/** Signs the first two parts of a token, encoded in any way. */
export function signInput(input: string, { alg, privateKey }: Signer): string {
  const options = alg.startsWith('PS')
    ? {
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }
    : alg.startsWith('ES')
      ? { dsaEncoding: 'ieee-p1363' as const }
      : {};
  const hash = alg.startsWith('Ed') ? null : `sha${alg.slice(2)}`;
  const signature = sign(hash, Buffer.from(input), { key: privateKey, ...options });
  return `${input}.${signature.toString('base64url')}`;
}

/** Encodes text, bytes or JSON as one part of a token. */
export function encode(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString('base64url');
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text).toString('base64url');
}
