import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { isNavigation, isPrefetch } from './browser/fetch-metadata.ts';
import { hasCode, OidcError } from './errors.ts';
import { requirementFaults, type SignInRequirement } from './login/step-up.ts';
import type { IdTokenClaims } from './oauth/id-token.ts';

/** Options of `requiresAuth`: requirements beyond a signed-in user. */
export interface RequiresAuthOptions extends SignInRequirement {
  /**
   * Sends the user to consent when a page lacks a scope. When false, the error
   * surfaces (`ERR_INSUFFICIENT_SCOPE`, 403), and the app may offer a button that does so.
   * Default: true
   */
  incrementalConsent?: boolean;
}

/**
 * Lets only signed-in users through and, with options, only those whose sign-in was recent, strong
 * or wide enough (step-up, as in RFC 9470).
 *
 * A browser on its way to a page is sent to sign in, and comes back; anything else (scripts,
 * prefetches, forms) gets the error. The same happens when something behind it throws because only a
 * new sign-in can get a token, or because a scope was not granted. Then the sign-in asks for the
 * scopes so far and the missing ones together, once.
 *
 * @returns middleware that throws, where it can't redirect, OidcError `ERR_LOGIN_REQUIRED` (401),
 *   StepUpRequired (401), or InsufficientScope or ApiError `ERR_INSUFFICIENT_SCOPE` (403)
 * @throws InvalidOptions at once
 * @example
 * router.get('/account', requiresAuth(), showAccount);
 * router.post('/password', requiresAuth({ maxAge: 300 }), changePassword);
 * router.get('/reports', requiresAuth({ scope: 'read:reports' }), showReports);
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
      if (isConsent && !incrementalConsent) Object.assign(error, { [SURFACES]: true });
      const params = isConsent && SURFACES in error ? undefined : ctx.oidc.stepUp(error);
      if (!params || !isNavigation(ctx) || isPrefetch(ctx) || ctx.headerSent) throw error;
      const scope = incrementalConsent ? params.scope : '';
      await ctx.oidc.login({ ...params, scope, returnTo: ctx.originalUrl });
    }
  };
}

/** Marks an error that an inner `requiresAuth` lets surface: an outer one, of any copy, does too. */
const SURFACES = Symbol.for('@koa-oauth/client: surfaces');

type ClaimCheck = (claims: IdTokenClaims, ctx: Context) => boolean | Promise<boolean>;

/** A claim's value that can be compared. */
export type ClaimValue = string | number | boolean | null;

/**
 * Lets a user through whose ID token's claims pass a check of your own. A request without a user is
 * treated as by `requiresAuth()`.
 *
 * @param check gets the ID token's claims; any result except true rejects the request
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions at once
 * @example
 * router.get('/club', claimCheck(({ age }) => Number(age) >= 18), showClub);
 */
export function claimCheck(check: ClaimCheck): Middleware {
  if (typeof check !== 'function') throw new InvalidOptions('claimCheck: it needs a function');
  return checkClaims('the claims do not fit', check);
}

/**
 * Lets a user through whose ID token has a claim of exactly this value. Otherwise as `claimCheck`.
 *
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions at once
 * @example
 * router.get('/acme', claimEquals('https://example.com/org_id', 'acme'), showAcme);
 */
export function claimEquals(claim: string, value: ClaimValue): Middleware {
  mustBeComparable('claimEquals', claim, [value]);
  return checkClaims(
    `"${claim}" has another value`,
    (claims) => Object.hasOwn(claims, claim) && claims[claim] === value,
  );
}

/**
 * Lets a user through whose ID token has a claim, a list or words with spaces between them, with all
 * of these values. Otherwise as `claimCheck`.
 *
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions at once
 * @example
 * router.get('/admin', claimIncludes('https://example.com/roles', 'admin'), showAdmin);
 */
export function claimIncludes(claim: string, ...values: ClaimValue[]): Middleware {
  mustBeComparable('claimIncludes', claim, values);
  return checkClaims(`"${claim}" lacks a value`, (claims) => {
    const actual = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const list: unknown = typeof actual === 'string' ? actual.split(' ') : actual;
    return Array.isArray(list) && values.every((value) => list.includes(value));
  });
}

function checkClaims(detail: string, check: ClaimCheck): Middleware {
  const signedIn = requiresAuth();
  return function claimCheck(ctx, next) {
    return signedIn(ctx, async () => {
      const { idTokenClaims } = ctx.oidc;
      if (!idTokenClaims || (await check(idTokenClaims, ctx)) !== true) {
        throw new OidcError('ERR_INSUFFICIENT_CLAIMS', { detail });
      }
      await next();
    });
  };
}

function mustBeComparable(by: string, claim: unknown, values: unknown[]): void {
  if (typeof claim !== 'string' || claim === '') {
    throw new InvalidOptions(`${by}: it needs the name of a claim`);
  }
  const types = values.map((value) => (value === null ? 'null' : typeof value));
  const fit = types.every((type) => ['string', 'number', 'boolean', 'null'].includes(type));
  if (!fit || values.length === 0) {
    throw new InvalidOptions(`${by}: it needs values that are strings, numbers, booleans or null`);
  }
}
