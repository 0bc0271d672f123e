import { createIssuer, type Issuer, type IssuerOptions, parseURL } from '@koa-oauth/issuer';
import {
  type CheckedIntrospection,
  checkIntrospectionOptions,
  type IntrospectionOptions,
} from './introspection.ts';
import type { AccessTokenRules, TokenProfile } from './jwt-access-token.ts';
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
 * @param fault collects each fault
 * @returns the issuer, or one for each of its tenants
 */
export function checkTrustedIssuer<Claims>(
  options: unknown,
  common: CommonRules,
  fault: (isWrong: boolean, text: string) => void,
): readonly TrustedIssuer<Claims>[] {
  const {
    issuerBaseURL = '',
    issuer,
    metadataURL,
    jwksURL,
    jwks,
    unsafeAllowHTTP,
    tenants,
    audience: audiences,
    profile = 'any',
    algorithms = algorithmsOf(profile),
    claims,
    scopeClaim,
    subRequired = true,
    introspection,
    ...unknown
  } = (
    typeof options === 'object' && options !== null ? options : {}
  ) as TrustedIssuerOptions<Claims>;
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
  if (claims !== undefined) {
    fault(!parseURL(claims?.namespace), 'claims.namespace must be a URL');
    fault(
      typeof claims?.schema?.['~standard']?.validate !== 'function',
      'claims.schema must be a Standard Schema',
    );
  }
  fault(scopeClaim !== undefined && !isText(scopeClaim), 'scopeClaim must be the name of a claim');
  fault(typeof subRequired !== 'boolean', 'subRequired must be true or false');
  const checkedIntrospection =
    introspection === undefined
      ? undefined
      : checkIntrospectionOptions(introspection, profile === 'fapi2', fault);
  const hasNoMetadata = jwksURL !== undefined || jwks !== undefined;
  fault(
    introspection !== undefined && hasNoMetadata,
    'introspection needs the metadata of the issuer, which is not fetched with jwksURL and jwks',
  );
  const unknownNames = Object.keys(unknown);
  fault(unknownNames.length > 0, `unknown: ${unknownNames.join(', ')}`);

  const addresses = { issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP };
  const make = (tenant?: string) => {
    try {
      const onEvent = common.onIssuerEvent;
      return [createIssuer({ ...inTenant(addresses, tenant), onEvent })];
    } catch (error) {
      fault(true, (error as Error).message);
      return [];
    }
  };
  let issuers: readonly Issuer[] = [];
  if (issuer !== undefined) {
    fault(typeof issuer?.signingKey !== 'function', 'issuer must be made with createIssuer');
    fault(issuerBaseURL !== '', 'give issuerBaseURL or issuer, not both');
    const names = Object.entries({ metadataURL, jwksURL, jwks, tenants });
    for (const [name, value] of names) {
      fault(value !== undefined, `${name} is an option of createIssuer`);
    }
    issuers = [issuer];
  } else if (tenants !== undefined) {
    const isList = Array.isArray(tenants) && tenants.length > 0 && tenants.every(isTenant);
    fault(!isList, 'tenants must be a list of ids: letters, digits, "-", "." and "_"');
    fault(!issuerBaseURL.includes(TENANT), `issuerBaseURL must have ${TENANT}, where tenants go`);
    issuers = isList ? tenants.flatMap(make) : [];
  } else issuers = make();
  const allowsHTTP =
    unsafeAllowHTTP === true || issuers.some((each) => each?.unsafeAllowHTTP === true);
  fault(profile === 'fapi2' && allowsHTTP, 'an issuer on http contradicts the profile fapi2');

  const { clockTolerance, dpop } = common;
  const rules = {
    audience: Object.freeze([...(Array.isArray(audience) ? audience : [])]),
    algorithms: Object.freeze([...(Array.isArray(algorithms) ? algorithms : [])]),
    profile,
    clockTolerance,
    dpop,
    scopeClaim,
    subRequired,
  };
  return issuers.map((each) =>
    Object.freeze({
      issuer: each,
      rules: Object.freeze({ ...rules, issuerBaseURL: each?.issuerBaseURL }),
      claims,
      introspection: checkedIntrospection,
    }),
  );
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

export function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}
