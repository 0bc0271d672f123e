import { InvalidOptions, parseURL } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import {
  type CheckedDpopOptions,
  checkDpopOptions,
  type DpopOptions,
} from './dpop/dpop-options.ts';
import type { AuthEvent } from './events.ts';
import type { VerifierOptions } from './token/access-token-verifier.ts';
import { type IssuerResolver, ResolvedIssuers } from './token/issuer-resolver.ts';
import type { IsRevoked } from './token/revocations.ts';
import { type VerifySignature, verifySignature as verifyWithNode } from './token/signature.ts';
import {
  type CommonRules,
  checkTrustedIssuer,
  isText,
  SHARED_NAMES,
  type TrustedIssuerOptions,
} from './token/trusted-issuer.ts';
import type { VerifiedTokensLimits } from './token/verified-tokens.ts';

/**
 * Options of `auth`. Required are `audience` and one of `issuerBaseURL`, `issuer` and `issuers`. With
 * `issuers`, the other options of an issuer are defaults for all of them.
 */
export interface AuthOptions<Claims, Requested = Context> extends TrustedIssuerOptions<Claims> {
  /** Several issuers, each with its own options; or a function that finds the options of one. */
  issuers?: readonly TrustedIssuerOptions<Claims>[] | IssuerResolver<Claims, Requested> | undefined;
  /** Seconds by which the issuer's clock may differ from this one, 0 to 300. Default: 60. */
  clockTolerance?: number | undefined;
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
  readonly clockTolerance: number;
  readonly realm: string;
  readonly resourceMetadata: string | undefined;
  readonly onEvent: ((event: AuthEvent) => void) | undefined;
}

/** Checks the options. @throws InvalidOptions that names every wrong one */
export function checkOptions<Claims, Requested>(
  options: AuthOptions<Claims, Requested>,
): CheckedOptions<Claims> {
  const faults: string[] = [];
  const {
    issuers: given,
    clockTolerance = 60,
    authRequired = true,
    realm,
    resourceMetadata,
    isRevoked,
    verifySignature = verifyWithNode,
    verifiedTokens,
    dpop,
    onEvent,
    now = Date.now,
    ...issuerOptions
  } = (typeof options === 'object' && options !== null ? options : {}) as AuthOptions<
    Claims,
    Requested
  >;
  const fault = (isWrong: boolean, text: string) => isWrong && faults.push(text);
  const { profile = 'any', audience } = issuerOptions;

  const checkedDpop =
    dpop === undefined ? undefined : checkDpopOptions(dpop, { profile, now, fault });
  const common: CommonRules = {
    clockTolerance,
    dpop: checkedDpop && (checkedDpop.required ? 'required' : 'allowed'),
    // A listener of `auth` gets a failed refresh as the refused request that it causes.
    onIssuerEvent: onEvent && (() => {}),
  };
  const issuers =
    given === undefined
      ? checkTrustedIssuer<Claims>(issuerOptions, common, fault)
      : checkIssuers(given, issuerOptions, common, fault);

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
    resourceMetadata !== undefined && !parseURL(resourceMetadata),
    'resourceMetadata must be a URL',
  );
  if (profile === 'fapi2') {
    fault(clockTolerance > 60, 'clockTolerance must be 0 to 60 seconds with the profile fapi2');
    for (const [name, value] of Object.entries({ dpop, isRevoked })) {
      fault(value === undefined, `${name} is required with the profile fapi2`);
    }
  }
  // An opaque token does not name its issuer, and no other may see it.
  const introspecting =
    issuers instanceof ResolvedIssuers ? [] : issuers.filter((each) => each.introspection);
  fault(introspecting.length > 1, 'introspection can be an option of one issuer only');
  const [first] =
    issuers instanceof ResolvedIssuers ? [audience].flat() : (issuers[0]?.rules.audience ?? []);
  const defaultRealm = realm ?? first;
  fault(defaultRealm === undefined, 'realm is required where no audience is given');
  if (faults.length > 0) throw new InvalidOptions(`auth: ${faults.join('; ')}`);

  return Object.freeze({
    issuers,
    isRevoked,
    verifySignature,
    verifiedTokens,
    dpop: checkedDpop,
    clockTolerance,
    authRequired,
    realm: defaultRealm as string,
    resourceMetadata,
    onEvent,
    now,
  });
}

type Fault = (isWrong: boolean, text: string) => void;

/** Checks the option `issuers`. @param defaults options of `auth` that its issuers share */
function checkIssuers<Claims, Requested>(
  issuers: readonly TrustedIssuerOptions<Claims>[] | IssuerResolver<Claims, Requested>,
  defaults: TrustedIssuerOptions<Claims>,
  common: CommonRules,
  fault: Fault,
): VerifierOptions<Claims>['issuers'] {
  const { profile, unsafeAllowHTTP = false } = defaults;
  const given = Object.entries(defaults).filter(([, value]) => value !== undefined);
  const shared = given.filter(([name]) => SHARED_NAMES.some((each) => each === name));
  const others = given.filter((entry) => !shared.includes(entry)).map(([name]) => name);
  fault(others.length > 0, `with issuers, these are options of each of them: ${others.join(', ')}`);
  const check = (options: TrustedIssuerOptions<Claims>, add: Fault) => {
    const own = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
    const merged: TrustedIssuerOptions<Claims> = Object.fromEntries([...shared, ...own]);
    // DPoP and revocation are checked for the profile of `auth`.
    add(
      (merged.profile === 'fapi2') !== (profile === 'fapi2'),
      'the profile fapi2 must be that of all issuers, as an option of auth',
    );
    return checkTrustedIssuer<Claims>(merged, common, add);
  };
  if (typeof issuers === 'function') {
    return new ResolvedIssuers<Claims>({
      resolve: issuers as IssuerResolver<Claims, never>,
      unsafeAllowHTTP,
      make(options) {
        const faults: string[] = [];
        const [trusted, other] = check(options, (isWrong, text) => isWrong && faults.push(text));
        if (other) faults.push('tenants: the options must be those of one issuer');
        if (trusted?.introspection) faults.push('introspection is for issuers of a list');
        if (!trusted || faults.length > 0) throw new InvalidOptions(faults.join('; '));
        return trusted;
      },
    });
  }
  const isList = Array.isArray(issuers) && issuers.length > 0;
  fault(!isList, 'issuers must be a function, or a list with an issuer');
  const trusted = (isList ? issuers : []).flatMap((each, index) =>
    check(each, (isWrong, text) => fault(isWrong, `issuers[${index}]: ${text}`)),
  );
  const identifiers = trusted.map(({ issuer }) => issuer?.issuerBaseURL?.replace(/\/$/, ''));
  const twice = identifiers.find((each, index) => identifiers.indexOf(each) !== index);
  fault(twice !== undefined, `issuers has ${twice} twice`);
  return trusted;
}

function areLimits(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(
    ([name, limit]) =>
      (name === 'maxEntries' || name === 'maxBytes') &&
      (limit === undefined || (Number.isSafeInteger(limit) && limit > 0)),
  );
}
