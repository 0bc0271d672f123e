import { InvalidTokenError } from '../errors.ts';
import type { VerifierOptions } from '../options.ts';
import { checkBearerToken } from '../request/bearer-token.ts';
import { readCustomClaims } from './custom-claims.ts';
import {
  type AccessTokenClaims,
  checkAccessToken,
  checkIssuer,
  checkTimes,
} from './jwt-access-token.ts';
import { checkRevocation } from './revocation.ts';
import { SeenTokens } from './seen-tokens.ts';
import { checkSignature } from './signature.ts';
import { decodeJwt } from './unverified-jwt.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** What a verified access token says. Frozen: requests with the same token share it. */
export interface Auth<Claims = unknown> {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: AccessTokenClaims;
  /** The custom claims, without their prefix, as the schema gave them out. */
  readonly claims: Claims;
}

/**
 * Verifies an access token.
 *
 * @throws InvalidTokenError (401); AuthError with status 400, 403 or 503; IssuerError (503)
 */
export type VerifyAccessToken<Claims> = (
  token: string,
) => Promise<{ auth: Auth<Claims>; cached: boolean }>;

/** Makes the function that verifies access tokens by these options. Knows nothing of requests. */
export function accessTokenVerifier<Claims>(
  options: VerifierOptions<Claims>,
): VerifyAccessToken<Claims> {
  const { issuer, verifiedTokens, isRevoked, clockTolerance, now } = options;
  const known =
    verifiedTokens === false ? undefined : new VerifiedTokens<Auth<Claims>>(verifiedTokens);
  const seen = known && new SeenTokens();

  return async function verifyAccessToken(token) {
    const found = known?.get(token);
    if (found && issuer.hasKey(found.key)) {
      checkTimes(found.auth.payload, clockTolerance, now() / 1000);
      if (isRevoked) await checkRevocation(found.auth.payload, isRevoked);
      return { auth: found.auth, cached: true };
    }
    const verified = await verifyAnew(token, options);
    // Only a token that comes again is worth the room: one used once would push out one in use, and
    // keep the collector busy.
    if (seen?.note(token)) known?.set(token, verified);
    return { auth: verified.auth, cached: false };
  };
}

/** Cheap judgements first, then the key, then the signature; what is said is believed only then. */
async function verifyAnew<Claims>(token: string, options: VerifierOptions<Claims>) {
  const { issuer, rules, isRevoked, now } = options;
  checkBearerToken(token);
  const unverified = decodeJwt(token);
  const payload = checkAccessToken(unverified, rules, now() / 1000);
  checkIssuer(payload, await issuer.metadata());
  const { header } = unverified;
  const key = await issuer.signingKey(header).catch(blameToken);
  await checkSignature(token, key, options.verifySignature);
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
