import type { Auth } from '@koa-oauth/resource-server';
import type { ContactsClaims } from './claims.ts';

declare const brand: unique symbol;

/** Whose contacts these are: the key that every store method takes first. */
export type Organisation = string & { readonly [brand]: true };

/**
 * Whose contacts a token may touch: those of the organisation in its `org_id` claim or, without
 * that claim, its subject's own. The prefix keeps the two apart, however an id is spelled.
 */
export function organisationOf({
  payload,
  claims,
}: Pick<Auth<ContactsClaims>, 'payload' | 'claims'>): Organisation {
  return (
    claims.org_id === undefined ? `user:${payload.sub}` : organisationNamed(claims.org_id)
  ) as Organisation;
}

/** The organisation with this `org_id`. */
export function organisationNamed(orgId: string): Organisation {
  return `org:${orgId}` as Organisation;
}
