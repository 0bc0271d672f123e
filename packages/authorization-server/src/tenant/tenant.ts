import type { Api, Application, TenantDocument, User } from './schema.ts';

export type { Api, Application, Connection, Organization, TenantDocument, User } from './schema.ts';

/** One Action file with its secrets. */
export interface Action {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly secrets: Readonly<Record<string, string>>;
}

/** One rule file with the `configuration` that all rules share. */
export interface Rule {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly configuration: Readonly<Record<string, string>>;
}

/** A tenant that has been checked: every name in it refers to something. */
export interface Tenant extends TenantDocument {
  /** The file it came from. */
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

/** The user's permissions for one API, over all roles, in the order the API lists its scopes. */
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

/** The scopes of one API that this user may be given: all, or, with RBAC on, the permitted. */
export function allowedScopes(tenant: Tenant, user: User, api: Api): string[] {
  return api.enforce_policies
    ? permissionsOf(tenant, user, api)
    : api.scopes.map((scope) => scope.value);
}
