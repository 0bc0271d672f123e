import { createIssuer, InvalidOptions, type Issuer } from '@koa-oauth/issuer';
import {
  type CheckedDpopOptions,
  checkDpopOptions,
  type DpopOptions,
} from './dpop/dpop-options.ts';
import type { AuthEvent } from './events.ts';
import type { IsRevoked, VerifierOptions } from './token/access-token-verifier.ts';
import type { CustomClaims } from './token/custom-claims.ts';
import type { TokenProfile } from './token/jwt-access-token.ts';
import {
  type Algorithm,
  algorithmsOf,
  areAlgorithmsOf,
  type VerifySignature,
  verifySignature as verifyWithNode,
} from './token/signature.ts';
import type { VerifiedTokensLimits } from './token/verified-tokens.ts';

/** Options of `auth`. `audience` and either `issuerBaseURL` or `issuer` are required. */
export interface AuthOptions<Claims> {
  /** The issuer identifier; its metadata says where its keys are. Give this or `issuer`. */
  issuerBaseURL?: string | undefined;
  /** An issuer made with `createIssuer`, to share its keys or to set its limits. */
  issuer?: Issuer | undefined;
  /** This API's identifier, or several; `aud` must contain one. */
  audience: string | readonly string[];
  /** Accepted algorithms. Default: all of `Algorithm`, or those of FAPI. */
  algorithms?: readonly Algorithm[] | undefined;
  /**
   * Accepted kinds of access token. Default: `any`. `fapi2` is the FAPI 2.0 Security Profile: it requires
   * `dpop` and `isRevoked` too, and rejects options that are weaker.
   */
  profile?: TokenProfile | undefined;
  /** Seconds by which the issuer's clock may differ from this one, 0 to 300. Default: 60. */
  clockTolerance?: number | undefined;
  /** Prefix and schema of the custom claims in `ctx.state.auth.claims`. */
  claims?: CustomClaims<Claims> | undefined;
  /** Reports revoked tokens; called on every request. When it fails, the answer is 503. */
  isRevoked?: IsRevoked | undefined;
  /** Verifies signatures instead of `node:crypto`, for example with an HSM. When it fails, the answer is 503. */
  verifySignature?: VerifySignature | undefined;
  /** Accepts tokens that are bound to a key, with their proof (RFC 9449). Default: they are rejected. */
  dpop?: DpopOptions | undefined;
  /** Limits of the cache of verified tokens. False: no cache. */
  verifiedTokens?: VerifiedTokensLimits | false | undefined;
  /** False accepts requests without a token, not those with a bad one. Default: true. */
  authRequired?: boolean | undefined;
  /** `realm` of the challenge, default the first audience. */
  realm?: string | undefined;
  /** Address of this API's RFC 9728 metadata, for the challenge. */
  resourceMetadata?: string | undefined;
  /** Receives an event for each verified token and each refused request. */
  onEvent?: ((event: AuthEvent) => void) | undefined;
  /** Milliseconds since 1970, for the times in tokens. Default: `Date.now`. */
  now?: (() => number) | undefined;
}

/** Checked options of `auth`. */
export interface CheckedOptions<Claims> extends VerifierOptions<Claims> {
  readonly authRequired: boolean;
  readonly dpop: CheckedDpopOptions | undefined;
  readonly realm: string;
  readonly resourceMetadata: string | undefined;
  readonly onEvent: ((event: AuthEvent) => void) | undefined;
}

