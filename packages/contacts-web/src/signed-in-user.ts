import type { Context } from 'koa';

/** Who is signed in, as pages show it. */
export interface SignedInUser {
  readonly name: string;
  readonly email: string | undefined;
  readonly organisation: string | undefined;
}

/** Reads the ID token's claims; undefined when nobody is signed in. */
export function signedInUser({ oidc }: Pick<Context, 'oidc'>): SignedInUser | undefined {
  const claims = oidc?.user;
  if (!claims) return undefined;
  const { name, nickname, email, sub } = claims;
  // A custom claim is named by a URL of whoever defined it.
  const organisation = Object.entries(claims).find(([claim]) => claim.endsWith('/org_id'))?.[1];
  return {
    name: text(name) ?? text(nickname) ?? text(email) ?? text(sub) ?? 'you',
    email: text(email),
    organisation: text(organisation),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
