import { parseURL } from '@koa-oauth/service';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type Api, scopesOf } from '../tenant/tenant.ts';

/** Names that an Action can't set; Auth0 ignores them silently ("Create Custom Claims"). */
const RESTRICTED_CLAIMS = new Set(
  `acr act active amr at_hash ath attest aud auth_time authorization_details azp c_hash client_id
   cnf cty dest entitlements events exp groups gty htm htu iat internalService iss jcard jku jti jwe
   jwk kid may_act mky nbf nonce object_id org_id org_name orig origid permissions roles rph s_hash
   scope sid sip_callid sip_cseq_num sip_date sip_from_tag sip_via_branch sub sub_jwk toe txn typ
   uuid vot vtm x5t#S256`.split(/\s+/),
);

/** Auth0's own names can't be namespaces. */
const RESERVED_NAMESPACES =
  /^(?:https?:\/\/(?:[^/]*\.)?(?:auth0|webtask)\.(?:com|io)(?:[:/]|$)|urn:auth0)/;

/** Claims by scope (OpenID Connect Core §5.1, §5.4); without the scope an Action can't set them. */
export const SCOPE_CLAIMS: Readonly<Record<string, readonly string[]>> = {
  openid: ['sub'],
  profile: `name family_name given_name middle_name nickname preferred_username profile picture
    website gender birthdate zoneinfo locale updated_at`.split(/\s+/),
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
};

const STANDARD_CLAIMS = new Set(Object.values(SCOPE_CLAIMS).flat());

function isRestrictedClaim(name: string): boolean {
  return RESTRICTED_CLAIMS.has(name) || RESERVED_NAMESPACES.test(name);
}

export function isStandardClaim(name: string): boolean {
  return STANDARD_CLAIMS.has(name);
}

/**
 * Writes a custom claim as JSON represents it; null removes it. Returns false for a name that is not
 * allowed. A standard claim of an ID token needs its scope, which is checked later.
 */
export function writeClaim(
  claims: Record<string, unknown>,
  token: 'accessToken' | 'idToken',
  name: string,
  value: unknown,
): boolean {
  if (isRestrictedClaim(name) || (token === 'accessToken' && isStandardClaim(name))) return false;
  if (value === undefined || value === null) {
    delete claims[name];
    return true;
  }
  claims[name] = asJson(value, `the claim "${name}"`);
  return true;
}

/** Returns a value as JSON represents it. @throws Error when it has no JSON. */
export function asJson(value: unknown, name: string): unknown {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new Error(`${name} cannot be written as JSON, like a BigInt or a cycle`, { cause });
  }
  if (json === undefined) throw new Error(`${name} is a ${typeof value}, not JSON`);
  return JSON.parse(json);
}

/** Checks whether a scope asks for the custom claim of its name: a URL that is no scope of the API. */
export function isClaimScope(scope: string, api: Api | undefined): boolean {
  return (
    /^https?:\/\/./.test(scope) &&
    parseURL(scope) !== undefined &&
    !isRestrictedClaim(scope) &&
    !scopesOf(api).includes(scope)
  );
}

/** Restores the claims requested by scope: for no API, the engine drops unknown scopes at each request. */
export function restoreClaimScopes(
  { oidc }: KoaContextWithOIDC,
  sent: readonly string[],
  api: Api | undefined,
): void {
  const claims = sent.filter((scope) => isClaimScope(scope, api));
  if (oidc.params === undefined || claims.length === 0) return;
  oidc.params.scope = [...new Set([...oidc.requestParamScopes, ...claims])].join(' ');
}
