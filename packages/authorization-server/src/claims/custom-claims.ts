/**
 * Names that an Action may not set: the protocol's own. Auth0 drops them without a word and lets
 * the login go on ("Create Custom Claims", restricted claims).
 */
const RESTRICTED = new Set(
  `acr act active amr at_hash ath attest aud auth_time authorization_details azp c_hash client_id
   cnf cty dest entitlements events exp groups gty htm htu iat internalService iss jcard jku jti jwe
   jwk kid may_act mky nbf nonce object_id org_id org_name orig origid permissions roles rph s_hash
   scope sid sip_callid sip_cseq_num sip_date sip_from_tag sip_via_branch sub sub_jwk toe txn typ
   uuid vot vtm x5t#S256`.split(/\s+/),
);

/** Auth0's own names can't be namespaces. */
const RESERVED_NAMESPACES =
  /^(?:https?:\/\/(?:[^/]*\.)?(?:auth0|webtask)\.(?:com|io)(?:[:/]|$)|urn:auth0)/;

/** Claims of OpenID Connect Core §5.1 that a scope gives; without the scope an Action can't either. */
export const SCOPE_CLAIMS: Readonly<Record<string, readonly string[]>> = {
  openid: ['sub'],
  profile: `name family_name given_name middle_name nickname preferred_username profile picture
    website gender birthdate zoneinfo locale updated_at`.split(/\s+/),
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
};

const STANDARD = new Set(Object.values(SCOPE_CLAIMS).flat());

/** Whether the name belongs to the protocol or to Auth0. */
export function isRestrictedClaim(name: string): boolean {
  return RESTRICTED.has(name) || RESERVED_NAMESPACES.test(name);
}

/** Whether the name is one that OpenID Connect ties to a scope. */
export function isStandardClaim(name: string): boolean {
  return STANDARD.has(name);
}

/**
 * Writes a custom claim, as JSON will have it; null takes it back.
 *
 * @returns false when the name may not be there, and nothing is written. An access token has no place
 *   for standard claims; in an ID token they need their scope, which is seen to later.
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
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new Error(`the claim "${name}" is a ${typeof value}, not JSON`);
  claims[name] = JSON.parse(json) as unknown;
  return true;
}
