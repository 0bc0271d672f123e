import { SigningKeyNotFound } from '@koa-oauth/issuer';
import type { Middleware, ParameterizedContext } from 'koa';
import { bearerToken } from './bearer-token.ts';
import { buildChallenge } from './challenge.ts';
import { readCustomClaims } from './custom-claims.ts';
import { AuthError, InvalidTokenError, UnauthorizedError } from './errors.ts';
import { type AccessTokenClaims, checkAccessToken } from './jwt-access-token.ts';
import { type AuthOptions, type CheckedOptions, checkOptions } from './options.ts';
import { verifySignature } from './signature.ts';
import { decodeJwt } from './unverified-jwt.ts';

/** What a verified access token says; put into `ctx.state.auth`. */
export interface Auth<Claims = unknown> {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: AccessTokenClaims;
  /** The custom claims, without their prefix, as the schema gave them out. */
  readonly claims: Claims;
}

declare module 'koa' {
  interface DefaultState {
    auth?: Auth;
  }
}

/**
 * Lets a request in by its access token (RFC 6750, RFC 9068 §4) and puts what the token says into
 * `ctx.state.auth`.
 *
 * It throws, and leaves answering to the application: `AuthError`s with status 400, 401 or 403 and
 * a `WWW-Authenticate` header, and `IssuerUnavailable` (503, `Retry-After`) when the issuer's keys
 * can't be had. Errors of the routes behind it pass through untouched.
 *
 * @throws InvalidOptions at once, naming every option at fault
 */
export function auth<Claims = unknown>(
  options: AuthOptions<Claims>,
): Middleware<{ auth: Auth<Claims> }> {
  const checked = checkOptions(options);
  const { authRequired, realm, resourceMetadata } = checked;

  return async function auth(ctx, next) {
    try {
      const token = bearerToken({
        rawHeaders: ctx.req.rawHeaders,
        query: ctx.query,
        form: formOf(ctx),
      });
      // Whatever an earlier middleware left there isn't what this request's token says.
      (ctx.state as { auth?: Auth<Claims> }).auth = undefined;
      if (token !== undefined) ctx.state.auth = await verifyAccessToken(token, checked);
      else if (authRequired) throw new UnauthorizedError();
      await next();
    } catch (error) {
      if (error instanceof AuthError) {
        const challenge = { ...error.challenge, realm, resource_metadata: resourceMetadata };
        error.headers = { ...error.headers, 'WWW-Authenticate': buildChallenge(challenge) };
      }
      throw error;
    }
  };
}

/**
 * Verifies an access token: cheap judgements first, then the key, then the signature, then the
 * custom claims.
 *
 * @throws InvalidTokenError (401), ClaimMismatchError (403), IssuerUnavailable (503)
 */
async function verifyAccessToken<Claims>(
  token: string,
  options: CheckedOptions<Claims>,
): Promise<Auth<Claims>> {
  const unverified = decodeJwt(token);
  const { issuer } = await options.issuer.metadata();
  const payload = checkAccessToken(unverified, { ...options, issuer }, options.now() / 1000);
  const { header } = unverified;
  const { key, alg } = await findKey(options, header);
  await verifySignature(token, alg, key);
  const claims = options.claims
    ? await readCustomClaims(payload, options.claims)
    : (undefined as Claims);
  return { header, payload, claims };
}

async function findKey(
  { issuer }: Pick<CheckedOptions<unknown>, 'issuer'>,
  header: Record<string, unknown>,
) {
  try {
    return await issuer.signingKey(header);
  } catch (error) {
    if (error instanceof SigningKeyNotFound) throw new InvalidTokenError('key', error.message);
    throw error;
  }
}

function formOf(ctx: ParameterizedContext): unknown {
  return ctx.is('urlencoded') ? (ctx.request as { body?: unknown }).body : undefined;
}
