import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { AuthError } from '../errors.ts';
import type { AccessTokenClaims } from '../token/jwt-access-token.ts';
import { payloadOf } from './required-scopes.ts';

/**
 * Lets in a token whose claims pass a check of your own.
 *
 * @param check gets the claims; any result except true rejects the request
 * @param description public text for a refused caller
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403); `ERR_MISSING_TOKEN` (401) without a token
 * @example
 * router.get('/own', claimCheck(({ sub }) => sub.startsWith('auth0|'), 'only for users'), own);
 */
export function claimCheck(
  check: (claims: AccessTokenClaims, ctx: Context) => boolean | Promise<boolean>,
  description?: string,
): Middleware {
  if (typeof check !== 'function') throw new InvalidOptions('claimCheck: it needs a function');
  return async function claimCheck(ctx, next) {
    if ((await check(payloadOf(ctx), ctx)) !== true) {
      throw new AuthError('ERR_CLAIM_MISMATCH', { message: description });
    }
    await next();
  };
}

/**
 * Lets in a token whose claim is exactly this value.
 *
 * @throws as `claimCheck`
 * @example
 * router.use(claimEquals('https://example.com/org_id', 'acme'));
 */
export function claimEquals(claim: string, expected: string | number | boolean | null): Middleware {
  return claimCheck(
    (claims) => Object.hasOwn(claims, claim) && claims[claim] === expected,
    `this needs another value of the claim ${claim}`,
  );
}

/**
 * Lets in a token whose claim includes all of these. The claim is a list, or words in one string.
 *
 * @throws as `claimCheck`
 * @example
 * router.use(claimIncludes('https://example.com/roles', 'admin'));
 */
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
