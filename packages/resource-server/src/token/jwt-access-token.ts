import { isSameIssuer, type UnverifiedJwt } from '@koa-oauth/issuer';
import { InvalidTokenError } from '../errors.ts';
import type { Scheme } from '../request/challenge.ts';

/**
 * Tokens that are accepted as access tokens: those of RFC 9068 (`typ` is `at+jwt`), those of Auth0's
 * own profile (`typ` is `JWT` or absent), or, by default, both. `fapi2` accepts both too, but only as the
 * FAPI 2.0 Security Profile allows.
 */
export type TokenProfile = 'rfc9068' | 'auth0' | 'any' | 'fapi2';

/** Rules that a token is checked against. */
export interface AccessTokenRules {
  /** Issuer identifier as configured: its slash at the end may differ from the issuer's own. */
  readonly issuerBaseURL: string;
  /** Identifiers of which `aud` must contain one. */
  readonly audience: readonly string[];
  readonly algorithms: readonly string[];
  readonly profile: TokenProfile;
  /** Tokens may or must be bound to a key (RFC 9449 §6). Undefined: they must not. */
  readonly dpop?: 'allowed' | 'required' | undefined;
  /** Seconds by which clocks may differ. */
  readonly clockTolerance: number;
  /** Name of the claim with the scopes. Undefined: `scope`, or `scp`. */
  readonly scopeClaim?: string | undefined;
  /** False accepts a token without `sub` that names its client. */
  readonly subRequired?: boolean | undefined;
}

/** Claims of an accepted access token (RFC 9068 §2.2, RFC 7519 §4.1). Only these types were checked. */
export interface AccessTokenClaims {
  readonly iss: string;
  /** Present, unless `subRequired` is false. */
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly iat?: number;
  readonly nbf?: number;
  readonly jti?: string;
  readonly client_id?: string;
  readonly azp?: string;
  /** `scopes` of `ctx.state.auth` has its words, or those of another claim. */
  readonly scope?: string | readonly string[];
  /** The key that the token is bound to (RFC 7800 §3.1). `auth` has checked it. */
  readonly cnf?: unknown;
  readonly [claim: string]: unknown;
}

// ID tokens have the first four (OpenID Connect Core §2, §3.3.2.11); logout tokens and other security
// events have the last (RFC 8417 §2.2).
const CLAIMS_OF_OTHER_TOKENS = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'];
/** Claims by which issuers name the kind of a token, where its type does not. */
const KINDS: readonly [claim: string, accepted: RegExp][] = [
  // Amazon Cognito, Ory Hydra
  ['token_use', /^access(?:_token)?$/],
  // Keycloak
  ['typ', /^(?:bearer|dpop|jwt|(?:application\/)?at\+jwt|access(?:[_-]?token)?)$/i],
  // PingAM
  ['tokenName', /^access_token$/],
  // Oracle
  ['tok_type', /^AT$/],
];
/** Members of `cnf` that bind a token in another way (RFC 7800 §3, RFC 8705 §3.1). */
const OTHER_CONFIRMATIONS = ['x5t#S256', 'jwk', 'jwe', 'jku'];
const NO_SCOPES: readonly string[] = Object.freeze([]);
export const YEAR_9999 = 253_402_300_799;

/**
 * Checks all of a token except its signature (RFC 9068 §4, RFC 8725 §3). It needs neither a key nor the
 * network. The slash at the end of `iss` may be wrong: `checkIssuer` compares it.
 *
 * @param now seconds since the epoch
 * @returns the claims, which may be trusted only after the signature is verified
 * @throws InvalidTokenError with the reason
 */
export function checkAccessToken(
  { header, payload }: UnverifiedJwt,
  rules: AccessTokenRules,
  now: number,
): AccessTokenClaims {
  checkHeader(header, rules);
  checkType(header, payload, rules.profile);
  return checkClaims(payload, rules, now);
}

