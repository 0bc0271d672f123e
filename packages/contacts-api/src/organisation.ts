import { type Auth, AuthError } from '@koa-oauth/resource-server';
import { type ContactsClaims, isIdentifier } from './claims.ts';

declare const brand: unique symbol;

/** Whose contacts these are: the key that every store method takes first. */
export type Organisation = string & { readonly [brand]: true };

/**
 * Whose contacts a token may touch: those of the organisation in its `org_id` claim or, without
 * that claim, its subject's own. The prefix keeps the two apart, however an id is spelled.
 *
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403) when the subject can't be an id
 */
export function organisationOf({
  payload,
  claims,
}: Pick<Auth<ContactsClaims>, 'payload' | 'claims'>): Organisation {
  if (claims.org_id !== undefined) return organisationNamed(claims.org_id);
  if (!isIdentifier(payload.sub))
    throw new AuthError('ERR_CLAIM_MISMATCH', { message: '"sub" is not a short text' });
  return `user:${payload.sub}` as Organisation;
}

/** The organisation with this `org_id`. */
export function organisationNamed(orgId: string): Organisation {
  return `org:${orgId}` as Organisation;
}
