import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { PostLogin } from '../actions/post-login.ts';
import { ROUTES } from '../endpoints.ts';
import { customIdTokenClaims } from './id-token.ts';

/** What the Actions put into the ID token is in the userinfo answer too, as of the latest login. */
export function addUserinfoClaims(postLogin: PostLogin): Middleware {
  return async function userinfoClaims(ctx: Context, next: Next) {
    await next();
    if (ctx.path !== ROUTES.userinfo || ctx.status !== 200 || !isClaims(ctx.body)) return;
    const claims = customIdTokenClaims(postLogin, ctx as unknown as KoaContextWithOIDC);
    ctx.body = { ...claims, ...ctx.body };
  };
}

function isClaims(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'sub' in body;
}
