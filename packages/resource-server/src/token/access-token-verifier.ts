import {
  answerInTime,
  decodeUnverifiedJwt,
  type SigningKey,
  type UnverifiedJwt,
} from '@koa-oauth/issuer';
import { AuthError, InvalidTokenError, unavailable } from '../errors.ts';
import { checkBearerToken } from '../request/bearer-token.ts';
import type { Scheme } from '../request/challenge.ts';
import { readCustomClaims } from './custom-claims.ts';
import { ResolvedIssuers } from './issuer-resolver.ts';
import {
  type AccessTokenClaims,
  checkAccessToken,
  checkBinding,
  checkIssuer,
  checkTimes,
  readScopes,
} from './jwt-access-token.ts';
import type { SignatureRules, VerifySignature } from './signature.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';
import { VerifiedTokens, type VerifiedTokensLimits } from './verified-tokens.ts';

/** Content of a verified access token. Frozen: requests with the same token share it. */
export interface Auth<Claims = unknown> {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: AccessTokenClaims;
  /** Identifier of its issuer. A user is `issuer` and `payload.sub`: two issuers can have the same `sub`. */
  readonly issuer: string;
  /** Scopes that the token grants (RFC 6749 §3.3). */
  readonly scopes: readonly string[];
  /** Custom claims without their prefix, as the schema returned them. */
  readonly claims: Claims;
}

/**
 * Reports whether a token was revoked. Recognize it by `iss` and `jti`, or by `sub` and `iat` (all
 * tokens of a user before a moment). Do not compare the text of the token: an ECDSA signature can be
 * changed without its key and stays valid.
 *
 * @example
 * const isRevoked: IsRevoked = ({ iss, jti }) => store.has(`revoked ${iss} ${jti}`);
 */
export type IsRevoked = (claims: AccessTokenClaims) => boolean | Promise<boolean>;

/** Checked options of `accessTokenVerifier`. */
export interface VerifierOptions<Claims> {
  readonly issuers: readonly TrustedIssuer<Claims>[] | ResolvedIssuers<Claims>;
  readonly isRevoked: IsRevoked | undefined;
  readonly verifySignature: VerifySignature;
  readonly verifiedTokens: VerifiedTokensLimits | false | undefined;
  readonly now: () => number;
}

/**
 * Verifies an access token that was sent under a scheme, by default as a bearer token.
 *
 * @param ctx second parameter of a function that finds issuers
 * @returns its content and, for a token that is bound to a key, the thumbprint of this key (`jkt`)
 * @throws InvalidTokenError (401); AuthError with status 400, 403 or 503; IssuerError (503)
 */
export type VerifyAccessToken<Claims> = (
  token: string,
  scheme?: Scheme,
  ctx?: unknown,
) => Promise<{ auth: Auth<Claims>; cached: boolean; jkt: string | undefined }>;

/** Decoded headers by their encoded text. */
type DecodedHeaders = Map<string, UnverifiedJwt['header']>;

const MAX_DECODED_HEADERS = 16;
const MAX_TOKEN_LENGTH = 16 * 1024;

/** Makes the function that verifies access tokens. It needs no request. */
export function accessTokenVerifier<Claims>(
  options: VerifierOptions<Claims>,
): VerifyAccessToken<Claims> {
  const { issuers, verifiedTokens, isRevoked, now } = options;
  const resolved = issuers instanceof ResolvedIssuers ? issuers : undefined;
  const findListed = finderIn(issuers instanceof ResolvedIssuers ? [] : issuers);
  const cache =
    verifiedTokens === false
      ? undefined
      : new VerifiedTokens<Auth<Claims>, TrustedIssuer<Claims>>(verifiedTokens);
  const decodedHeaders: DecodedHeaders = new Map();

  return async function verifyAccessToken(token, scheme = 'Bearer', ctx) {
    const hit = cache?.get(token);
    if (
      hit?.trusted.issuer.hasKey(hit.key) &&
      // A resolver can trust an issuer no longer, or in another way.
      (!resolved || (await resolved.find(hit.auth.issuer, ctx)) === hit.trusted)
    ) {
      const { payload } = hit.auth;
      const { rules } = hit.trusted;
      checkTimes(payload, rules.clockTolerance, now() / 1000);
      const jkt = checkBinding(payload, scheme, rules);
      if (isRevoked) await checkRevocation(payload, isRevoked);
      return { auth: hit.auth, cached: true, jkt };
    }
    const unverified = decodeToken(token, scheme, decodedHeaders);
    const { iss } = unverified.payload;
    const trusted = resolved ? await resolved.find(iss, ctx) : findListed(iss);
    const { jkt, ...verified } = await verifyDecoded(token, scheme, unverified, trusted, options);
    // Only a genuine token's header is stored. An issuer has about one for each key.
    if (decodedHeaders.size < MAX_DECODED_HEADERS) {
      decodedHeaders.set(token.slice(0, token.indexOf('.')), unverified.header);
    }
    cache?.add(token, verified);
    return { auth: verified.auth, cached: false, jkt };
  };
}

