import { type Auth, AuthError } from '@koa-oauth/resource-server';
import { z } from 'zod';

const IDENTIFIER_RULE = 'must have 1 to 255 characters and no control characters';

/** Custom claims that this API reads, without their namespace. */
export const ContactsClaims = z.object({
  roles: z.array(z.string()).default([]),
  org_id: z.string().refine(isIdentifier, IDENTIFIER_RULE).optional(),
});

export type ContactsClaims = z.infer<typeof ContactsClaims>;

/** The author of a change: the subject of the token, and the client that it was issued to. */
export interface Caller {
  readonly subject: string;
  readonly clientId: string | undefined;
}

declare const brand: unique symbol;

/** The owner of contacts: an organization, or a user without one. First parameter of the stores. */
export type Organization = string & { readonly [brand]: true };

/** @throws AuthError `ERR_CLAIM_MISMATCH` (403) when the subject or the client can't be an id */
export function callerOf({ payload }: Pick<Auth, 'payload'>): Caller {
  const { sub: subject, client_id: clientId = payload.azp } = payload;
  checkIdentifier('"sub"', subject);
  if (clientId !== undefined) checkIdentifier('"client_id" or "azp"', clientId);
  return { subject, clientId };
}

/**
 * Returns the owner of a token's contacts: the organization in `org_id` or, without that claim, the
 * subject. A prefix keeps the two apart.
 *
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403) when the subject can't be an id
 */
export function organizationOf({
  payload,
  claims,
}: Pick<Auth<ContactsClaims>, 'payload' | 'claims'>): Organization {
  if (claims.org_id !== undefined) return organizationNamed(claims.org_id);
  checkIdentifier('"sub"', payload.sub);
  return `user:${payload.sub}` as Organization;
}

export function organizationNamed(orgId: string): Organization {
  return `org:${orgId}` as Organization;
}

function checkIdentifier(claim: string, value: string): void {
  if (isIdentifier(value)) return;
  throw new AuthError('ERR_CLAIM_MISMATCH', { message: `${claim} ${IDENTIFIER_RULE}` });
}

// OpenID Connect Core §2 bounds `sub` to 255 characters.
function isIdentifier(text: string): boolean {
  return text.length >= 1 && text.length <= 255 && !/[\p{Cc}\p{Cs}]/u.test(text);
}
