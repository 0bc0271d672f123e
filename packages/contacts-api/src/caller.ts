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

/** Returns the owner of a token's contacts. @throws AuthError `ERR_CLAIM_MISMATCH` (403) */
export type FindOrganization = (
  auth: Pick<Auth<ContactsClaims>, 'issuer' | 'payload' | 'claims'>,
) => Organization;

/**
 * Makes the function that returns the owner of a token's contacts: the organization in `org_id` or,
 * without that claim, the subject. A prefix keeps the two apart. Equal names at two issuers are two
 * owners: the key begins with the issuer, which contains no space (RFC 3986 §2). Keys of the first issuer
 * do not name it, so that contacts keep their owners when a second issuer is added.
 */
export function organizationsOf(firstIssuer: string): FindOrganization {
  const withoutSlash = (issuer: string) => issuer.replace(/\/$/, '');
  const first = withoutSlash(firstIssuer);
  return function organizationOf({ issuer, payload, claims }) {
    const key = keyOf(payload.sub, claims);
    return withoutSlash(issuer) === first ? key : (`issuer:${issuer} ${key}` as Organization);
  };
}

function keyOf(subject: string, { org_id }: ContactsClaims): Organization {
  if (org_id !== undefined) return organizationNamed(org_id);
  checkIdentifier('"sub"', subject);
  return `user:${subject}` as Organization;
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
