import { type Api, findApi, type Tenant } from './tenant.ts';

/** The scopes of OpenID Connect Core §5.4 and §11 that this server knows. */
export const OIDC_SCOPES = ['openid', 'profile', 'email', 'offline_access'];

const NAMED = 'urn:api:';

/**
 * Auth0's `audience` in terms of RFC 8707: what the engine calls a resource is the API's
 * identifier; an identifier that is no absolute URI, which the engine refuses, becomes a URN.
 */
export function resourceOf(identifier: string): string {
  const usable = URL.canParse(identifier) && !identifier.includes('#');
  return usable ? identifier : NAMED + encodeURIComponent(identifier);
}

/** The API behind a resource; undefined without one, or when the tenant has no such API. */
export function apiOf(tenant: Tenant, resource: unknown): Api | undefined {
  if (typeof resource !== 'string') return undefined;
  return findApi(tenant, nameOf(resource));
}

export function nameOf(resource: string): string {
  if (!resource.startsWith(NAMED)) return resource;
  try {
    return decodeURIComponent(resource.slice(NAMED.length));
  } catch {
    // Not one of ours: `resourceOf` encodes.
    return resource;
  }
}
