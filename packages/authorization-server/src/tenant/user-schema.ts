import { hash, timingSafeEqual } from 'node:crypto';
import { parseURL } from '@koa-oauth/service';
import { compare, truncates } from 'bcryptjs';
import { z } from 'zod';
import { text } from './connection-schema.ts';

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

/** The password of a user in the tenant file: its text, its hash, or neither. */
interface StoredPassword {
  readonly password?: string | undefined;
  readonly password_hash?: string | undefined;
}

/** A bcrypt hash as Auth0 exports it. With an unused bit set in salt or hash, it would never match. */
const BCRYPT =
  /^\$2[ab]\$(?<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;
const MIN_COST = 4;
/** Each step doubles the time; this one is more than a second of one core. */
const MAX_COST = 14;

export function passwordFault(password: string): string | undefined {
  return truncates(password)
    ? 'give at most 72 bytes of UTF-8: bcrypt, which Auth0 stores passwords by, reads no more'
    : undefined;
}

export function passwordHashFault(hash: string): string | undefined {
  const cost = BCRYPT.exec(hash)?.groups?.cost;
  if (cost === undefined) {
    return 'give a bcrypt hash as Auth0 exports it: $2b$10$ or $2a$10$, then 53 characters';
  }
  if (Number(cost) >= MIN_COST && Number(cost) <= MAX_COST) return undefined;
  return `the cost is ${cost}: give a hash with a cost from ${MIN_COST} to ${MAX_COST}; Auth0's is 10`;
}

/** Checks a password, in the same time for a wrong one as for the right one. */
export async function isPassword(stored: StoredPassword, password: string): Promise<boolean> {
  if (stored.password_hash !== undefined) {
    // bcrypt ignores everything after 72 bytes: a longer password is not the one that was hashed.
    return !truncates(password) && (await compare(password, stored.password_hash));
  }
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  return (
    stored.password !== undefined && timingSafeEqual(digest(password), digest(stored.password))
  );
}

const judgedText = (faultOf: (value: string) => string | undefined) =>
  text.check(({ value, issues }) => {
    const message = faultOf(value);
    if (message !== undefined) issues.push({ code: 'custom', message, input: value });
  });

export const userSchema = z.looseObject({
  user_id: text,
  email: emailAddress('give an e-mail address'),
  email_verified: z.boolean().default(false),
  password: judgedText(passwordFault).optional(),
  password_hash: judgedText(passwordHashFault).optional(),
  name: text,
  given_name: z.string().optional(),
  family_name: z.string().optional(),
  nickname: z.string().optional(),
  picture: z.string().optional(),
  roles: z.array(text).default([]),
  /** Second factors that the user has set up. */
  enrolledFactors: z.array(z.looseObject({ type: text })).optional(),
  app_metadata: z.record(z.string(), z.unknown()).default({}),
  user_metadata: z.record(z.string(), z.unknown()).default({}),
  blocked: z.boolean().default(false),
});

/** A user of the tenant: an entry of `users`, with its defaults. */
export type User = z.infer<typeof userSchema>;

export const organizationSchema = z
  .looseObject({
    name: z
      .string()
      .regex(/^(?!org_)[a-z0-9][a-z0-9_-]{0,49}$/, 'give lower-case letters, digits, - and _'),
    /** An export of the deploy tool has no id. */
    id: z
      .string()
      .regex(/^org_[\w-]+$/, 'give an id that begins with org_')
      .optional(),
    display_name: text.optional(),
    metadata: z.record(z.string(), z.unknown()).default({}),
    members: z
      .array(
        z.union([text, z.looseObject({ user: text }).transform(({ user }) => user)], {
          error: 'give a user_id or an e-mail address',
        }),
      )
      .default([]),
  })
  .transform((organization) => ({
    ...organization,
    id: organization.id ?? `org_${organization.name}`,
  }));

export type Organization = z.infer<typeof organizationSchema>;
