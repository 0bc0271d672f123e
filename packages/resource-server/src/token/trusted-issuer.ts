import { createIssuer, type Issuer, type IssuerOptions, parseURL } from '@koa-oauth/issuer';
import { asOptions, type OptionFaults } from '../option-faults.ts';
import {
  type CheckedIntrospection,
  checkIntrospectionOptions,
  type IntrospectionOptions,
} from './introspection.ts';
import { type AccessTokenRules, isText, type TokenProfile } from './jwt-access-token.ts';
import { type Algorithm, algorithmsOf, areAlgorithmsOf } from './signature.ts';
import type { CustomClaims } from './verified-tokens.ts';

/** An issuer whose tokens are accepted, and what its tokens must be. */
export interface TrustedIssuerOptions<Claims> {
  /** The issuer identifier; its metadata says where its keys are. Give this or `issuer`. */
  issuerBaseURL?: string | undefined;
  /** An issuer made with `createIssuer`, to share its keys or to set its limits. */
  issuer?: Issuer | undefined;
  /** Address of its metadata, as in `createIssuer`. */
  metadataURL?: IssuerOptions['metadataURL'];
  /** Address of its key set, as in `createIssuer`. */
  jwksURL?: IssuerOptions['jwksURL'];
  /** Its key set, as in `createIssuer`. */
  jwks?: IssuerOptions['jwks'];
  /** Accepts `http` on any host, as in `createIssuer`. A function `issuers` is then asked about it too. */
  unsafeAllowHTTP?: IssuerOptions['unsafeAllowHTTP'];
  /** Values of `{tenantid}` in `issuerBaseURL` and `metadataURL`, as Entra has them. */
  tenants?: readonly string[] | undefined;
  /** This API's identifier, or several; `aud` must contain one. */
  audience?: string | readonly string[] | undefined;
  /** Accepted algorithms. Default: all of `Algorithm`, or those of FAPI. */
  algorithms?: readonly Algorithm[] | undefined;
  /**
   * Accepted kinds of access token. Default: `any`. `fapi2` is the FAPI 2.0 Security Profile: it requires
   * `dpop` and `isRevoked` too, and rejects options that are weaker.
   */
  profile?: TokenProfile | undefined;
  /** Prefix and schema of the custom claims in `ctx.state.auth.claims`. */
  claims?: CustomClaims<Claims> | undefined;
  /** Name of the claim with the scopes. Default: `scope`, and `scp` in a token without it. */
  scopeClaim?: string | undefined;
  /** False accepts a token without `sub` that names its client. Default: true. */
  subRequired?: boolean | undefined;
  /** Asks the issuer about opaque tokens (RFC 7662). Default: they are rejected. */
  introspection?: IntrospectionOptions | undefined;
}

/** An issuer whose tokens are accepted, and the rules for them. */
export interface TrustedIssuer<Claims> {
  readonly issuer: Issuer;
  readonly rules: AccessTokenRules;
  readonly claims: CustomClaims<Claims> | undefined;
  readonly introspection: CheckedIntrospection | undefined;
}

/** Rules for the tokens of all issuers, and the listener for their events. */
export interface CommonRules extends Pick<AccessTokenRules, 'clockTolerance' | 'dpop'> {
  readonly onIssuerEvent: IssuerOptions['onEvent'];
}

/** Options that all issuers of a list can share. */
export const SHARED_NAMES = [
  ...(['audience', 'algorithms', 'profile', 'claims', 'scopeClaim'] as const),
  ...(['subRequired', 'unsafeAllowHTTP'] as const),
] as const;

const TENANT = '{tenantid}';

/**
 * Checks the options of an issuer.
 *
 * @returns the issuer, or one for each of its tenants
 */
export function checkTrustedIssuer<Claims>(
  options: unknown,
  { onIssuerEvent, ...common }: CommonRules,
  faults: OptionFaults,
): readonly TrustedIssuer<Claims>[] {
  const {
    audience: audiences,
    profile = 'any',
    algorithms = algorithmsOf(profile),
    claims,
    scopeClaim,
    subRequired = true,
    introspection,
    ...source
  } = asOptions<TrustedIssuerOptions<Claims>>(options);
  const audience = isText(audiences) ? [audiences] : audiences;
  const rules = { audience, algorithms, profile, scopeClaim, subRequired };
  checkRules(rules, faults);
  if (claims !== undefined) checkClaims(claims, faults);
  const isFapi = profile === 'fapi2';
  const checkedIntrospection =
    introspection === undefined
      ? undefined
      : checkIntrospectionOptions(introspection, isFapi, faults.within('introspection: '));
  faults.add(
    introspection !== undefined && (source.jwksURL !== undefined || source.jwks !== undefined),
    'introspection needs the metadata of the issuer, which is not fetched with jwksURL and jwks',
  );
  const issuers = makeIssuers(source, onIssuerEvent, faults);
  const allowsHTTP =
    source.unsafeAllowHTTP === true || issuers.some((each) => each?.unsafeAllowHTTP === true);
  faults.add(isFapi && allowsHTTP, 'an issuer on http contradicts the profile fapi2');
  const checked = {
    ...{ ...common, ...rules },
    audience: Object.freeze([...(Array.isArray(audience) ? audience : [])]),
    algorithms: Object.freeze([...(Array.isArray(algorithms) ? algorithms : [])]),
  };
  return issuers.map((each) =>
    Object.freeze({
      issuer: each,
      rules: Object.freeze({ ...checked, issuerBaseURL: each?.issuerBaseURL }),
      claims,
      introspection: checkedIntrospection,
    }),
  );
}