/** Checks the claims of a token. @throws InvalidTokenError with the reason */
export function checkClaims(
  payload: UnverifiedJwt['payload'],
  rules: AccessTokenRules,
  now: number,
): AccessTokenClaims {
  checkRegisteredClaims(payload, rules);
  const { issuerBaseURL } = rules;
  if (payload.iss !== issuerBaseURL && !isSameIssuer(issuerBaseURL, payload.iss)) {
    throw wrongIssuer(issuerBaseURL);
  }
  checkAudience(payload, rules);
  checkTimes(payload, rules.clockTolerance, now);
  return payload;
}

/**
 * Reports whether a JWT leaves claims to introspection, as Keycloak's lightweight access tokens do. RFC 9068
 * requires these claims.
 */
export function isLightweightToken(
  { payload }: UnverifiedJwt,
  { profile, subRequired = true }: AccessTokenRules,
): boolean {
  if (profile === 'rfc9068') return false;
  return payload.aud === undefined || (subRequired && payload.sub === undefined);
}

/**
 * Checks what a lightweight token has, so that others cause no request to its issuer.
 *
 * @param now seconds since the epoch
 * @throws InvalidTokenError with the reason
 */
export function checkLightweightToken(
  { header, payload }: UnverifiedJwt,
  rules: AccessTokenRules,
  now: number,
): void {
  checkHeader(header, rules);
  checkType(header, payload, rules.profile);
  const { issuerBaseURL, audience } = rules;
  const missing = { sub: '-', aud: audience[0] };
  checkClaims({ ...missing, iss: issuerBaseURL, ...payload }, rules, now);
}

/**
 * Checks that a token is sent as it must be: one that is bound to a key under the scheme DPoP, any other
 * as a bearer token (RFC 9449 §7.1, §7.2).
 *
 * @returns the thumbprint of the key that the proof must be signed with; undefined for a bearer token
 * @throws InvalidTokenError `sender_constrained` or `unbound`
 */
export function checkBinding(
  { cnf }: Pick<AccessTokenClaims, 'cnf'>,
  scheme: Scheme,
  { dpop }: Pick<AccessTokenRules, 'dpop'>,
): string | undefined {
  if (scheme === 'Bearer') {
    if (cnf !== undefined) throw new InvalidTokenError('sender_constrained', '"cnf" is present');
    if (dpop === 'required') throw new InvalidTokenError('unbound', 'this API requires DPoP');
    return undefined;
  }
  const { jkt, ...others } = (typeof cnf === 'object' ? (cnf ?? {}) : {}) as { jkt?: unknown };
  if (typeof jkt !== 'string' || !/^[\w-]{43}$/.test(jkt)) {
    throw new InvalidTokenError('unbound', '"cnf" has no thumbprint "jkt"');
  }
  // Members that are not understood are ignored (RFC 7800 §3.1), but not another key or certificate.
  const other = OTHER_CONFIRMATIONS.find((name) => Object.hasOwn(others, name));
  if (other !== undefined) throw new InvalidTokenError('unbound', `"cnf" has "${other}" too`);
  return jkt;
}

/**
 * Checks that `iss` equals the `issuer` of the metadata byte for byte (RFC 9068 §4).
 *
 * @throws InvalidTokenError `issuer`
 */
export function checkIssuer(
  { iss }: Pick<AccessTokenClaims, 'iss'>,
  { issuer }: { readonly issuer: string },
): void {
  if (iss === issuer) return;
  throw wrongIssuer(issuer, isSameIssuer(iss, issuer) ? ', only the slash at the end differs' : '');
}

/**
 * Reads the scopes of a token: words of a string, or entries of a list. Without `scope` they are in `scp`,
 * as Entra and Okta write them. RFC 9068 §2.2.3 has only the string `scope`.
 *
 * @throws InvalidTokenError `claim`
 */
export function readScopes(
  payload: AccessTokenClaims,
  { scopeClaim, profile }: AccessTokenRules,
): readonly string[] {
  const isStrict = profile === 'rfc9068' && scopeClaim === undefined;
  const isInScp = !isStrict && payload.scope === undefined;
  const name = scopeClaim ?? (isInScp ? 'scp' : 'scope');
  const value = Object.hasOwn(payload, name) ? payload[name] : undefined;
  if (value === undefined) return NO_SCOPES;
  if (typeof value === 'string') return Object.freeze(value.split(' ').filter(Boolean));
  const isList = Array.isArray(value) && value.every((entry) => typeof entry === 'string');
  if (isList && !isStrict) return Object.freeze([...value]);
  throw new InvalidTokenError('claim', `"${name}" has the wrong type`);
}

