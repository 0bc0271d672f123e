import { OidcError } from '../errors.ts';
import {
  type FindSigningKeys,
  namesLogout,
  type SignedJwtExpectations,
  verifySignedJwt,
} from './signed-jwt.ts';

/** Claims of a logout token: with a `sid` about one session at the issuer, else all of a user's. */
export type LogoutTokenClaims = {
  readonly iss: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly jti: string;
} & ({ readonly sid: string } | { readonly sid: undefined; readonly sub: string });

export const LOGOUT_TOKEN_LIFETIME_SECONDS = 120;

const MAX_NAME_LENGTH = 255;

/**
 * Verifies a logout token: the rules of OpenID Connect Back-Channel Logout 1.0 §2.6, except
 * that `jti` must be new.
 *
 * @throws OidcError `ERR_LOGOUT_TOKEN`, its `detail` naming the rule; or what `signingKeys` rejects with
 */
export async function verifyLogoutToken(
  unverified: string,
  signingKeys: FindSigningKeys,
  expected: SignedJwtExpectations,
): Promise<LogoutTokenClaims> {
  const isType = (typ?: string) => typ === undefined || typ === 'logout+jwt';
  const kind = { isType, code: 'ERR_LOGOUT_TOKEN', maxAge: LOGOUT_TOKEN_LIFETIME_SECONDS } as const;
  const { claims } = await verifySignedJwt(unverified, signingKeys, kind, expected);
  const { iss, iat, jti, events, sub, sid } = claims;
  if (!isName(jti)) throw invalid('"jti" is missing');
  if (!namesLogout(events)) throw invalid('"events" does not name a logout');
  // An ID token has a nonce, and must not end a session (§2.4).
  if ('nonce' in claims) throw invalid('"nonce" is not allowed');

  if (sub !== undefined && !isName(sub)) throw invalid('"sub" is not a name');
  if (sid !== undefined && !isName(sid)) throw invalid('"sid" is not a name');
  if (sid !== undefined) return { iss, iat, jti, sid };
  if (sub !== undefined) return { iss, iat, jti, sid, sub };
  throw invalid('"sub" and "sid" are missing');
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH;
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_LOGOUT_TOKEN', { detail });
}
