import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { OidcError } from './errors.ts';
import type { IdTokenClaims } from './oauth/id-token.ts';
import { requiresAuth } from './requires-auth.ts';

/** A claim's value that can be compared. */
export type ClaimValue = string | number | boolean | null;

/**
 * Lets only those users through about whom a function says true; nobody signed in is treated as by
 * `requiresAuth()`.
 *
 * @param check told the ID token's claims; whatever else than true it answers is a no
 * @returns middleware that throws OidcError `ERR_INSUFFICIENT_CLAIMS` (403)
 */
export function claimCheck(
  check: (ctx: Context, claims: IdTokenClaims) => boolean | Promise<boolean>,
): Middleware {
  if (typeof check !== 'function') throw new InvalidOptions('claimCheck: it needs a function');
  return checkClaims('the claims do not fit', check);
}

/** As `claimCheck`: the claim must be exactly this value. */
export function claimEquals(claim: string, value: ClaimValue): Middleware {
  mustBeName('claimEquals', claim);
  mustBeValues('claimEquals', [value]);
  return checkClaims(
    `"${claim}" has another value`,
    (_ctx, claims) => Object.hasOwn(claims, claim) && claims[claim] === value,
  );
}

/** As `claimCheck`: the claim, a list or words with spaces between them, must have all of these. */
export function claimIncludes(claim: string, ...values: ClaimValue[]): Middleware {
  mustBeName('claimIncludes', claim);
  mustBeValues('claimIncludes', values);
  return checkClaims(`"${claim}" lacks a value`, (_ctx, claims) => {
    const actual = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const list: unknown = typeof actual === 'string' ? actual.split(' ') : actual;
    return Array.isArray(list) && values.every((value) => list.includes(value));
  });
}

function checkClaims(
  detail: string,
  check: (ctx: Context, claims: IdTokenClaims) => boolean | Promise<boolean>,
): Middleware {
  const signedIn = requiresAuth();
  return function claimCheck(ctx, next) {
    return signedIn(ctx, async () => {
      const { idTokenClaims } = ctx.oidc;
      if (!idTokenClaims || (await check(ctx, idTokenClaims)) !== true) {
        throw new OidcError('ERR_INSUFFICIENT_CLAIMS', { detail });
      }
      await next();
    });
  };
}

function mustBeName(by: string, claim: unknown): void {
  if (typeof claim === 'string' && claim !== '') return;
  throw new InvalidOptions(`${by}: it needs the name of a claim`);
}

function mustBeValues(by: string, values: unknown[]): void {
  const fit = values.every(
    (value) => value === null || ['string', 'number', 'boolean'].includes(typeof value),
  );
  if (fit && values.length > 0) return;
  throw new InvalidOptions(`${by}: it needs values that are strings, numbers, booleans or null`);
}
