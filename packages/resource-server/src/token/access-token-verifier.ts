import { decodeUnverifiedJwt, type SigningKey, type UnverifiedJwt } from '@koa-oauth/issuer';
import { InvalidTokenError } from '../errors.ts';
import { checkBearerToken } from '../request/bearer-token.ts';
import type { Scheme } from '../request/challenge.ts';
import { type CheckedIntrospection, Introspection } from './introspection.ts';
import { checkIntrospected, type Introspected } from './introspection-response.ts';
import { ResolvedIssuers } from './issuer-resolver.ts';
import {
  type AccessTokenClaims,
  checkAccessToken,
  checkBinding,
  checkIssuer,
  checkLightweightToken,
  checkTimes,
  isLightweightToken,
  readScopes,
} from './jwt-access-token.ts';
import { checkSignature, type VerifySignature } from './signature.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';
import {
  type Auth,
  createAuth,
  VerifiedTokens,
  type VerifiedTokensLimits,
} from './verified-tokens.ts';

/** Checked options of `accessTokenVerifier`. */
export interface VerifierOptions<Claims> {
  readonly issuers: readonly TrustedIssuer<Claims>[] | ResolvedIssuers<Claims>;
  readonly verifySignature: VerifySignature;
  readonly verifiedTokens: VerifiedTokensLimits | false | undefined;
  readonly now: () => number;
}

/** A verified token, and how it was sent. */
interface Verified<Claims> {
  readonly auth: Auth<Claims>;
  readonly cached: boolean;
  readonly jkt: string | undefined;
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
) => Promise<Verified<Claims>>;

/** Decoded headers by their encoded text. */
type DecodedHeaders = Map<string, UnverifiedJwt['header']>;

const MAX_DECODED_HEADERS = 16;
const MAX_TOKEN_LENGTH = 16 * 1024;

