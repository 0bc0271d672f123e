import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { isStandardClaim } from '../claims/custom-claims.ts';
import type { Organizations } from '../claims/organizations.ts';
import { byClock, type TokenClock } from './clock.ts';

type Claims = Record<string, unknown>;

/**
 * Returns a function that completes the claims of an ID token: with those of the Actions, which the
 * engine's own override, with the organization, and with times by the clock of the tokens.
 */
export function idTokenClaims({
  organizations,
  clock,
}: {
  organizations: Organizations;
  clock: TokenClock;
}): (ctx: KoaContextWithOIDC, claims: Claims) => Claims {
  return function idTokenClaims(ctx, claims) {
    const iat = Math.floor(Date.now() / 1000);
    return byClock({ ...customClaims(ctx), ...claims, ...organizations.claims(ctx), iat }, clock);
  };
}

/** Adds the Actions' claims for the ID token to the userinfo answer, as of the latest login. */
export function userinfoClaims(): Middleware {
  return async function userinfoClaims(ctx: Context, next: Next) {
    await next();
    if (ctx.status !== 200 || !isClaims(ctx.body)) return;
    ctx.body = { ...customClaims(ctx as unknown as KoaContextWithOIDC), ...ctx.body };
  };
}

/** Claims of the Actions for the ID token, but not those that need a scope. */
function customClaims(ctx: KoaContextWithOIDC): Claims {
  const { idToken } = outcomeOf(ctx);
  return Object.fromEntries(Object.entries(idToken).filter(([name]) => !isStandardClaim(name)));
}

function isClaims(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'sub' in body;
}