function checkRules(
  rules: Pick<
    TrustedIssuerOptions<unknown>,
    'audience' | 'algorithms' | 'scopeClaim' | 'subRequired'
  > & { readonly profile: TokenProfile },
  faults: OptionFaults,
): void {
  const { audience, algorithms, profile, scopeClaim, subRequired } = rules;
  faults.add(
    !Array.isArray(audience) || audience.length === 0 || !audience.every(isText),
    'audience must be a non-empty string or a list of them',
  );
  faults.add(
    !areAlgorithmsOf(profile, algorithms),
    `algorithms must be some of ${algorithmsOf(profile).join(', ')}`,
  );
  faults.add(
    !['any', 'rfc9068', 'auth0', 'fapi2'].includes(profile),
    'profile must be any, rfc9068, auth0 or fapi2',
  );
  const isClaim = scopeClaim === undefined || isText(scopeClaim);
  faults.add(!isClaim, 'scopeClaim must be the name of a claim');
  faults.add(typeof subRequired !== 'boolean', 'subRequired must be true or false');
}

function checkClaims(claims: Partial<CustomClaims<unknown>> | null, faults: OptionFaults): void {
  faults.add(!parseURL(claims?.namespace), 'claims.namespace must be a URL');
  faults.add(
    typeof claims?.schema?.['~standard']?.validate !== 'function',
    'claims.schema must be a Standard Schema',
  );
}

/** Options that say where an issuer is. */
type IssuerSource = Pick<
  TrustedIssuerOptions<unknown>,
  'issuer' | 'issuerBaseURL' | 'metadataURL' | 'jwksURL' | 'jwks' | 'unsafeAllowHTTP' | 'tenants'
>;

/** Makes the issuer, or one for each of its tenants. */
function makeIssuers(
  { issuer, tenants, ...source }: IssuerSource,
  onEvent: IssuerOptions['onEvent'],
  faults: OptionFaults,
): readonly Issuer[] {
  const { issuerBaseURL = '', metadataURL, jwksURL, jwks, unsafeAllowHTTP, ...unknown } = source;
  faults.addUnknown(unknown);
  if (issuer !== undefined) {
    faults.add(typeof issuer?.signingKey !== 'function', 'issuer must be made with createIssuer');
    faults.add(issuerBaseURL !== '', 'give issuerBaseURL or issuer, not both');
    const names = Object.entries({ metadataURL, jwksURL, jwks, tenants });
    for (const [name, value] of names) {
      faults.add(value !== undefined, `${name} is an option of createIssuer`);
    }
    return [issuer];
  }
  const addresses = { issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP };
  const make = (tenant?: string) => {
    try {
      return [createIssuer({ ...inTenant(addresses, tenant), onEvent })];
    } catch (error) {
      faults.add(true, (error as Error).message);
      return [];
    }
  };
  if (tenants === undefined) return make();
  const isList = Array.isArray(tenants) && tenants.length > 0 && tenants.every(isTenant);
  faults.add(!isList, 'tenants must be a list of ids: letters, digits, "-", "." and "_"');
  faults.add(
    !issuerBaseURL.includes(TENANT),
    `issuerBaseURL must have ${TENANT}, where tenants go`,
  );
  return isList ? tenants.flatMap((tenant) => make(tenant)) : [];
}

function inTenant<
  Addresses extends Pick<IssuerOptions, 'issuerBaseURL' | 'metadataURL' | 'jwksURL'>,
>(addresses: Addresses, tenant: string | undefined): Addresses {
  if (tenant === undefined) return addresses;
  const fill = (url: string | undefined) => url?.replaceAll(TENANT, tenant);
  const { issuerBaseURL, metadataURL, jwksURL } = addresses;
  return {
    ...addresses,
    issuerBaseURL: fill(issuerBaseURL),
    metadataURL: fill(metadataURL),
    jwksURL: fill(jwksURL),
  };
}

// It becomes a part of a path. "common" and "organizations" are no tenants: any of them would fit.
function isTenant(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^\w[\w.-]{0,99}$/.test(value) &&
    !['common', 'organizations', 'consumers'].includes(value)
  );
}
