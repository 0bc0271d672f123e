import { OidcError } from '../errors.ts';
import { type FindSigningKey, isTime, namesLogout, verifySignedJwt } from './signed-jwt.ts';

/** Claims of a logout token: with a `sid` about one session at the issuer, else all of a user's. */
export type LogoutTokenClaims = {
  readonly iss: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly jti: string;
} & ({ readonly sid: string } | { readonly sid: undefined; readonly sub: string });

export interface LogoutTokenExpectations {
  /** The metadata's `issuer`, byte for byte. */
  readonly issuer: string;
  readonly clientID: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the clocks may differ. */
  readonly clockTolerance: number;
}

/** An issuer sends a logout token at once: an older one is a replay (§4). */
export const LOGOUT_TOKEN_LIFETIME_SECONDS = 120;

const MAX_NAME_LENGTH = 255;

/**
 * Verifies a logout token: the rules of OpenID Connect Back-Channel Logout 1.0 §2.6, except
 * that `jti` must be new.
 *
 * @param unverified the token as it came
 * @throws OidcError `ERR_LOGOUT_TOKEN`, its `detail` naming the rule; or what `signingKey` rejects
 *   with when the issuer's keys are not available
 */
export async function verifyLogoutToken(
  unverified: string,
  signingKey: FindSigningKey,
  expected: LogoutTokenExpectations,
): Promise<LogoutTokenClaims> {
  const { claims } = await verifySignedJwt(unverified, signingKey, {
    isType: (typ) => typ === undefined || typ === 'logout+jwt',
    code: 'ERR_LOGOUT_TOKEN',
  });
  const { iss, aud, iat, exp, jti, events, sub, sid } = claims;
  const { now, clockTolerance } = expected;

  if (iss !== expected.issuer) throw invalid('"iss" is not the issuer');
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(expected.clientID)) throw invalid('"aud" does not name this client');

  if (!isTime(iat)) throw invalid('"iat" is not a time');
  if (iat - clockTolerance > now) throw invalid('"iat" lies in the future');
  if (now - iat > LOGOUT_TOKEN_LIFETIME_SECONDS + clockTolerance)
    throw invalid('"iat" is too long ago');
  if (exp !== undefined && !(isTime(exp) && now - clockTolerance < exp)) {
    throw invalid('"exp" has passed');
  }

  if (!isName(jti)) throw invalid('"jti" is missing');
  if (!namesLogout(events)) throw invalid('"events" does not name a logout');
  // An ID token has a nonce, and must not end a session (§2.4).
  if ('nonce' in claims) throw invalid('"nonce" is not allowed');

  if (sub !== undefined && !isName(sub)) throw invalid('"sub" is not a name');
  if (sid !== undefined && !isName(sid)) throw invalid('"sid" is not a name');
  if (sid !== undefined) return { iss: expected.issuer, iat, jti, sid };
  if (sub !== undefined) return { iss: expected.issuer, iat, jti, sid, sub };
  throw invalid('"sub" and "sid" are missing');
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH;
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_LOGOUT_TOKEN', { detail });
}
