import { createHash, type KeyObject } from 'node:crypto';
import { SigningKeyNotFound } from '@koa-oauth/issuer';
import { compactVerify, decodeProtectedHeader } from 'jose';
import { OidcError } from './errors.ts';

export interface IdTokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly nonce?: string;
  readonly auth_time?: number;
  readonly azp?: string;
  readonly sid?: string;
  readonly name?: string;
  readonly email?: string;
  readonly [claim: string]: unknown;
}

export interface IdTokenExpectations {
  /** The metadata's `issuer`, byte for byte. */
  readonly issuer: string;
  readonly clientID: string;
  /** The transaction's. When undefined, as at a refresh, none is asked for. */
  readonly nonce: string | undefined;
  /** The access token issued with it; `at_hash` is checked against it. */
  readonly accessToken: string | undefined;
  /** Seconds since the user last signed in, when `max_age` was asked for; 0 counts. */
  readonly maxAge: number | undefined;
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the clocks may differ. */
  readonly clockTolerance: number;
}

export type FindSigningKey = (header: {
  alg?: string;
  kid?: string;
}) => Promise<{ key: KeyObject; alg: string }>;

/** Asymmetric signatures only: no `none`, and no HMAC that a public key could be passed to. */
const ID_TOKEN_ALGS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
] as const;

const MAX_LENGTH = 32 * 1024;
/** An ID token is fetched by us just after it was made: an older one was kept by someone. */
const MAX_AGE_OF_ISSUE = 600;

/**
 * Verifies an ID token: every rule of OpenID Connect Core 1.0 §3.1.3.7, signature included.
 *
 * @param unverified the token as it came
 * @returns the verified claims
 * @throws OidcError `ERR_ID_TOKEN`, its `detail` naming the rule; or what `signingKey` rejects with
 *   when the issuer's keys can't be had
 */
export async function verifyIdToken(
  unverified: string,
  signingKey: FindSigningKey,
  expected: IdTokenExpectations,
): Promise<IdTokenClaims> {
  const header = readHeader(unverified);
  try {
    const { key, alg } = await signingKey(header);
    const { payload } = await compactVerify(unverified, key, { algorithms: [alg] });
    return judgeIdTokenClaims(parse(payload), header.alg, expected);
  } catch (error) {
    if (error instanceof SigningKeyNotFound) throw invalid('no key of the issuer fits', error);
    const { code } = error as { code?: unknown };
    if (typeof code !== 'string' || !/^ERR_(JW|JOSE)/.test(code)) throw error;
    throw invalid('the signature does not verify', error);
  }
}

/** Judges the claims of a token whose signature holds. @throws OidcError `ERR_ID_TOKEN` */
function judgeIdTokenClaims(
  claims: unknown,
  alg: string,
  expected: IdTokenExpectations,
): IdTokenClaims {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw invalid('the payload is not an object');
  }
  const { iss, sub, aud, azp, exp, iat, nbf, nonce, auth_time, at_hash } = claims as Record<
    string,
    unknown
  >;
  const { now, clockTolerance } = expected;

  if (iss !== expected.issuer) throw invalid('"iss" is not the issuer');
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw invalid('"sub" is missing');

  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(expected.clientID)) throw invalid('"aud" does not name this client');
  if (audiences.length > 1 && azp === undefined) throw invalid('"azp" is missing');
  if (azp !== undefined && azp !== expected.clientID) throw invalid('"azp" is not this client');

  if (!isTime(exp)) throw invalid('"exp" is not a time');
  if (now - clockTolerance >= exp) throw invalid('"exp" has passed');
  if (!isTime(iat)) throw invalid('"iat" is not a time');
  if (iat - clockTolerance > now) throw invalid('"iat" lies in the future');
  if (now - iat > MAX_AGE_OF_ISSUE + clockTolerance) throw invalid('"iat" is too long ago');
  if (nbf !== undefined && !(isTime(nbf) && nbf - clockTolerance <= now)) {
    throw invalid('"nbf" lies in the future');
  }

  if (expected.nonce !== undefined && nonce !== expected.nonce) {
    throw invalid('"nonce" is not the one of this sign-in');
  }
  if (auth_time !== undefined && !isTime(auth_time)) throw invalid('"auth_time" is not a time');
  if (expected.maxAge !== undefined) {
    if (!isTime(auth_time)) throw invalid('"auth_time" is missing');
    if (now - auth_time > expected.maxAge + clockTolerance) {
      throw invalid('"auth_time" is longer ago than "max_age" allows');
    }
  }
  if (at_hash !== undefined && expected.accessToken !== undefined) {
    if (at_hash !== accessTokenHash(expected.accessToken, alg)) {
      throw invalid('"at_hash" is not that of the access token');
    }
  }
  return claims as IdTokenClaims;
}

/**
 * Judges the ID token of a refresh against the one of the sign-in (OpenID Connect Core §12.2).
 *
 * @throws OidcError `ERR_ID_TOKEN`
 */
export function judgeRefreshedClaims(refreshed: IdTokenClaims, first: IdTokenClaims): void {
  const audiences = (aud: IdTokenClaims['aud']) => JSON.stringify([aud].flat().sort());
  if (refreshed.iss !== first.iss) throw invalid('"iss" differs from the sign-in\'s');
  if (refreshed.sub !== first.sub) throw invalid('"sub" differs from the sign-in\'s');
  if (audiences(refreshed.aud) !== audiences(first.aud)) {
    throw invalid('"aud" differs from the sign-in\'s');
  }
  if (refreshed.auth_time !== undefined && refreshed.auth_time !== first.auth_time) {
    throw invalid('"auth_time" differs from the sign-in\'s');
  }
  if (refreshed.nonce !== undefined && refreshed.nonce !== first.nonce) {
    throw invalid('"nonce" differs from the sign-in\'s');
  }
}

/** §3.1.3.6: the left half of the hash that belongs to the signature's algorithm. */
export function accessTokenHash(accessToken: string, alg: string): string {
  const digest = createHash(`sha${alg.slice(-3)}`)
    .update(accessToken, 'ascii')
    .digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}

function readHeader(unverified: string): { alg: string; kid?: string } {
  if (unverified.length > MAX_LENGTH) throw invalid('it is too long');
  if (unverified.split('.').length !== 3) throw invalid('it is not a signed JWT');
  let header: { alg?: unknown; kid?: unknown };
  try {
    header = decodeProtectedHeader(unverified);
  } catch (cause) {
    throw invalid('its header is not JSON', cause);
  }
  const { alg, kid } = header;
  if (typeof alg !== 'string' || !(ID_TOKEN_ALGS as readonly string[]).includes(alg)) {
    throw invalid('"alg" is not allowed');
  }
  if (kid === undefined) return { alg };
  if (typeof kid !== 'string') throw invalid('"kid" is not a string');
  return { alg, kid };
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch (cause) {
    throw invalid('the payload is not JSON', cause);
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

function invalid(detail: string, cause?: unknown): OidcError {
  return new OidcError('ERR_ID_TOKEN', { detail, cause });
}
