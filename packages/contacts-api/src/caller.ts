import { type Auth, AuthError } from '@koa-oauth/resource-server';
import { z } from 'zod';

/** The custom claims that this API reads, without their namespace. */
export const ContactsClaims = z.object({
  roles: z.array(z.string()).default([]),
  org_id: z.string().refine(isIdentifier, 'is not a short text').optional(),
});

export type ContactsClaims = z.infer<typeof ContactsClaims>;

/** Who makes a change: the subject of the token, and the client that it was issued to. */
export interface Caller {
  readonly subject: string;
  readonly clientId: string | undefined;
}

declare const brand: unique symbol;

/** Whose contacts these are: the key that every store method takes first. */
export type Organization = string & { readonly [brand]: true };

/** @throws AuthError `ERR_CLAIM_MISMATCH` (403) when subject or client can't be an id */
export function callerOf({ payload }: Pick<Auth, 'payload'>): Caller {
  const { sub: subject, client_id: clientId = payload.azp } = payload;
  for (const id of [subject, clientId]) {
    if (id !== undefined && !isIdentifier(id))
      throw claimMismatch('"sub" or the client is not a short text');
  }
  return { subject, clientId };
}

/**
 * Whose contacts a token may touch: those of the organisation in its `org_id` claim or, without
 * that claim, its subject's own. The prefix keeps the two apart, however an id is spelled.
 *
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403) when the subject can't be an id
 */
export function organizationOf({
  payload,
  claims,
}: Pick<Auth<ContactsClaims>, 'payload' | 'claims'>): Organization {
  if (claims.org_id !== undefined) return organizationNamed(claims.org_id);
  if (!isIdentifier(payload.sub)) throw claimMismatch('"sub" is not a short text');
  return `user:${payload.sub}` as Organization;
}

/** The organisation with this `org_id`. */
export function organizationNamed(orgId: string): Organization {
  return `org:${orgId}` as Organization;
}

function claimMismatch(message: string): AuthError {
  return new AuthError('ERR_CLAIM_MISMATCH', { message });
}

/** Whether a text can be an id: 1 to 255 characters (OpenID Connect Core §2), none of them a control character. */
function isIdentifier(text: string): boolean {
  return text.length >= 1 && text.length <= 255 && !/[\p{Cc}\p{Cs}]/u.test(text);
}
