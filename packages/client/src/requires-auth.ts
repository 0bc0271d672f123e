import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { isNavigation, isPrefetch } from './browser/fetch-metadata.ts';
import { hasCode, OidcError } from './errors.ts';
import { requirementFaults, type SignInRequirement } from './login/step-up.ts';
import type { IdTokenClaims } from './oauth/id-token.ts';

/** Options of `requiresAuth`: requirements beyond a signed-in user. */
export interface RequiresAuthOptions extends SignInRequirement {
  /**
   * Redirects the user to consent when a page lacks a scope. When false, the page gets the error
   * `ERR_INSUFFICIENT_SCOPE` (403), and the app can offer a button for consent. Default: true
   */
  incrementalConsent?: boolean | undefined;
}

/**
 * Lets only signed-in users through. Options require that the sign-in is recent, is strong, or has
 * scopes (step-up, RFC 9470).
 *
 * A page request is redirected to the sign-in, which returns to the page. Other requests (scripts,
 * prefetches, forms) get the error. A later middleware has the same effect when it throws because
 * only a new sign-in can get a token, because the API demands a stronger one, or because a scope was not
 * granted. The sign-in then requests the missing scopes and all earlier ones. It is not repeated if they
 * are refused.
 *
 * @returns middleware. Where it cannot redirect it throws OidcError `ERR_LOGIN_REQUIRED` (401),
 *   StepUpRequired or ApiError `ERR_STEP_UP_REQUIRED` (401), or InsufficientScope or ApiError
 *   `ERR_INSUFFICIENT_SCOPE` (403)
 * @throws InvalidOptions for wrong options
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
      if (isConsent && !incrementalConsent) Object.assign(error, { [NOT_REDIRECTED]: true });
      const params = isConsent && NOT_REDIRECTED in error ? undefined : ctx.oidc.stepUp(error);
      if (!params || !isNavigation(ctx) || isPrefetch(ctx) || ctx.headerSent) throw error;
      const scope = incrementalConsent ? params.scope : '';
      await ctx.oidc.login({ ...params, scope, returnTo: ctx.originalUrl });
    }
  };
}

// Marks an error that an inner `requiresAuth` must not redirect, so that no outer one does. In the registry
// of symbols, so that two copies of this package share it.
const NOT_REDIRECTED = Symbol.for('koa-oauth:not-redirected');

type ClaimCheck = (claims: IdTokenClaims, ctx: Context) => boolean | Promise<boolean>;

/** Value that a claim can be compared with. */
export type ClaimValue = string | number | boolean | null;

/**
 * Lets a user through if the claims of the ID token pass your own check. A request without a user is
 * treated as by `requiresAuth()`.
 *
 * @param check gets the claims of the ID token; any result except true rejects the request
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions for wrong arguments
 * @example
 * router.get('/club', claimCheck(({ age }) => Number(age) >= 18), showClub);
 */
export function claimCheck(check: ClaimCheck): Middleware {
  if (typeof check !== 'function') throw new InvalidOptions('claimCheck: it needs a function');
  return checkClaims('the claims do not fit', check);
}

/**
 * Lets a user through if a claim of the ID token is exactly this value, like `claimCheck`.
 *
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions for wrong arguments
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
 * Lets a user through if a claim of the ID token has all of these values, like `claimCheck`. The claim is
 * a list, or words in one string.
 *
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 * @throws InvalidOptions for wrong arguments
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
