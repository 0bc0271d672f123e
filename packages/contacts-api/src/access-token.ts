import {
  type Auth,
  AuthError,
  type VerifySignature,
  verifySignature,
} from '@koa-oauth/resource-server';
import type { Context } from 'koa';
import koaJwt from 'koa-jwt';
import { z } from 'zod';

const KOA_JWT_OPTIONS = {
  // The key in `ctx.state` replaces this one, which verifies nothing.
  secret: '',
  getToken: (ctx: Context) => (ctx as unknown as { token: string }).token,
  key: 'verified',
  // A wrong signature leaves the state without claims, and throws nothing.
  passthrough: true,
  // The library has checked the times, with its own clock and tolerance.
  ignoreExpiration: true,
  ignoreNotBefore: true,
};

const middlewares = new Map<string, koaJwt.Middleware>();

/**
 * Verifies RSA and ECDSA signatures with koa-jwt, and Ed25519, which it lacks, with `node:crypto`.
 *
 * koa-jwt never sees the request. It gets a context of its own with the token and the key, so that no
 * cookie, second header or `ctx.state.secret` can replace them.
 */
export const verifyWithKoaJwt: VerifySignature = async (token, { alg, key }) => {
  if (alg === 'EdDSA' || alg === 'Ed25519') return verifySignature(token, { alg, key });
  const middleware = middlewares.get(alg) ?? koaJwt({ ...KOA_JWT_OPTIONS, algorithms: [alg] });
  middlewares.set(alg, middleware);
  const context = { token, header: {}, state: { secret: key } as { verified?: unknown } };
  await middleware(context as unknown as Context, async () => {});
  return Object.hasOwn(context.state, 'verified');
};

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
