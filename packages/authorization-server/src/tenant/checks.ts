import { isLoopback } from '@koa-oauth/service';
import {
  authenticationMethod,
  credentialsOf,
  hasNativeAddresses,
  isOwnScheme,
  unservedMethod,
} from './applications.ts';
import { publicKeyOf } from './client-keys.ts';
import { databaseOf } from './connections.ts';
import type { Application, TenantDocument } from './schema.ts';
import { scopesOf, TRIGGERS } from './tenant.ts';
import type { Path } from './tenant-files.ts';
import { connectionInId, connectionOfUser, isNamed } from './users.ts';

export type Report = (path: Path, fault: string) => void;

/** Receives faults, which stop the start, and notices of what is ignored or missing. */
export interface Reports {
  readonly fault: Report;
  readonly notice: Report;
}

type Section =
  | 'actions'
  | 'clients'
  | 'connections'
  | 'organizations'
  | 'resourceServers'
  | 'roles'
  | 'rules'
  | 'users';

/**
 * Returns the application without the addresses that the engine rejects. If one has its own scheme (RFC 8252
 * §7.1) or an open port, the engine expects all to be those of a native application.
 */
export function withServedAddresses(
  client: Application,
  index: number,
  notice: Report,
): Application {
  if (!hasNativeAddresses(client)) return client;
  const served = (section: 'callbacks' | 'allowed_logout_urls'): string[] =>
    client[section].filter((entry, at) => {
      const fault = addressFault(client, entry);
      if (fault === undefined) return true;
      notice(['clients', index, section, at], `${fault}: it is left out`);
      return false;
    });
  const callbacks = served('callbacks');
  return { ...client, callbacks, allowed_logout_urls: served('allowed_logout_urls') };
}

function addressFault({ app_type }: Application, entry: string): string | undefined {
  const { protocol, hostname } = new URL(entry);
  if (isOwnScheme(entry)) {
    return app_type === 'native' ? undefined : `${protocol}// needs app_type: native`;
  }
  if ((protocol === 'http:') === isLoopback(hostname)) return undefined;
  return 'a native application has https, or http on a loopback address';
}

/** Checks names that must be unique, and each entry by itself. */
export function checkNames(tenant: TenantDocument, report: Report): void {
  const unique = (section: Section, key: string, values = valuesOf(section, key)): void => {
    values.forEach((value, index) => {
      if (values.indexOf(value) === index) return;
      // A missing client_id is derived from the name.
      const hint = section === 'clients' ? ': give each client a client_id of its own' : '';
      report([section, index, key], `"${value}" is given twice${hint}`);
    });
  };
  const valuesOf = (section: Section, key: string): unknown[] =>
    tenant[section].map((entry: Readonly<Record<string, unknown>>) => entry[key]);
  // The sign-in ignores case. With an identity provider no user signs in by address.
  const addresses = tenant.users.map(({ user_id, email }) =>
    connectionInId(user_id) === undefined ? email.toLowerCase() : user_id,
  );
  unique('clients', 'client_id');
  unique('resourceServers', 'identifier');
  unique('users', 'user_id');
  unique('users', 'email', addresses);
  unique('connections', 'name');
  unique('roles', 'name');
  unique('actions', 'name');
  unique('rules', 'name');
  unique('organizations', 'name');
  unique('organizations', 'id');
  tenant.users.forEach((user, index) => {
    const { password, password_hash: hash } = user;
    if (connectionInId(user.user_id) !== undefined) {
      if (password === undefined && hash === undefined) return;
      report(['users', index], 'leave out the password: an identity provider signs this user in');
    } else if ((password === undefined) === (hash === undefined)) {
      report(['users', index], 'give either a password or a password_hash');
    }
  });
  tenant.clients.forEach((client, index) => {
    checkAuthentication(client, ['clients', index], report);
  });
}

function checkAuthentication(client: Application, path: Path, report: Report): void {
  if (unservedMethod(client) !== undefined) return;
  const credentials = credentialsOf(client);
  const method = authenticationMethod(client);
  const atAuth0 = client.client_authentication_methods?.private_key_jwt?.credentials ?? [];
  if (method === 'private_key_jwt' && credentials.length + atAuth0.length === 0) {
    report(path, 'private_key_jwt needs a key: give client_authentication_methods or jwks');
  }
  if (method !== 'private_key_jwt' && credentials.length > 0) {
    report(path, `leave out the keys, or token_endpoint_auth_method: ${method}`);
  }
  for (const { at, credential } of credentials) {
    try {
      publicKeyOf(credential);
    } catch (error) {
      report([...path, ...at], (error as Error).message);
    }
  }
}

function checkDefaults(document: TenantDocument, report: Report): void {
  const { tenant, connections, resourceServers } = document;
  const { default_audience: audience, default_directory: directory } = tenant;
  if (audience && !resourceServers.some(({ identifier }) => identifier === audience)) {
    report(['tenant', 'default_audience'], `no API has the identifier "${audience}"`);
  }
  const isKnown = connections.some(({ name }) => name === directory);
  // Without a database in the file, the built-in one has this name.
  if (directory && !isKnown && databaseOf(document) !== undefined) {
    report(['tenant', 'default_directory'], `no connection has the name "${directory}"`);
  }
}

/** Checks that names and identifiers refer to entries of the tenant. */
export function checkReferences(tenant: TenantDocument, { fault, notice }: Reports): void {
  checkDefaults(tenant, fault);
  checkApis(tenant, fault);
  checkClientGrants(tenant, fault);
  checkEnabledClients(tenant, notice);
  checkUsers(tenant, fault);
  for (const trigger of TRIGGERS) {
    tenant.triggers[trigger].forEach(({ action_name: name }, a) => {
      if (tenant.actions.some((action) => action.name === name)) return;
      fault(['triggers', trigger, a, 'action_name'], `no action has the name "${name}"`);
    });
  }
}