/**
 * Checks the times of a new or a cached token. With a clock that gives no number it has expired.
 *
 * @throws InvalidTokenError `expired` or `not_yet_valid`
 */
export function checkTimes(
  { exp, nbf, iat }: Pick<AccessTokenClaims, 'exp' | 'nbf' | 'iat'>,
  tolerance: number,
  now: number,
): void {
  if (!(now < exp + tolerance)) {
    throw new InvalidTokenError('expired', `"exp" was ${Math.round(now - exp)} s ago`);
  }
  if (nbf !== undefined && nbf > now + tolerance) {
    throw new InvalidTokenError('not_yet_valid', '"nbf" lies ahead');
  }
  if (iat !== undefined && iat > now + tolerance) {
    throw new InvalidTokenError('not_yet_valid', '"iat" lies ahead');
  }
}

function checkHeader(header: UnverifiedJwt['header'], { algorithms }: AccessTokenRules): void {
  if (typeof header.alg !== 'string' || !algorithms.includes(header.alg)) {
    throw new InvalidTokenError('algorithm');
  }
  if (header.kid !== undefined && typeof header.kid !== 'string') {
    throw new InvalidTokenError('malformed', '"kid" is not a string');
  }
  // RFC 7515 §4.1.11: no extension is understood here, so none may be critical.
  if (header.crit !== undefined || header.b64 !== undefined) {
    throw new InvalidTokenError('critical');
  }
}

function checkType(
  header: UnverifiedJwt['header'],
  payload: UnverifiedJwt['payload'],
  profile: TokenProfile,
): void {
  const { typ } = header;
  if (typ !== undefined && typeof typ !== 'string') {
    throw new InvalidTokenError('type', '"typ" is not a string');
  }
  const type = typ?.toLowerCase().replace(/^application\//, '');
  if (type === 'at+jwt' && profile !== 'auth0') return;
  if ((type !== undefined && type !== 'jwt') || profile === 'rfc9068') {
    throw new InvalidTokenError('type', '"typ" is not that of an access token');
  }
  refuseOtherTokens(payload);
}

/** @throws InvalidTokenError `type` for claims of an ID token, a refresh token or a security event */
export function refuseOtherTokens(payload: UnverifiedJwt['payload']): void {
  const claim =
    CLAIMS_OF_OTHER_TOKENS.find((name) => payload[name] !== undefined) ??
    KINDS.find(([name, accepted]) => {
      const kind = payload[name];
      return kind !== undefined && !(typeof kind === 'string' && accepted.test(kind));
    })?.[0];
  if (claim !== undefined) {
    throw new InvalidTokenError('type', `"${claim}" marks another kind of token`);
  }
}

function checkRegisteredClaims(
  payload: UnverifiedJwt['payload'],
  { profile, subRequired = true }: AccessTokenRules,
): asserts payload is AccessTokenClaims {
  const { iss, sub, aud, exp, nbf, iat } = payload;
  const hasClient = Boolean(payload.client_id || payload.azp);
  const mayLackSub = sub === undefined && !subRequired && hasClient;
  const wrong =
    (typeof iss !== 'string' && 'iss') ||
    (!mayLackSub && !isText(sub) && 'sub') ||
    (!isStringOrStrings(aud) && 'aud') ||
    (!isNumericDate(exp) && 'exp') ||
    (nbf !== undefined && !isNumericDate(nbf) && 'nbf') ||
    (iat !== undefined && !isNumericDate(iat) && 'iat') ||
    ['jti', 'client_id', 'azp'].find(
      (name) => payload[name] !== undefined && typeof payload[name] !== 'string',
    ) ||
    // RFC 9068 §2.2 requires these; tokens of Auth0's own profile may lack them.
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

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

// JSON can have numbers beyond all dates: 1e999 parses as Infinity.
export function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= YEAR_9999;
}
