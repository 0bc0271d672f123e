import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { AuthError } from '../errors.ts';
import type { AccessTokenClaims } from '../token/jwt-access-token.ts';

/**
 * Lets in a token whose claims pass a check of your own.
 *
 * @param check gets the claims; any result except true rejects the request
 * @param description public text for a refused caller
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403); `ERR_MISSING_TOKEN` (401) without `auth`
 * @example
 * router.get('/own', claimCheck(({ sub }) => sub.startsWith('auth0|'), 'only for users'), own);
 */
export function claimCheck(
  check: (claims: AccessTokenClaims, ctx: Context) => boolean | Promise<boolean>,
  description?: string,
): Middleware {
  if (typeof check !== 'function') throw new InvalidOptions('claimCheck: it needs a function');
  return async function claimCheck(ctx, next) {
    if (!ctx.state.auth) throw new AuthError('ERR_MISSING_TOKEN');
    if ((await check(ctx.state.auth.payload, ctx)) !== true) {
      throw new AuthError('ERR_CLAIM_MISMATCH', { message: description });
    }
    await next();
  };
}

/** Lets in a token whose claim is exactly this value. @throws as `claimCheck` */
export function claimEquals(claim: string, expected: string | number | boolean | null): Middleware {
  return claimCheck(
    (claims) => Object.hasOwn(claims, claim) && claims[claim] === expected,
    `this needs another value of the claim ${claim}`,
  );
}

/** Lets in a token whose claim, a list or a string of words, includes all of these. @throws as `claimCheck` */
export function claimIncludes(
  claim: string,
  ...expected: readonly (string | number | boolean)[]
): Middleware {
  if (expected.length === 0) throw new InvalidOptions('claimIncludes: it needs a value');
  return claimCheck((claims) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const list: unknown = typeof value === 'string' ? value.split(' ') : value;
    return Array.isArray(list) && expected.every((entry) => list.includes(entry));
  }, `this needs more in the claim ${claim}`);
}
