import { isSameIssuer } from '@koa-oauth/issuer';
import { InvalidTokenError } from '../errors.ts';
import type { UnverifiedJwt } from './unverified-jwt.ts';

/**
 * Tokens that are accepted as access tokens: those of RFC 9068 (`typ` is `at+jwt`), those of Auth0's
 * own profile (`typ` is `JWT` or absent), or, by default, both.
 */
export type TokenProfile = 'rfc9068' | 'auth0' | 'any';

/** Rules that a token is checked against. */
export interface AccessTokenRules {
  /** The issuer's identifier as it was configured: a slash at its end is for `checkIssuer`. */
  readonly issuerBaseURL: string;
  /** One of these must be in `aud`. */
  readonly audience: readonly string[];
  readonly algorithms: readonly string[];
  readonly profile: TokenProfile;
  /** Seconds by which clocks may differ. */
  readonly clockTolerance: number;
}

/** The claims of an access token that passed (RFC 9068 §2.2, RFC 7519 §4.1); all others are as they came. */
export interface AccessTokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly iat?: number;
  readonly nbf?: number;
  readonly jti?: string;
  readonly client_id?: string;
  readonly azp?: string;
  readonly scope?: string;
  readonly [claim: string]: unknown;
}

// Only ID tokens have these (OpenID Connect Core §2, §3.3.2.11), and the last only logout tokens
// and other security events (RFC 8417 §2.2).
const FOREIGN_CLAIMS = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'];
const YEAR_9999 = 253_402_300_799;

/**
 * Judges all of a token but its signature (RFC 9068 §4, RFC 8725 §3): header, type, issuer, a slash
 * aside, audience and times. Needs no key and no network, so it comes before both.
 *
 * @param now seconds since the epoch
 * @returns the claims, to be believed once the signature held
 * @throws InvalidTokenError with the reason
 */
export function checkAccessToken(
  { header, payload }: UnverifiedJwt,
  rules: AccessTokenRules,
  now: number,
): AccessTokenClaims {
  checkHeader(header, rules);
  checkType(header, payload, rules.profile);
  checkRegisteredClaims(payload, rules.profile);
  const claims = payload as unknown as AccessTokenClaims;
  const { issuerBaseURL } = rules;
  if (claims.iss !== issuerBaseURL && !isSameIssuer(issuerBaseURL, claims.iss)) {
    throw wrongIssuer(issuerBaseURL);
  }
  checkAudience(claims, rules);
  checkTimes(claims, rules.clockTolerance, now);
  if (payload.cnf !== undefined)
    throw new InvalidTokenError('sender_constrained', '"cnf" is present');
  return claims;
}

/**
 * Judges the issuer: `iss` must equal what the metadata says byte for byte (RFC 9068 §4).
 * @throws InvalidTokenError
 */
export function checkIssuer(
  { iss }: Pick<AccessTokenClaims, 'iss'>,
  { issuer }: { readonly issuer: string },
): void {
  if (iss === issuer) return;
  throw wrongIssuer(issuer, isSameIssuer(iss, issuer) ? ', only the slash at the end differs' : '');
}

/** Judges what doesn't stay true: a token once accepted may have expired since. @throws InvalidTokenError */
export function checkTimes(
  { exp, nbf, iat }: Pick<AccessTokenClaims, 'exp' | 'nbf' | 'iat'>,
  tolerance: number,
  now: number,
): void {
  if (now >= exp + tolerance)
    throw new InvalidTokenError('expired', `"exp" was ${Math.round(now - exp)} s ago`);
  if (nbf !== undefined && nbf > now + tolerance)
    throw new InvalidTokenError('not_yet_valid', '"nbf" lies ahead');
  if (iat !== undefined && iat > now + tolerance)
    throw new InvalidTokenError('not_yet_valid', '"iat" lies ahead');
}

function checkHeader(header: UnverifiedJwt['header'], { algorithms }: AccessTokenRules): void {
  if (typeof header.alg !== 'string' || !algorithms.includes(header.alg))
    throw new InvalidTokenError('algorithm');
  if (header.kid !== undefined && typeof header.kid !== 'string')
    throw new InvalidTokenError('malformed', '"kid" is not a string');
  // RFC 7515 §4.1.11: no extension is understood here, so none may be critical.
  if (header.crit !== undefined || header.b64 !== undefined)
    throw new InvalidTokenError('critical');
}

function checkType(
  header: UnverifiedJwt['header'],
  payload: UnverifiedJwt['payload'],
  profile: TokenProfile,
): void {
  const { typ } = header;
  if (typ !== undefined && typeof typ !== 'string')
    throw new InvalidTokenError('type', '"typ" is not a string');
  const type = typ?.toLowerCase().replace(/^application\//, '');
  if (type === 'at+jwt' && profile !== 'auth0') return;
  if ((type === undefined || type === 'jwt') && profile !== 'rfc9068') {
    const claim = FOREIGN_CLAIMS.find((name) => payload[name] !== undefined);
    if (claim === undefined) return;
    throw new InvalidTokenError('type', `"${claim}" marks another kind of token`);
  }
  throw new InvalidTokenError('type', '"typ" is not that of an access token');
}

function checkRegisteredClaims(payload: UnverifiedJwt['payload'], profile: TokenProfile): void {
  const { iss, sub, aud, exp, nbf, iat } = payload;
  const wrong =
    (typeof iss !== 'string' && 'iss') ||
    ((typeof sub !== 'string' || sub === '') && 'sub') ||
    (!isStringOrStrings(aud) && 'aud') ||
    (!isNumericDate(exp) && 'exp') ||
    (nbf !== undefined && !isNumericDate(nbf) && 'nbf') ||
    (iat !== undefined && !isNumericDate(iat) && 'iat') ||
    ['jti', 'client_id', 'azp', 'scope'].find(
      (name) => payload[name] !== undefined && typeof payload[name] !== 'string',
    ) ||
    // RFC 9068 §2.2 requires these; Auth0's own profile doesn't send them all.
    (profile === 'rfc9068' &&
      ['iat', 'jti', 'client_id'].find((name) => payload[name] === undefined));
  if (wrong) throw new InvalidTokenError('claim', `"${wrong}" is missing or has the wrong type`);
}

function wrongIssuer(expected: string, hint = ''): InvalidTokenError {
  return new InvalidTokenError('issuer', `expected ${JSON.stringify(expected)}${hint}`);
}

function checkAudience({ aud }: AccessTokenClaims, { audience }: AccessTokenRules): void {
  const fits =
    typeof aud === 'string'
      ? audience.includes(aud)
      : aud.some((value) => audience.includes(value));
  if (!fits) throw new InvalidTokenError('audience', `expected ${JSON.stringify(audience)}`);
}

function isStringOrStrings(value: unknown): boolean {
  return (
    typeof value === 'string' ||
    (Array.isArray(value) && value.every((entry) => typeof entry === 'string'))
  );
}

// JSON has numbers beyond all dates, and 1e999 parses as Infinity.
function isNumericDate(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= YEAR_9999;
}