/** Makes the function that verifies access tokens. It needs no request. */
export function accessTokenVerifier<Claims>(
  options: VerifierOptions<Claims>,
): VerifyAccessToken<Claims> {
  const { issuers, verifiedTokens, now } = options;
  const resolved = issuers instanceof ResolvedIssuers ? issuers : undefined;
  const findListed = finderIn(issuers instanceof ResolvedIssuers ? [] : issuers);
  const cache =
    verifiedTokens === false
      ? undefined
      : new VerifiedTokens<Auth<Claims>, TrustedIssuer<Claims>>(verifiedTokens);
  const decodedHeaders: DecodedHeaders = new Map();
  const introspected = introspectedTokens(options);

  return async function verifyAccessToken(token, scheme = 'Bearer', ctx) {
    const hit = cache?.get(token);
    if (
      hit?.trusted.issuer.hasKey(hit.key) &&
      // A resolver may now reject the issuer, or return other options.
      (!resolved || (await resolved.find(hit.auth.issuer, ctx)) === hit.trusted)
    ) {
      const { payload } = hit.auth;
      const { rules } = hit.trusted;
      checkTimes(payload, rules.clockTolerance, now() / 1000);
      const jkt = checkBinding(payload, scheme, rules);
      return { auth: hit.auth, cached: true, jkt };
    }
    if (introspected && token.length <= MAX_TOKEN_LENGTH && isOpaque(token)) {
      checkBearerToken(token, scheme);
      return introspected.verify(token, scheme);
    }
    const unverified = decodeToken(token, scheme, decodedHeaders);
    const { iss } = unverified.payload;
    const trusted = resolved ? await resolved.find(iss, ctx) : findListed(iss);
    if (introspected?.trusted === trusted && isLightweightToken(unverified, trusted.rules)) {
      checkLightweightToken(unverified, trusted.rules, now() / 1000);
      await findSigner(token, unverified.header, trusted, options.verifySignature);
      const { cnf } = unverified.payload;
      // An answer that leaves out the binding must not remove it.
      if (cnf !== undefined) checkBinding({ cnf }, scheme, trusted.rules);
      return introspected.verify(token, scheme);
    }
    const { header } = unverified;
    const isKnownHeader = Object.isFrozen(header);
    const verified = await verifyDecoded(token, scheme, unverified, trusted, options);
    // Only a genuine token's header is stored. An issuer has about one for each key.
    if (!isKnownHeader && decodedHeaders.size < MAX_DECODED_HEADERS) {
      decodedHeaders.set(token.slice(0, token.indexOf('.')), header);
    }
    cache?.add(token, verified);
    return { auth: verified.auth, cached: false, jkt: verified.jkt };
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
  { verifySignature, now }: VerifierOptions<Claims>,
) {
  const { issuer, rules } = trusted;
  const payload = checkAccessToken(unverified, rules, now() / 1000);
  const scopes = readScopes(payload, rules);
  const jkt = checkBinding(payload, scheme, rules);
  checkIssuer(payload, await issuer.metadata());
  const { header } = unverified;
  const key = await findSigner(token, header, trusted, verifySignature);
  const auth = await createAuth({ header, payload, scopes }, trusted.claims);
  return { auth, key, trusted, jkt };
}

async function findSigner<Claims>(
  token: string,
  header: UnverifiedJwt['header'],
  { issuer }: TrustedIssuer<Claims>,
  verifySignature: VerifySignature,
): Promise<SigningKey> {
  const keys = await issuer.signingKeys(header).catch(rejectUnknownKey);
  return checkSignature(token, keys, verifySignature);
}

const NO_HEADER = Object.freeze({});

/** Returns the verifier for the issuer that has introspection. The options allow only one. */
function introspectedTokens<Claims>(
  options: VerifierOptions<Claims>,
): IntrospectedTokens<Claims> | undefined {
  const listed = options.issuers instanceof ResolvedIssuers ? [] : options.issuers;
  for (const trusted of listed) {
    const { introspection } = trusted;
    if (introspection) return new IntrospectedTokens(trusted, introspection, options);
  }
  return undefined;
}

/** Verifies tokens by what their issuer says about them (RFC 7662), with the rules for JWTs. */
class IntrospectedTokens<Claims> {
  readonly trusted: TrustedIssuer<Claims>;
  readonly #settings: CheckedIntrospection;
  readonly #options: VerifierOptions<Claims>;
  readonly #introspection: Introspection;
  /** Content of tokens, by the answer about them. */
  readonly #auths = new WeakMap<Introspected, Auth<Claims>>();

  constructor(
    trusted: TrustedIssuer<Claims>,
    settings: CheckedIntrospection,
    options: VerifierOptions<Claims>,
  ) {
    const { issuer, rules } = trusted;
    this.trusted = trusted;
    this.#settings = settings;
    this.#options = options;
    this.#introspection = new Introspection({ ...options, ...rules, ...settings, issuer });
  }

  async verify(token: string, scheme: Scheme): Promise<Verified<Claims>> {
    const { rules } = this.trusted;
    const { now } = this.#options;
    const { claims, cached } = await this.#introspection.find(token);
    if (claims === undefined) throw new InvalidTokenError('inactive');
    const known = this.#auths.get(claims);
    const payload = known?.payload ?? (await this.#check(claims));
    checkTimes(payload, rules.clockTolerance, now() / 1000);
    const jkt = checkBinding(payload, scheme, rules);
    const auth = known ?? (await this.#createAuth(payload));
    this.#auths.set(claims, auth);
    return { auth, cached, jkt };
  }

  async #check(claims: Introspected): Promise<AccessTokenClaims> {
    const { issuer, rules } = this.trusted;
    const { unsafeMissingAudience } = this.#settings;
    const metadata = await issuer.metadata();
    const payload = checkIntrospected(
      claims,
      { ...rules, issuer: metadata.issuer, unsafeMissingAudience },
      this.#options.now() / 1000,
    );
    checkIssuer(payload, metadata);
    return payload;
  }

  async #createAuth(payload: AccessTokenClaims): Promise<Auth<Claims>> {
    const { rules, claims } = this.trusted;
    return createAuth({ header: NO_HEADER, payload, scopes: readScopes(payload, rules) }, claims);
  }
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

// A JWT has three parts, of which the first is a JSON object (RFC 7515 §7.1). A broken one is not asked for.
function isOpaque(token: string): boolean {
  const [header = '', ...others] = token.split('.');
  const isObject = Buffer.from(header, 'base64url').toString('latin1').trimStart().startsWith('{');
  return others.length !== 2 || !isObject;
}

// A key that the issuer does not publish is the token's fault, any other failure the issuer's.
function rejectUnknownKey(error: unknown): never {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  throw code === 'ERR_SIGNING_KEY_NOT_FOUND' ? new InvalidTokenError('key', message) : error;
}
