import { InvalidOptions } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';
import { isNavigation, isPrefetch } from './browser/navigation.ts';
import { hasCode } from './errors.ts';
import { requirementFaults, type SignInRequirement } from './login/sign-in-requirement.ts';

/** What a route needs beside somebody who is signed in. */
export interface RequiresAuthOptions extends SignInRequirement {
  /**
   * Whether a page that lacks a scope sends the user to consent to it. When false, the error
   * surfaces (`ERR_INSUFFICIENT_SCOPE`, 403), and the app may offer a button that does so.
   * Default: true
   */
  incrementalConsent?: boolean;
}

/**
 * Lets only signed-in users through and, with options, only those whose sign-in was recent, strong
 * or wide enough (step-up, as in RFC 9470). A browser on its way to a page is sent to sign in, and
 * comes back; anything else (scripts, prefetches, forms) gets the error. The same happens when
 * something further down throws: because only a new sign-in can get a token, or because a scope was
 * not granted. Then the sign-in asks for the scopes so far and the missing ones together, once: what
 * it asked for and did not get is an error that surfaces.
 *
 * @returns middleware that throws, where it can't redirect, OidcError `ERR_LOGIN_REQUIRED` (401),
 *   StepUpRequired (401), or InsufficientScope or ApiError `ERR_INSUFFICIENT_SCOPE` (403)
 * @throws InvalidOptions at once
 */
export function requiresAuth(options: RequiresAuthOptions = {}): Middleware {
  const { incrementalConsent = true, ...requirement } = options;
  const faults = requirementFaults(requirement);
  if (typeof incrementalConsent !== 'boolean') {
    faults.push('incrementalConsent must be true or false');
  }
  if (faults.length > 0) throw new InvalidOptions(`requiresAuth: ${faults.join('; ')}`);

  return async function requiresAuth(ctx, next) {
    if (!ctx.oidc) throw new TypeError('requiresAuth() needs auth() before it');
    try {
      ctx.oidc.require(requirement);
      await next();
    } catch (error) {
      const isConsent = hasCode(error, 'ERR_INSUFFICIENT_SCOPE');
      if (isConsent && !incrementalConsent) surfacing.add(error);
      const params = isConsent && surfacing.has(error) ? undefined : ctx.oidc.stepUp(error);
      if (!params || !isNavigation(ctx) || isPrefetch(ctx) || ctx.headerSent) throw error;
      const scope = incrementalConsent ? params.scope : '';
      await ctx.oidc.login({ ...params, scope, returnTo: ctx.originalUrl });
    }
  };
}

/** What an inner `requiresAuth` lets surface, an outer one does too. */
const surfacing = new WeakSet<object>();
