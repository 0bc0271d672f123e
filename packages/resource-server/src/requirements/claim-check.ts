import { answerInTime, InvalidOptions, isNoAnswer } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { AuthError, unavailable } from '../errors.ts';
import type { AccessTokenClaims } from '../token/jwt-access-token.ts';
import { authOf } from './required-scopes.ts';

/**
 * Lets in a token whose claims pass a check of your own.
 *
 * @param check gets the claims; any result except true rejects the request
 * @param description public text for a refused caller
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403); `ERR_MISSING_TOKEN` (401) without a token;
 *   `ERR_CLAIMS_UNAVAILABLE` (503) when the check does not answer in two seconds
 * @example
 * router.get('/own', claimCheck(({ sub }) => sub.startsWith('auth0|'), 'only for users'), own);
 */
export function claimCheck(
  check: (claims: AccessTokenClaims, ctx: Context) => boolean | Promise<boolean>,
  description?: string,
): Middleware {
  if (typeof check !== 'function') {
    throw new InvalidOptions(
      'claimCheck: give a function of the claims that returns true or false',
    );
  }
  return async function claimCheck(ctx, next) {
    if ((await passes(check, authOf(ctx).payload, ctx)) !== true) {
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
  checkClaim('claimEquals', claim, expected);
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
  checkClaim('claimIncludes', claim, expected[0]);
  return claimCheck((claims) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const list: unknown = typeof value === 'string' ? value.split(' ') : value;
    return Array.isArray(list) && expected.every((entry) => list.includes(entry));
  }, `this needs more in the claim ${claim}`);
}

async function passes(
  check: Parameters<typeof claimCheck>[0],
  claims: AccessTokenClaims,
  ctx: Context,
): Promise<boolean> {
  try {
    return await answerInTime(check(claims, ctx));
  } catch (error) {
    throw isNoAnswer(error) ? unavailable('ERR_CLAIMS_UNAVAILABLE', 'claimCheck', error) : error;
  }
}

function checkClaim(name: string, claim: unknown, expected: unknown): void {
  if (typeof claim === 'string' && claim !== '' && expected !== undefined) return;
  throw new InvalidOptions(`${name}: give a claim and a value, as in ${name}('org_id', 'acme')`);
}
