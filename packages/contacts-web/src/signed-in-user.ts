import { createHash } from 'node:crypto';
import type { Context } from 'koa';

/** Who is signed in, as pages show it. */
export interface SignedInUser {
  /** Tells this user from others in one browser, and nobody who it is. */
  readonly mark: string;
  readonly name: string;
  readonly email: string | undefined;
  readonly organisation: string | undefined;
  readonly roles: readonly string[];
}

/** Reads the ID token's claims; undefined when nobody is signed in. */
export function signedInUser({ oidc }: Pick<Context, 'oidc'>): SignedInUser | undefined {
  const claims = oidc?.user;
  if (!claims) return undefined;
  const { name, nickname, email, sub } = claims;
  // A custom claim is named by a URL of whoever defined it.
  const custom = (end: string) =>
    Object.entries(claims).find(([claim]) => claim.endsWith(end))?.[1];
  const roles = custom('/roles');
  return {
    mark: createHash('sha256').update(String(sub)).digest('base64url').slice(0, 12),
    name: text(name) ?? text(nickname) ?? text(email) ?? text(sub) ?? 'you',
    email: text(email),
    organisation: text(custom('/org_id')),
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