/** Checks the options. @throws InvalidOptions that names every wrong one */
export function checkOptions<Claims>(options: AuthOptions<Claims>): CheckedOptions<Claims> {
  const faults: string[] = [];
  const {
    issuerBaseURL,
    issuer: sharedIssuer,
    audience: audiences,
    profile = 'any',
    algorithms = algorithmsOf(profile),
    clockTolerance = 60,
    claims,
    authRequired = true,
    realm,
    resourceMetadata,
    isRevoked,
    verifySignature = verifyWithNode,
    verifiedTokens,
    dpop,
    onEvent,
    now = Date.now,
    ...unknown
  } = (typeof options === 'object' && options !== null ? options : {}) as AuthOptions<Claims>;
  const fault = (isWrong: boolean, text: string) => isWrong && faults.push(text);

  const audience = typeof audiences === 'string' ? [audiences] : audiences;
  fault(
    !Array.isArray(audience) || audience.length === 0 || !audience.every(isText),
    'audience must be a non-empty string or a list of them',
  );
  fault(
    !areAlgorithmsOf(profile, algorithms),
    `algorithms must be some of ${algorithmsOf(profile).join(', ')}`,
  );
  fault(
    !['any', 'rfc9068', 'auth0', 'fapi2'].includes(profile),
    'profile must be any, rfc9068, auth0 or fapi2',
  );
  // `exp` plus a string would be a longer string.
  fault(
    typeof clockTolerance !== 'number' || !(clockTolerance >= 0 && clockTolerance <= 300),
    'clockTolerance must be 0 to 300 seconds',
  );
  fault(typeof authRequired !== 'boolean', 'authRequired must be true or false');
  for (const [name, value] of Object.entries({ now, isRevoked, verifySignature, onEvent })) {
    fault(value !== undefined && typeof value !== 'function', `${name} must be a function`);
  }
  fault(
    verifiedTokens !== undefined && verifiedTokens !== false && !areLimits(verifiedTokens),
    'verifiedTokens must be false, or have maxEntries and maxBytes above 0',
  );
  fault(realm !== undefined && !isText(realm), 'realm must be a non-empty string');
  fault(
    resourceMetadata !== undefined && !isURL(resourceMetadata),
    'resourceMetadata must be a URL',
  );
  if (claims !== undefined) {
    fault(!isURL(claims?.namespace), 'claims.namespace must be a URL');
    fault(
      typeof claims?.schema?.['~standard']?.validate !== 'function',
      'claims.schema must be a Standard Schema',
    );
  }
  const checkedDpop =
    dpop === undefined ? undefined : checkDpopOptions(dpop, { profile, now, fault });
  if (profile === 'fapi2') {
    fault(clockTolerance > 60, 'clockTolerance must be 0 to 60 seconds with the profile fapi2');
    for (const [name, value] of Object.entries({ dpop, isRevoked })) {
      fault(value === undefined, `${name} is required with the profile fapi2`);
    }
  }
  const unknownNames = Object.keys(unknown);
  fault(unknownNames.length > 0, `unknown: ${unknownNames.join(', ')}`);

  let issuer = sharedIssuer;
  if (issuer !== undefined) {
    fault(typeof issuer?.signingKey !== 'function', 'issuer must be made with createIssuer');
    fault(issuerBaseURL !== undefined, 'give issuerBaseURL or issuer, not both');
  } else {
    try {
      // Who listens to `auth` learns of a failed refresh there, when a request fails.
      issuer = createIssuer({ issuerBaseURL: issuerBaseURL ?? '', onEvent: onEvent && (() => {}) });
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  if (!issuer || faults.length > 0) throw new InvalidOptions(`auth: ${faults.join('; ')}`);

  const rules = {
    issuerBaseURL: issuer.issuerBaseURL,
    audience: Object.freeze([...audience]),
    algorithms: Object.freeze([...algorithms]),
    profile,
    clockTolerance,
    dpop: checkedDpop && (checkedDpop.required ? 'required' : 'allowed'),
  } as const;
  return Object.freeze({
    issuer,
    rules: Object.freeze(rules),
    claims,
    isRevoked,
    verifySignature,
    verifiedTokens,
    dpop: checkedDpop,
    authRequired,
    realm: realm ?? (audience[0] as string),
    resourceMetadata,
    onEvent,
    now,
  });
}

function areLimits(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(
    ([name, limit]) =>
      (name === 'maxEntries' || name === 'maxBytes') &&
      (limit === undefined || (Number.isSafeInteger(limit) && limit > 0)),
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isURL(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value);
}
