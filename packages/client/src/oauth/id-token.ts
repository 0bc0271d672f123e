import { hash } from 'node:crypto';
import { isTime, namesLogout, type SignedJwt, type SignedJwtExpectations } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import { scopesOf } from './scope.ts';
import { type FindSigningKeys, verifySignedJwt } from './signed-jwt.ts';

/** The claims of an ID token that was checked (OpenID Connect Core §2). */
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

export interface IdTokenExpectations extends SignedJwtExpectations {
  /** The transaction's. Undefined at a refresh: not checked. */
  readonly nonce?: string | undefined;
  /** The access token issued with it; `at_hash` is checked against it. */
  readonly accessToken?: string | undefined;
  /** Seconds since the user last signed in, when `max_age` was asked for; 0 counts. */
  readonly maxAge?: number | undefined;
  /** Accepted values of `acr`, when it was requested as essential. */
  readonly acr?: readonly string[] | undefined;
}

/**
 * Verifies an ID token: every rule of OpenID Connect Core 1.0 §3.1.3.7, signature included.
 *
 * @throws OidcError `ERR_ID_TOKEN`, its `detail` naming the rule; or what `signingKeys` rejects with
 */
export async function verifyIdToken(
  unverified: string,
  signingKeys: FindSigningKeys,
  expected: IdTokenExpectations,
): Promise<IdTokenClaims> {
  // Access tokens, logout tokens and others name another type (RFC 8725 §3.11).
  const isType = (typ?: string) => !typ?.endsWith('+jwt');
  const kind = { isType, code: 'ERR_ID_TOKEN', maxAge: 600 } as const;
  const verified = await verifySignedJwt(unverified, signingKeys, kind, expected);
  const { alg } = verified;
  const claims = withoutNull(verified.claims);
  checkIdentity(claims, expected);
  checkSignIn(claims, expected);
  const { at_hash } = claims;
  const { accessToken } = expected;
  if (at_hash !== undefined && accessToken !== undefined) {
    if (at_hash !== accessTokenHash(accessToken, alg)) {
      throw invalid('"at_hash" is not that of the access token');
    }
  }
  return claims as unknown as IdTokenClaims;
}

// Some servers write absent claims as null, as Authentik does at a refresh.
function withoutNull(claims: SignedJwt['claims']): SignedJwt['claims'] {
  const names = [...PROTOCOL_CLAIMS, ...SIGN_IN_CLAIMS];
  const isPresent = ([name, value]: [string, unknown]) => value !== null || !names.includes(name);
  return Object.fromEntries(Object.entries(claims).filter(isPresent)) as SignedJwt['claims'];
}

/** Checks which user and client an ID token is for, and when. */
function checkIdentity(
  { events, sub, aud, azp, exp, nbf }: SignedJwt['claims'],
  { clientID, now, clockTolerance }: IdTokenExpectations,
): void {
  // A logout token may lack its `typ` (OpenID Connect Back-Channel Logout 1.0 §2.4).
  if (namesLogout(events)) throw invalid('"events" is that of a logout token');
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw invalid('"sub" is missing');
  if ([aud].flat().length > 1 && azp === undefined) throw invalid('"azp" is missing');
  if (azp !== undefined && azp !== clientID) throw invalid('"azp" is not this client');
  if (exp === undefined) throw invalid('"exp" is missing');
  if (nbf !== undefined && !(isTime(nbf) && nbf - clockTolerance <= now)) {
    throw invalid('"nbf" lies in the future');
  }
}

/** Checks that an ID token is of the sign-in that was requested. */
function checkSignIn(
  { nonce, auth_time, acr }: SignedJwt['claims'],
  { now, clockTolerance, ...expected }: IdTokenExpectations,
): void {
  if (expected.nonce !== undefined && nonce !== expected.nonce) {
    throw invalid('"nonce" is not the one of this sign-in');
  }
  if (auth_time !== undefined && !isTime(auth_time)) throw invalid('"auth_time" is not a time');
  // A time in milliseconds would count as recent forever.
  if (auth_time !== undefined && auth_time - clockTolerance > now) {
    throw invalid('"auth_time" lies in the future');
  }
  if (expected.maxAge !== undefined) {
    if (auth_time === undefined) throw invalid('"auth_time" is missing');
    if (now - auth_time > expected.maxAge + clockTolerance) {
      throw invalid('"auth_time" is longer ago than "max_age" allows');
    }
  }
  if (expected.acr !== undefined && !expected.acr.some((wanted) => wanted === acr)) {
    throw invalid('"acr" is not one of the requested values');
  }
}

/** Judges the ID token of a refresh against the one of the sign-in (OpenID Connect Core §12.2). */
export function judgeRefreshedClaims(refreshed: IdTokenClaims, first: IdTokenClaims): void {
  const comparable = (claims: IdTokenClaims, name: string) =>
    name === 'aud' ? JSON.stringify([claims.aud].flat().sort()) : claims[name];
  for (const name of ['iss', 'sub', 'aud', 'auth_time', 'nonce']) {
    if (refreshed[name] !== undefined && comparable(refreshed, name) !== comparable(first, name)) {
      throw invalid(`"${name}" differs from the sign-in's`);
    }
  }
}

/** Claims about the sign-in, which the ID token of a refresh can lack (OpenID Connect Core §12.2). */
const SIGN_IN_CLAIMS = ['auth_time', 'nonce', 'acr', 'amr', 'session_expiry'];

/** Returns the claims of a newer ID token, and those about the sign-in that it lacks. */
export function mergeRefreshedClaims(
  refreshed: IdTokenClaims,
  before: IdTokenClaims,
): IdTokenClaims {
  // The store finds the session by the `sid` that it was opened with.
  const lacking = SIGN_IN_CLAIMS.filter((name) => refreshed[name] === undefined).concat('sid');
  const kept = lacking
    .filter((name) => before[name] !== undefined)
    .map((name) => [name, before[name]]);
  return { ...refreshed, ...Object.fromEntries(kept) };
}

/** Returns the `at_hash` of an access token (OpenID Connect Core 1.0 §3.1.3.6). */
export function accessTokenHash(accessToken: string, alg: string): string {
  // The names of both algorithms of Ed25519 have no hash. Its own is SHA-512 (RFC 8032 §5.1).
  const name = alg.startsWith('Ed') ? 'sha512' : `sha${alg.slice(-3)}`;
  const digest = hash(name, accessToken, 'buffer');
  return digest.subarray(0, digest.length / 2).toString('base64url');
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_ID_TOKEN', { detail });
}

/** Claims about the token rather than the user. */
const PROTOCOL_CLAIMS = [
  'iss',
  'aud',
  'exp',
  'iat',
  'nbf',
  'azp',
  'nonce',
  'auth_time',
  'acr',
  'amr',
  'at_hash',
  'c_hash',
  's_hash',
  'sid',
  'jti',
];

/** Returns the claims about the user. */
export function userClaims(claims: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.includes(name)),
  );
}

/** Claim of each scope whose absence means that the ID token has none of them (OpenID Connect Core §5.4). */
const CLAIM_OF_SCOPE = {
  profile: 'name',
  email: 'email',
  address: 'address',
  phone: 'phone_number',
} as const;

/** Reports whether the ID token lacks a claim of a granted scope. */
export function lacksClaims(claims: IdTokenClaims, grantedScope: string): boolean {
  const granted = scopesOf(grantedScope);
  return Object.entries(CLAIM_OF_SCOPE).some(
    ([scope, claim]) => granted.has(scope) && claims[claim] === undefined,
  );
}
