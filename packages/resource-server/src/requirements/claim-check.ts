import type { Middleware } from 'koa';
import { AuthError } from '../errors.ts';
import type { AccessTokenClaims } from '../token/jwt-access-token.ts';

/**
 * Lets in a token whose claims pass a check of your own.
 *
 * @param description what a refused caller is told
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403); `ERR_MISSING_TOKEN` (401) behind no `auth`
 */
export function claimCheck(
  check: (payload: AccessTokenClaims) => boolean | Promise<boolean>,
  description?: string,
): Middleware {
  return async function claimCheck(ctx, next) {
    if (!ctx.state.auth) throw new AuthError('ERR_MISSING_TOKEN');
    if (!(await check(ctx.state.auth.payload))) {
      throw new AuthError('ERR_CLAIM_MISMATCH', { message: description });
    }
    await next();
  };
}

/** Lets in a token whose claim is exactly this value. @throws as `claimCheck` */
export function claimEquals(claim: string, expected: string | number | boolean | null): Middleware {
  return claimCheck(
    (payload) => Object.hasOwn(payload, claim) && payload[claim] === expected,
    `this needs another value of the claim ${claim}`,
  );
}

/** Lets in a token whose claim, a list or a string of words, includes all of these. @throws as `claimCheck` */
export function claimIncludes(
  claim: string,
  ...expected: readonly (string | number | boolean)[]
): Middleware {
  if (expected.length === 0) throw new TypeError('name at least one value');
  return claimCheck((payload) => {
    const value = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
    const list: unknown = typeof value === 'string' ? value.split(' ') : value;
    return Array.isArray(list) && expected.every((entry) => list.includes(entry));
  }, `this needs more in the claim ${claim}`);
}