/** Checks the APIs that roles and clients name. */
function checkApis(tenant: TenantDocument, report: Report): void {
  tenant.roles.forEach((role, r) => {
    role.permissions.forEach((permission, p) => {
      const { permission_name: scope, resource_server_identifier: identifier } = permission;
      if (isApiOfAuth0(tenant, identifier)) return;
      checkScope(tenant, { path: ['roles', r, 'permissions', p], identifier, scope }, report);
    });
  });
  tenant.clients.forEach(({ resource_server_identifier: identifier, refresh_token }, c) => {
    refresh_token.policies?.forEach((policy, p) => {
      if (isApiOfAuth0(tenant, policy.audience)) return;
      checkAudience(tenant, ['clients', c, 'refresh_token', 'policies', p], policy, report);
    });
    if (identifier === undefined || isApiOfAuth0(tenant, identifier)) return;
    if (tenant.resourceServers.some((api) => api.identifier === identifier)) return;
    const path = ['clients', c, 'resource_server_identifier'];
    report(path, `no API has the identifier "${identifier}"`);
  });
}

/** Checks the API of a grant or a policy, and its scopes. */
function checkAudience(
  tenant: TenantDocument,
  path: Path,
  { audience, scope: scopes }: { readonly audience: string; readonly scope: readonly string[] },
  report: Report,
): void {
  if (!tenant.resourceServers.some(({ identifier }) => identifier === audience)) {
    report([...path, 'audience'], `no API has the identifier "${audience}"`);
    return;
  }
  scopes.forEach((scope, s) => {
    checkScope(tenant, { path: [...path, 'scope', s], identifier: audience, scope }, report);
  });
}

function checkScope(
  tenant: TenantDocument,
  { path, identifier, scope }: { path: Path; identifier: string; scope: string },
  report: Report,
): void {
  const api = tenant.resourceServers.find((one) => one.identifier === identifier);
  if (api === undefined) report(path, `no API has the identifier "${identifier}"`);
  else if (!scopesOf(api).includes(scope)) report(path, `the API has no scope "${scope}"`);
}

function checkClientGrants(tenant: TenantDocument, report: Report): void {
  tenant.clientGrants.forEach((grant, g) => {
    if (!isServedGrant(tenant, grant)) return;
    const [client, other] = clientsNamed(tenant, grant.client_id);
    const path = ['clientGrants', g];
    const at = [...path, 'client_id'];
    if (client === undefined) report(at, `no client has the id or name "${grant.client_id}"`);
    if (other !== undefined) report(at, `two clients are called "${grant.client_id}": give the id`);
    checkAudience(tenant, path, grant, report);
    const isForSame = (earlier: ClientGrant): boolean =>
      isServedGrant(tenant, earlier) &&
      earlier.audience === grant.audience &&
      clientsNamed(tenant, earlier.client_id)[0] === client;
    if (client !== undefined && tenant.clientGrants.slice(0, g).some(isForSame)) {
      report(path, 'the client has a grant for this API: give all its scopes there');
    }
  });
}

function checkEnabledClients(tenant: TenantDocument, notice: Report): void {
  tenant.connections.forEach((connection, c) => {
    connection.enabled_clients.forEach((client, e) => {
      if (tenant.clients.some(({ name, client_id }) => [name, client_id].includes(client))) return;
      const text = `no client has the name or id "${client}": it is ignored`;
      notice(['connections', c, 'enabled_clients', e], text);
    });
  });
}

/** Checks the members of organizations, and the connection and roles of each user. */
function checkUsers(tenant: TenantDocument, report: Report): void {
  tenant.organizations.forEach((organization, o) => {
    organization.members.forEach((member, m) => {
      if (tenant.users.some((user) => isNamed(user, member))) return;
      // A user of an identity provider need not be in the file.
      if (connectionOfUser(tenant, member) !== undefined) return;
      report(['organizations', o, 'members', m], `no user has the id or address "${member}"`);
    });
  });
  tenant.users.forEach((user, u) => {
    const connection = connectionInId(user.user_id);
    if (connection !== undefined && connectionOfUser(tenant, user.user_id) === undefined) {
      report(['users', u, 'user_id'], `no connection of the strategy oidc is "${connection}"`);
    }
    user.roles.forEach((name, r) => {
      if (tenant.roles.some((role) => role.name === name)) return;
      report(['users', u, 'roles', r], `no role has the name "${name}"`);
    });
  });
}

type ClientGrant = TenantDocument['clientGrants'][number];

/** Checks for a grant of one client, for client credentials, at an API of the tenant. */
export function isServedGrant(tenant: TenantDocument, grant: ClientGrant): boolean {
  const { client_id, subject_type, audience } = grant;
  return client_id !== undefined && subject_type === 'client' && !isApiOfAuth0(tenant, audience);
}

/** Checks for an API that each tenant has at Auth0, such as the Management API. */
export function isApiOfAuth0({ resourceServers }: TenantDocument, identifier: string): boolean {
  if (resourceServers.some((api) => api.identifier === identifier)) return false;
  return /^https:\/\/[^/]+\/(?:api\/v2|me|my-org)\/$/.test(identifier);
}

/** Returns the clients that a client grant names: by id, or as the deploy tool does, by name. */
export function clientsNamed(
  { clients }: TenantDocument,
  given: string | undefined,
): Application[] {
  const byId = clients.filter(({ client_id }) => client_id === given);
  return byId.length > 0 ? byId : clients.filter(({ name }) => name === given);
}
