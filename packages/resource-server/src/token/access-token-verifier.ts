import type { Issuer, SigningKey } from '@koa-oauth/issuer';
import { AuthError, InvalidTokenError } from '../errors.ts';
import { checkBearerToken } from '../request/bearer-token.ts';
import { type CustomClaims, readCustomClaims } from './custom-claims.ts';
import {
  type AccessTokenClaims,
  type AccessTokenRules,
  checkAccessToken,
  checkIssuer,
  checkTimes,
} from './jwt-access-token.ts';
import type { VerifySignature } from './signature.ts';
import { decodeJwt } from './unverified-jwt.ts';
import { VerifiedTokens, type VerifiedTokensLimits } from './verified-tokens.ts';

/** Content of a verified access token. Frozen: requests with the same token share it. */
export interface Auth<Claims = unknown> {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: AccessTokenClaims;
  /** The custom claims, without their prefix, as the schema gave them out. */
  readonly claims: Claims;
}

/**
 * Reports whether a token was revoked: by its `iss` and `jti`, or by its `sub` and `iat` (all tokens of
 * a user before a moment). Never by the token's own bytes: one token can be spelled in more ways than
 * one.
 *
 * @example
 * const isRevoked: IsRevoked = ({ iss, jti }) => store.has(`revoked ${iss} ${jti}`);
 */
export type IsRevoked = (claims: AccessTokenClaims) => boolean | Promise<boolean>;

/** Checked options of `accessTokenVerifier`. */
export interface VerifierOptions<Claims> {
  readonly issuer: Issuer;
  readonly rules: AccessTokenRules;
  readonly claims: CustomClaims<Claims> | undefined;
  readonly isRevoked: IsRevoked | undefined;
  readonly verifySignature: VerifySignature;
  readonly verifiedTokens: VerifiedTokensLimits | false | undefined;
  readonly now: () => number;
}

/**
 * Verifies an access token.
 *
 * @throws InvalidTokenError (401); AuthError with status 400, 403 or 503; IssuerError (503)
 */
export type VerifyAccessToken<Claims> = (
  token: string,
) => Promise<{ auth: Auth<Claims>; cached: boolean }>;

const MAX_HEADERS = 16;

/** Makes the function that verifies access tokens by these options. Knows nothing of requests. */
export function accessTokenVerifier<Claims>(
  options: VerifierOptions<Claims>,
): VerifyAccessToken<Claims> {
  const { issuer, rules, verifiedTokens, isRevoked, now } = options;
  const known =
    verifiedTokens === false ? undefined : new VerifiedTokens<Auth<Claims>>(verifiedTokens);
  const headers = new Map<string, Auth['header']>();

  return async function verifyAccessToken(token) {
    const found = known?.get(token);
    if (found && issuer.hasKey(found.key)) {
      checkTimes(found.auth.payload, rules.clockTolerance, now() / 1000);
      if (isRevoked) await checkRevocation(found.auth.payload, isRevoked);
      return { auth: found.auth, cached: true };
    }
    const verified = await verifyAnew(token, options, headers);
    known?.add(token, verified);
    return { auth: verified.auth, cached: false };
  };
}

/** Checks the cheap parts first, then finds the key, then verifies the signature; trusts the token only then. */
async function verifyAnew<Claims>(
  token: string,
  options: VerifierOptions<Claims>,
  headers: Map<string, Auth['header']>,
) {
  const { issuer, rules, isRevoked, now } = options;
  checkBearerToken(token);
  const unverified = decodeJwt(token, headers);
  const payload = checkAccessToken(unverified, rules, now() / 1000);
  checkIssuer(payload, await issuer.metadata());
  const { header } = unverified;
  const key = await issuer.signingKey(header).catch(blameToken);
  await checkSignature(token, key, options.verifySignature);
  // Headers of genuine tokens only: an issuer has one for each key.
  if (headers.size < MAX_HEADERS) headers.set(token.slice(0, token.indexOf('.')), header);
  if (isRevoked) await checkRevocation(payload, isRevoked);
  const claims = options.claims
    ? await readCustomClaims(payload, options.claims)
    : (undefined as Claims);
  return { auth: deepFreeze({ header, payload, claims }), key };
}

function blameToken(error: unknown): never {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  throw code === 'ERR_SIGNING_KEY_NOT_FOUND' ? new InvalidTokenError('key', message) : error;
}

/**
 * @throws InvalidTokenError `signature`; AuthError `ERR_SIGNATURE_UNAVAILABLE` (503) when `verify` fails
 */
export async function checkSignature(
  token: string,
  { alg, key }: SigningKey,
  verify: VerifySignature,
): Promise<void> {
  let holds: unknown;
  try {
    holds = await verify(token, { alg, key });
  } catch (cause) {
    throw new AuthError('ERR_SIGNATURE_UNAVAILABLE', { detail: 'verifySignature failed', cause });
  }
  if (holds !== true) throw new InvalidTokenError('signature');
}

/**
 * @throws InvalidTokenError `revoked`; AuthError `ERR_REVOCATION_UNAVAILABLE` (503) when `isRevoked`
 *   fails, or answers anything but true or false
 */
export async function checkRevocation(
  claims: AccessTokenClaims,
  isRevoked: IsRevoked,
): Promise<void> {
  let revoked: unknown;
  try {
    revoked = await isRevoked(claims);
  } catch (cause) {
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail: 'isRevoked failed', cause });
  }
  if (revoked === true) throw new InvalidTokenError('revoked');
  if (revoked !== false) {
    const detail = `isRevoked answered ${typeof revoked}`;
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail });
  }
}

// Lists and plain objects only: a schema may give out a Date, or an object of the app's own. Walks a
// set that grows, since nesting in a token may be deeper than the stack, and a schema's answer a loop.
function deepFreeze<T extends object>(root: T): T {
  const found = new Set<object>([root]);
  for (const object of found) {
    Object.freeze(object);
    for (const member of Object.values(object)) if (isPlain(member)) found.add(member);
  }
  return root;
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
