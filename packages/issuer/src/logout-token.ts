import {
  checkSignedJwt,
  InvalidJwt,
  type SignedJwt,
  type SignedJwtExpectations,
} from './signed-jwt.ts';

/** Claims of a logout token. With `sid` it ends one session of the issuer, else all sessions of a user. */
export type LogoutTokenClaims = {
  readonly iss: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly jti: string;
} & ({ readonly sid: string } | { readonly sid: undefined; readonly sub: string });

/** Maximum seconds since a logout token was issued. */
export const LOGOUT_TOKEN_LIFETIME_SECONDS = 120;

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const MAX_NAME_LENGTH = 255;

/**
 * Checks all of a logout token except its signature, and that `jti` is new: the rules of OpenID Connect
 * Back-Channel Logout 1.0 §2.6. It needs neither a key nor the network.
 *
 * @returns its claims, which may be used once the signature is verified with a key for `header`
 * @throws InvalidJwt `ERR_INVALID_JWT`, its message naming the rule
 * @example
 * const { issuer } = await issuer.metadata();
 * const { header, claims } = checkLogoutToken(token, { issuer, clientID, now: Date.now() / 1000, clockTolerance: 60 });
 * const keys = await issuer.signingKeys(header); // next: verify the signature
 */
export function checkLogoutToken(
  unverified: string,
  expected: SignedJwtExpectations,
): { header: SignedJwt['header']; claims: LogoutTokenClaims } {
  // §2.4 only recommends a type of its own. The other claims tell it from an ID token.
  const isType = (typ = 'jwt') => typ === 'jwt' || typ === 'logout+jwt';
  const kind = { isType, maxAge: LOGOUT_TOKEN_LIFETIME_SECONDS };
  const { header, claims } = checkSignedJwt(unverified, kind, expected);
  const { iss, iat, jti, events } = claims;
  // Some servers write absent claims as null.
  const [sub, sid] = [claims.sub ?? undefined, claims.sid ?? undefined];
  if (!isName(jti)) throw new InvalidJwt('"jti" is missing');
  if (!namesLogout(events)) throw new InvalidJwt('"events" does not name a logout');
  // An ID token has a nonce, and must not end a session (§2.4).
  if ('nonce' in claims) throw new InvalidJwt('"nonce" is not allowed');

  if (sub !== undefined && !isName(sub)) throw new InvalidJwt('"sub" is not a name');
  if (sid !== undefined && !isName(sid)) throw new InvalidJwt('"sid" is not a name');
  if (sid !== undefined) return { header, claims: { iss, iat, jti, sid } };
  if (sub !== undefined) return { header, claims: { iss, iat, jti, sid, sub } };
  throw new InvalidJwt('"sub" and "sid" are missing');
}

/** Reports whether `events` is that of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export function namesLogout(events: unknown): boolean {
  return isObject(events) && isObject(events[LOGOUT_EVENT]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH;
}
