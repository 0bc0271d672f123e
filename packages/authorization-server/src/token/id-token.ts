import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { isStandardClaim } from '../claims/custom-claims.ts';
import type { Organizations } from '../claims/organizations.ts';
import { ROUTES } from '../endpoints.ts';
import { byClock, type TokenClock } from './clock.ts';

type Claims = Record<string, unknown>;

/** What the Actions put into the ID token under names of their own. */
export function customIdTokenClaims(ctx: KoaContextWithOIDC): Claims {
  const { idToken } = outcomeOf(ctx);
  return Object.fromEntries(Object.entries(idToken).filter(([name]) => !isStandardClaim(name)));
}

/**
 * Lets the Actions' claims and `sid` into the ID token, and its times go by the tokens' clock.
 *
 * Three methods of the engine are replaced: it lets through none but the claims named
 * when it was built, and an Action may choose any name; it takes the end of an ID token from the real
 * clock; and it leaves `sid` to clients with a back-channel logout, while Auth0 gives it to all.
 */
export function openIdToken(
  provider: Provider,
  organizations: Organizations,
  clock: TokenClock,
): void {
  const IdToken = provider.IdToken as unknown as {
    prototype: { payload: () => Promise<Claims>; ctx?: KoaContextWithOIDC };
    expiresIn: (...args: unknown[]) => number;
  };
  const { prototype } = IdToken;
  const { payload } = prototype;
  prototype.payload = async function withCustomClaims() {
    // A logout token: it has no claims of the login, and both its times are by the real clock.
    if (this.ctx === undefined) return payload.call(this);
    const claims = customIdTokenClaims(this.ctx);
    const organization = organizations.claims(this.ctx);
    const iat = Math.floor(Date.now() / 1000);
    return byClock({ ...claims, ...(await payload.call(this)), ...organization, iat }, clock);
  };
  const { expiresIn } = IdToken;
  IdToken.expiresIn = (...args) => expiresIn.apply(IdToken, args) + clock.seconds;
  provider.Client.prototype.includeSid = () => true;
}

/** What the Actions put into the ID token is in the userinfo answer too, as of the latest login. */
export function addUserinfoClaims(): Middleware {
  return async function userinfoClaims(ctx: Context, next: Next) {
    await next();
    if (ctx.path !== ROUTES.userinfo || ctx.status !== 200 || !isClaims(ctx.body)) return;
    const claims = customIdTokenClaims(ctx as unknown as KoaContextWithOIDC);
    ctx.body = { ...claims, ...ctx.body };
  };
}

function isClaims(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'sub' in body;
}
