import { hash } from 'node:crypto';
import type { Context } from 'koa';

/** User, as pages show it. */
export interface SignedInUser {
  /** Distinguishes the users of one browser without revealing who they are. */
  readonly pseudonym: string;
  readonly name: string;
  readonly email: string | undefined;
  readonly organization: string | undefined;
  readonly roles: readonly string[];
}

/** Returns the user of the ID token; undefined when not signed in. */
export function signedInUser({ oidc }: Pick<Context, 'oidc'>): SignedInUser | undefined {
  const claims = oidc?.user;
  if (!claims) return undefined;
  const { name, nickname, email, sub } = claims;
  // For display only, so the namespace does not matter.
  const customClaim = (suffix: string) =>
    Object.entries(claims).find(([claim]) => claim.endsWith(suffix))?.[1];
  const roles = customClaim('/roles');
  return {
    pseudonym: hash('sha256', String(sub), 'base64url').slice(0, 12),
    name: text(name) ?? text(nickname) ?? text(email) ?? text(sub) ?? 'you',
    email: text(email),
    organization: text(customClaim('/org_id')),
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
