import { AuthError, InvalidTokenError } from '../errors.ts';
import type { AccessTokenClaims } from './jwt-access-token.ts';

/**
 * Tells whether a token was revoked, by its `iss` and `jti`, or by its `sub` and `iat` (all tokens
 * of a user before a moment). Never by the token's own bytes: one token can be spelled in more ways
 * than one.
 */
export type IsRevoked = (claims: AccessTokenClaims) => boolean | Promise<boolean>;

/**
 * @throws InvalidTokenError `revoked`; AuthError `ERR_REVOCATION_UNAVAILABLE` (503) when `isRevoked` fails, or
 *   answers anything but true or false
 */
export async function checkRevocation(
  claims: AccessTokenClaims,
  isRevoked: IsRevoked,
): Promise<void> {
  let revoked: unknown;
  try {
    revoked = await isRevoked(claims);
  } catch (cause) {
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail: 'isRevoked failed', cause });
  }
  if (revoked === true) throw new InvalidTokenError('revoked');
  if (revoked !== false) {
    const detail = `isRevoked answered ${typeof revoked}`;
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail });
  }
}