/** Returns the function that finds the issuer of a token among those listed. */
function finderIn<Claims>(
  issuers: readonly TrustedIssuer<Claims>[],
): (iss: unknown) => TrustedIssuer<Claims> {
  const nameOf = (identifier: string) => identifier.replace(/\/$/, '');
  const [first, ...others] = issuers;
  // A token of another issuer is rejected later, by the rules.
  if (first && others.length === 0) return () => first;
  const byName = new Map(issuers.map((each) => [nameOf(each.issuer.issuerBaseURL), each]));
  return function findListed(iss) {
    if (typeof iss !== 'string') throw new InvalidTokenError('claim', '"iss" is not a string');
    const found = byName.get(nameOf(iss));
    if (found) return found;
    throw new InvalidTokenError('issuer', `expected one of ${[...byName.keys()].join(', ')}`);
  };
}

// The checks that need no key come first: a hostile token must cost little.
async function verifyDecoded<Claims>(
  token: string,
  scheme: Scheme,
  unverified: UnverifiedJwt,
  trusted: TrustedIssuer<Claims>,
  { isRevoked, verifySignature, now }: VerifierOptions<Claims>,
) {
  const { issuer, rules } = trusted;
  const payload = checkAccessToken(unverified, rules, now() / 1000);
  const scopes = readScopes(payload, rules);
  const jkt = checkBinding(payload, scheme, rules);
  checkIssuer(payload, await issuer.metadata());
  const { header } = unverified;
  const keys = await issuer.signingKeys(header).catch(rejectUnknownKey);
  const key = await checkSignature(token, keys, verifySignature);
  if (isRevoked) await checkRevocation(payload, isRevoked);
  const claims = trusted.claims
    ? await readCustomClaims(payload, trusted.claims)
    : (undefined as Claims);
  // The header of another token with the same text is frozen.
  if (!Object.isFrozen(header)) freezeParsed(header);
  freezeParsed(payload);
  if (isPlain(claims)) deepFreeze(claims);
  const auth = Object.freeze({ header, payload, issuer: payload.iss, scopes, claims });
  return { auth, key, trusted, jkt };
}

// Every JWT is also a b64token (RFC 6750 §2.1), so only what is not a JWT is matched against that form.
function decodeToken(token: string, scheme: Scheme, decodedHeaders: DecodedHeaders): UnverifiedJwt {
  let fault: InvalidTokenError;
  try {
    if (token.length <= MAX_TOKEN_LENGTH) return decodeUnverifiedJwt(token, decodedHeaders);
    fault = new InvalidTokenError('oversized', `${token.length} characters`);
  } catch (error) {
    fault = new InvalidTokenError('malformed', (error as Error).message);
  }
  checkBearerToken(token, scheme);
  throw fault;
}

// A key that the issuer does not publish is the token's fault, any other failure the issuer's.
function rejectUnknownKey(error: unknown): never {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  throw code === 'ERR_SIGNING_KEY_NOT_FOUND' ? new InvalidTokenError('key', message) : error;
}

/**
 * Returns the key that verifies the signature.
 *
 * @throws InvalidTokenError `signature`; AuthError `ERR_SIGNATURE_UNAVAILABLE` (503) when `verify` throws
 *   or does not answer in time
 */
export async function checkSignature(
  token: string,
  keys: readonly SigningKey[],
  verify: VerifySignature,
): Promise<SigningKey> {
  for (const signingKey of keys) {
    if (await isSignedWith(signingKey, token, verify)) return signingKey;
  }
  throw new InvalidTokenError('signature');
}

/**
 * Reports whether a key verifies the signature of a token or a proof.
 *
 * @throws AuthError `ERR_SIGNATURE_UNAVAILABLE` (503) when `verify` throws or does not answer in time
 */
export async function isSignedWith(
  { alg, key }: SignatureRules,
  jws: string,
  verify: VerifySignature,
): Promise<boolean> {
  try {
    return (await answerInTime(verify(jws, { alg, key }))) === true;
  } catch (cause) {
    throw unavailable('ERR_SIGNATURE_UNAVAILABLE', 'verifySignature', cause);
  }
}

/**
 * @throws InvalidTokenError `revoked`; AuthError `ERR_REVOCATION_UNAVAILABLE` (503) when `isRevoked`
 *   throws, does not answer in time, or returns anything except true and false
 */
export async function checkRevocation(
  claims: AccessTokenClaims,
  isRevoked: IsRevoked,
): Promise<void> {
  let revoked: unknown;
  try {
    revoked = await answerInTime(isRevoked(claims));
  } catch (cause) {
    throw unavailable('ERR_REVOCATION_UNAVAILABLE', 'isRevoked', cause);
  }
  if (revoked === true) throw new InvalidTokenError('revoked');
  if (revoked !== false) {
    const detail = `isRevoked answered ${typeof revoked}`;
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail });
  }
}

// A value that was parsed from JSON has only lists and plain objects, and no cycle. The list grows instead of a
// recursion, because a token can nest deeper than the stack.
function freezeParsed(parsed: object): void {
  const found = [parsed];
  for (const object of found) {
    Object.freeze(object);
    for (const member of Object.values(object)) {
      if (typeof member === 'object' && member !== null) found.push(member);
    }
  }
}

// Freezes only lists and plain objects: a schema may return a Date or an object of the app. Its result
// can contain itself.
function deepFreeze(root: object): void {
  const found = new Set([root]);
  for (const object of found) {
    Object.freeze(object);
    for (const member of Object.values(object)) if (isPlain(member)) found.add(member);
  }
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
