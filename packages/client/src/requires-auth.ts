import type { Middleware } from 'koa';
import { needsLogin } from './access-token.ts';
import { OidcError } from './errors.ts';
import { isNavigation, isPrefetch } from './navigation.ts';

/**
 * Lets only signed-in users through. A browser on its way to a page is sent to sign in and comes
 * back; anything else (scripts, prefetches, forms whose session ended) gets a 401. The same happens
 * when a token is needed further down and only a new sign-in can get one.
 *
 * @returns middleware that throws OidcError `ERR_LOGIN_REQUIRED` (401) where it can't redirect
 */
export function requiresAuth(): Middleware {
  return async function requiresAuth(ctx, next) {
    if (!ctx.oidc) throw new TypeError('requiresAuth() needs auth() before it');
    try {
      if (!ctx.oidc.isAuthenticated()) throw new OidcError('ERR_LOGIN_REQUIRED');
      await next();
    } catch (error) {
      if (!needsLogin(error) || !isNavigation(ctx) || isPrefetch(ctx)) throw error;
      await ctx.oidc.login({ returnTo: ctx.originalUrl });
    }
  };
}
