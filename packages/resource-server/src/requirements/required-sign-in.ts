import type { Middleware } from 'koa';
import { AuthError } from '../errors.ts';
import { asOptions, OptionFaults } from '../option-faults.ts';
import { isNumericDate } from '../token/jwt-access-token.ts';
import { authOf } from './required-scopes.ts';

/** Options of `requiredSignIn`. `acr`, `maxAge` or both are required. */
export interface SignInOptions {
  /** Accepted values of the claim `acr`, in order of preference: a list, or one string with spaces. */
  acr?: string | readonly string[] | undefined;
  /** Maximum seconds since the claim `auth_time`. */
  maxAge?: number | undefined;
  /** Seconds by which the issuer's clock may differ from this one, 0 to 300. Default: 60. */
  clockTolerance?: number | undefined;
  /** Milliseconds since 1970. Default: `Date.now`. */
  now?: (() => number) | undefined;
}

/**
 * Lets in a token whose user signed in strongly and recently enough (RFC 9470). The claims `acr` and
 * `auth_time` (RFC 9068 §2.2.1) are required when they are checked. The challenge says which sign-in is
 * needed.
 *
 * @throws AuthError `ERR_INSUFFICIENT_USER_AUTHENTICATION` (401); `ERR_MISSING_TOKEN` (401) without a
 *   token
 * @example
 * router.delete('/orders/:id', requiredSignIn({ acr: 'urn:example:mfa', maxAge: 300 }), removeOrder);
 */
export function requiredSignIn(options: SignInOptions): Middleware {
  const { accepted, maxAge, clockTolerance, now } = checkOptions(options);
  const needed = { acrValues: accepted?.join(' '), maxAge };
  const refusal = (message: string) =>
    new AuthError('ERR_INSUFFICIENT_USER_AUTHENTICATION', { message, ...needed });
  return async function requiredSignIn(ctx, next) {
    const { acr, auth_time: signedInAt } = authOf(ctx).payload;
    // `acr` is one case-sensitive string (OpenID Connect Core §2), `auth_time` a time that has passed.
    if (accepted && !accepted.includes(acr as string)) {
      throw refusal('this needs a stronger sign-in');
    }
    if (maxAge !== undefined) {
      const age = isNumericDate(signedInAt) ? now() / 1000 - signedInAt : Number.NaN;
      if (!(age >= -clockTolerance && age <= maxAge + clockTolerance)) {
        throw refusal('this needs a more recent sign-in');
      }
    }
    await next();
  };
}

function checkOptions(options: SignInOptions) {
  const given = asOptions<SignInOptions>(options);
  const { acr, maxAge, clockTolerance = 60, now = Date.now, ...unknown } = given;
  const faults = new OptionFaults();
  const accepted = typeof acr === 'string' ? acr.split(' ').filter(Boolean) : acr;
  faults.add(
    accepted !== undefined &&
      (!Array.isArray(accepted) || accepted.length === 0 || !accepted.every(isAcr)),
    'acr must be one word of ASCII without quotes, or several',
  );
  faults.add(
    maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0),
    'maxAge must be a whole number of seconds, 0 or more',
  );
  const isEmpty = acr === undefined && maxAge === undefined;
  faults.add(isEmpty, 'give acr or maxAge, as in { maxAge: 300 }');
  faults.addClockTolerance(clockTolerance);
  faults.add(typeof now !== 'function', 'now must be a function');
  faults.addUnknown(unknown);
  faults.throwIfAny('requiredSignIn');
  return { accepted: accepted && [...accepted], maxAge, clockTolerance, now };
}

function isAcr(value: unknown): boolean {
  return typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value);
}
