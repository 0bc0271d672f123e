import { parseURL } from '@koa-oauth/service';
import { z } from 'zod';

const name = z
  .string()
  .max(300)
  .trim()
  .regex(/^\P{Cc}+$/u);
const picture = z
  .string()
  .max(2048)
  .refine((value) => /^https?:$/.test(parseURL(value)?.protocol ?? ''));

/** Schema of an e-mail address, with letters of any language (RFC 6531 §3.3). */
export function emailAddress(message?: string) {
  return z
    .string(message)
    .max(320, message)
    .regex(
      /^[^\s@"<>\p{C}]{1,64}@(?:[\p{L}\p{N}][\p{L}\p{M}\p{N}-]*\.)+[\p{L}\p{N}][\p{L}\p{M}\p{N}-]+$/u,
      message,
    );
}

/** Wrong claims are ignored: the user must be able to sign in. */
const profileSchema = z.object({
  name: name.optional().catch(undefined),
  given_name: name.optional().catch(undefined),
  family_name: name.optional().catch(undefined),
  nickname: name.optional().catch(undefined),
  picture: picture.optional().catch(undefined),
  email: emailAddress().optional().catch(undefined),
});

/** The stored profile of a user of an identity provider. */
export interface FederatedProfile extends z.infer<typeof profileSchema> {
  /** Present whenever `email` is. */
  readonly email_verified?: boolean;
}

/** Checks a subject identifier: at most 255 ASCII characters (OpenID Connect Core §2). */
export function isSubject(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]{1,255}$/.test(value);
}

/** Returns the profile in an identity provider's claims (OpenID Connect Core §5.1). */
export function readProfile(claims: Readonly<Record<string, unknown>>): FederatedProfile {
  const nickname = claims.nickname ?? claims.preferred_username;
  const profile: FederatedProfile = profileSchema.parse({ ...claims, nickname });
  const email_verified = profile.email && claims.email_verified === true;
  const members = Object.entries({ ...profile, email_verified });
  // An ignored claim must not hide a member of the user in the tenant file.
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}
