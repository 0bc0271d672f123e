import { z } from 'zod';

/** The stored profile of a user of an identity provider. */
export interface FederatedProfile {
  readonly name?: string;
  readonly given_name?: string;
  readonly family_name?: string;
  readonly nickname?: string;
  readonly picture?: string;
  readonly email?: string;
  /** Present whenever `email` is. */
  readonly email_verified?: boolean;
}

const MAX_NAME_LENGTH = 300;
const MAX_URL_LENGTH = 2048;
const email = z.email().max(320);

/** Checks a subject identifier: at most 255 ASCII characters (OpenID Connect Core §2). */
export function isSubject(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]{1,255}$/.test(value);
}

/**
 * Returns the profile in an identity provider's claims (OpenID Connect Core §5.1). Claims of another
 * type, too long, or with control characters are ignored: the user must be able to sign in.
 */
export function readProfile(claims: Readonly<Record<string, unknown>>): FederatedProfile {
  const address = email.safeParse(claims.email);
  const { picture } = claims;
  return {
    ...nameClaim('name', claims.name),
    ...nameClaim('given_name', claims.given_name),
    ...nameClaim('family_name', claims.family_name),
    ...nameClaim('nickname', claims.nickname ?? claims.preferred_username),
    ...(isPicture(picture) && { picture }),
    ...(address.success && {
      email: address.data,
      email_verified: claims.email_verified === true,
    }),
  };
}

function nameClaim(claim: keyof FederatedProfile, value: unknown): FederatedProfile {
  if (typeof value !== 'string' || value.length > MAX_NAME_LENGTH) return {};
  const shown = value.trim();
  return shown === '' || /\p{Cc}/u.test(shown) ? {} : { [claim]: shown };
}

function isPicture(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_URL_LENGTH || !URL.canParse(value))
    return false;
  return ['https:', 'http:'].includes(new URL(value).protocol);
}
