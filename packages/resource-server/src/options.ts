import { parseURL } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import {
  type CheckedDpopOptions,
  checkDpopOptions,
  type DpopOptions,
} from './dpop/dpop-options.ts';
import type { AuthEvent } from './events.ts';
import { asOptions, OptionFaults } from './option-faults.ts';
import type { VerifierOptions } from './token/access-token-verifier.ts';
import { type IssuerResolver, ResolvedIssuers } from './token/issuer-resolver.ts';
import { isText } from './token/jwt-access-token.ts';
import type { IsRevoked } from './token/revocations.ts';
import { type VerifySignature, verifySignature as verifyWithNode } from './token/signature.ts';
import {
  type CommonRules,
  checkTrustedIssuer,
  SHARED_NAMES,
  type TrustedIssuer,
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
  readonly isRevoked: IsRevoked | undefined;
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
  const faults = new OptionFaults();
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
  } = asOptions<AuthOptions<Claims, Requested>>(options);
  const { profile = 'any', audience } = issuerOptions;
  const checkedDpop =
    dpop === undefined ? undefined : checkDpopOptions(dpop, { profile, now, faults });
  const common: CommonRules = {
    clockTolerance,
    dpop: checkedDpop && (checkedDpop.required ? 'required' : 'allowed'),
    // A listener of `auth` gets a failed refresh as the refused request that it causes.
    onIssuerEvent: onEvent && (() => {}),
  };
  const issuers =
    given === undefined
      ? checkTrustedIssuer<Claims>(issuerOptions, common, faults)
      : checkIssuers(given, issuerOptions, common, faults);
  const listed = issuers instanceof ResolvedIssuers ? [] : issuers;
  const [audienceRealm] = listed[0]?.rules.audience ?? [audience].flat();
  const checked = {
    ...{ issuers, isRevoked, verifySignature, verifiedTokens, dpop: checkedDpop, clockTolerance },
    ...{ authRequired, realm: realm ?? audienceRealm, onEvent, now },
    // A header can have an international name only in ASCII.
    resourceMetadata: parseURL(resourceMetadata)?.href,
  };
  checkValues({ ...checked, realm, resourceMetadata }, faults);
  if (profile === 'fapi2') checkFapi({ dpop, isRevoked, clockTolerance }, faults);
  // An opaque token does not name its issuer, and no other may see it.
  const asked = listed.filter((each) => each.introspection);
  faults.add(asked.length > 1, 'introspection can be an option of one issuer only');
  const isRealmMissing = issuers instanceof ResolvedIssuers && checked.realm === undefined;
  faults.add(isRealmMissing, 'realm is required where no audience is given');
  faults.throwIfAny('auth');
  return Object.freeze(checked as CheckedOptions<Claims>);
}

function checkValues(
  options: Omit<AuthOptions<unknown, never>, 'issuers' | 'dpop'>,
  faults: OptionFaults,
): void {
  const { clockTolerance, authRequired, verifiedTokens, realm, resourceMetadata } = options;
  faults.addClockTolerance(clockTolerance);
  faults.add(typeof authRequired !== 'boolean', 'authRequired must be true or false');
  const { now, isRevoked, verifySignature, onEvent } = options;
  for (const [name, value] of Object.entries({ now, isRevoked, verifySignature, onEvent })) {
    faults.add(value !== undefined && typeof value !== 'function', `${name} must be a function`);
  }
  faults.add(
    verifiedTokens !== undefined && verifiedTokens !== false && !areLimits(verifiedTokens),
    'verifiedTokens must be false, or have maxEntries and maxBytes above 0',
  );
  faults.add(realm !== undefined && !isText(realm), 'realm must be a non-empty string');
  faults.add(
    resourceMetadata !== undefined && !parseURL(resourceMetadata),
    'resourceMetadata must be a URL',
  );
}

/** Checks what the FAPI 2.0 Security Profile requires of these options. */
function checkFapi(
  { clockTolerance, ...required }: { clockTolerance: number; dpop: unknown; isRevoked: unknown },
  faults: OptionFaults,
): void {
  faults.add(clockTolerance > 60, 'clockTolerance must be 0 to 60 seconds with the profile fapi2');
  for (const [name, value] of Object.entries(required)) {
    faults.add(value === undefined, `${name} is required with the profile fapi2`);
  }
}

/** Checks the option `issuers`. @param defaults options of `auth` that its issuers share */
function checkIssuers<Claims, Requested>(
  issuers: readonly TrustedIssuerOptions<Claims>[] | IssuerResolver<Claims, Requested>,
  defaults: TrustedIssuerOptions<Claims>,
  common: CommonRules,
  faults: OptionFaults,
): VerifierOptions<Claims>['issuers'] {
  const { profile, unsafeAllowHTTP = false } = defaults;
  const given = Object.entries(defaults).filter(([, value]) => value !== undefined);
  const shared = given.filter(([name]) => SHARED_NAMES.some((each) => each === name));
  const others = given.filter((entry) => !shared.includes(entry)).map(([name]) => name);
  faults.add(
    others.length > 0,
    `with issuers, these are options of each of them: ${others.join(', ')}`,
  );
  const check = (options: TrustedIssuerOptions<Claims>, own: OptionFaults) => {
    const entries = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
    const merged: TrustedIssuerOptions<Claims> = Object.fromEntries([...shared, ...entries]);
    // DPoP and revocation are checked for the profile of `auth`.
    own.add(
      (merged.profile === 'fapi2') !== (profile === 'fapi2'),
      'the profile fapi2 must be that of all issuers, as an option of auth',
    );
    return checkTrustedIssuer<Claims>(merged, common, own);
  };
  if (typeof issuers !== 'function') return checkList(issuers, check, faults);
  return new ResolvedIssuers<Claims>({
    resolve: issuers as IssuerResolver<Claims, never>,
    unsafeAllowHTTP,
    make: (options) => makeOne(options, check),
  });
}

type CheckIssuer<Claims> = (
  options: TrustedIssuerOptions<Claims>,
  faults: OptionFaults,
) => readonly TrustedIssuer<Claims>[];

function checkList<Claims>(
  issuers: readonly TrustedIssuerOptions<Claims>[],
  check: CheckIssuer<Claims>,
  faults: OptionFaults,
): readonly TrustedIssuer<Claims>[] {
  const isList = Array.isArray(issuers) && issuers.length > 0;
  faults.add(!isList, 'issuers must be a function, or a list with an issuer');
  const trusted = (isList ? issuers : []).flatMap((each, index) =>
    check(each, faults.within(`issuers[${index}]: `)),
  );
  const identifiers = trusted.map(({ issuer }) => issuer?.issuerBaseURL?.replace(/\/$/, ''));
  const twice = identifiers.find((each, index) => identifiers.indexOf(each) !== index);
  faults.add(twice !== undefined, `issuers has ${twice} twice`);
  return trusted;
}

/** Makes the issuer that a function has found. @throws InvalidOptions */
function makeOne<Claims>(
  options: TrustedIssuerOptions<Claims>,
  check: CheckIssuer<Claims>,
): TrustedIssuer<Claims> {
  const faults = new OptionFaults();
  const [trusted, other] = check(options, faults);
  faults.add(other !== undefined, 'tenants: the options must be those of one issuer');
  faults.add(trusted?.introspection !== undefined, 'introspection is for issuers of a list');
  faults.throwIfAny();
  return trusted as TrustedIssuer<Claims>;
}

function areLimits(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(
    ([name, limit]) =>
      (name === 'maxEntries' || name === 'maxBytes') &&
      (limit === undefined || (Number.isSafeInteger(limit) && limit > 0)),
  );
}
