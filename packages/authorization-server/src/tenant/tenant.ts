import type { Api, Application, TenantDocument, User } from './schema.ts';

export type { Api, Application, Connection, Organization, TenantDocument, User } from './schema.ts';

/** An Action file with its secrets. */
export interface Action {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly secrets: Readonly<Record<string, string>>;
}

/** A rule file with the `configuration` that all rules share. */
export interface Rule {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly configuration: Readonly<Record<string, string>>;
}

/** A checked tenant: every name in it refers to something. */
export interface Tenant extends TenantDocument {
  readonly file: string;
  /** The Actions of the post-login trigger, in their order. */
  readonly postLogin: readonly Action[];
  /** The Actions of the credentials-exchange trigger, in their order. */
  readonly credentialsExchange: readonly Action[];
  /** The enabled rules, in their order; they run before the post-login Actions. */
  readonly loginRules: readonly Rule[];
  /** Sections of the file that this server does not know. */
  readonly ignoredSections: readonly string[];
}

export function findApplication(tenant: Tenant, clientId: string): Application | undefined {
  return tenant.clients.find((application) => application.client_id === clientId);
}

export function findApi(tenant: Tenant, identifier: string): Api | undefined {
  return tenant.resourceServers.find((api) => api.identifier === identifier);
}

/** Returns the user's permissions for one API, over all roles, in the order of the API's scopes. */
export function permissionsOf(tenant: Tenant, user: User, api: Api): string[] {
  const permissions = new Set(
    tenant.roles
      .filter((role) => user.roles.includes(role.name))
      .flatMap((role) => role.permissions)
      .filter((permission) => permission.resource_server_identifier === api.identifier)
      .map((permission) => permission.permission_name),
  );
  return api.scopes.map((scope) => scope.value).filter((scope) => permissions.has(scope));
}

/** Returns the scopes of one API that this user may get: all, or with RBAC the permitted ones. */
export function allowedScopes(tenant: Tenant, user: User, api: Api): string[] {
  return api.enforce_policies
    ? permissionsOf(tenant, user, api)
    : api.scopes.map((scope) => scope.value);
}

/** Scopes of OpenID Connect Core §5.4 and §11 that this server knows. */
export const OIDC_SCOPES = ['openid', 'profile', 'email', 'offline_access'];

const API_URN = 'urn:api:';

/**
 * Returns the resource (RFC 8707) of an API's identifier, Auth0's `audience`. An identifier that is no
 * absolute URI becomes a URN, because the engine requires one.
 */
export function resourceOf(identifier: string): string {
  const usable = URL.canParse(identifier) && !identifier.includes('#');
  return usable ? identifier : API_URN + encodeURIComponent(identifier);
}

/** Returns the API behind a resource; undefined without one, or when the tenant has no such API. */
export function apiOf(tenant: Tenant, resource: unknown): Api | undefined {
  if (typeof resource !== 'string') return undefined;
  return findApi(tenant, nameOf(resource));
}

export function nameOf(resource: string): string {
  if (!resource.startsWith(API_URN)) return resource;
  try {
    return decodeURIComponent(resource.slice(API_URN.length));
  } catch {
    // No result of `resourceOf`, which encodes.
    return resource;
  }
}
