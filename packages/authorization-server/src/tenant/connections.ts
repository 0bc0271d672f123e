import { errors } from '../oidc-provider.ts';
import { type Connection, isServedProvider } from './connection-schema.ts';
import type { Application, TenantDocument } from './schema.ts';
import { findApplication, type Tenant } from './tenant.ts';

export const DATABASE = 'auth0';

/** Facts of a connection that an Action sees. */
export interface ConnectionFacts {
  readonly id: string;
  readonly name: string;
  readonly strategy: string;
  readonly metadata?: object;
}

/** Returns the identity providers to offer on an application's sign-in page. */
export function offeredConnections(
  tenant: TenantDocument,
  application: Application | undefined,
): Connection[] {
  return tenant.connections.filter((one) => isFederated(one) && isEnabled(one, application));
}

/** Checks whether the application's users may sign in with a password; without an entry all may. */
export function offersPasswords(
  tenant: TenantDocument,
  application: Application | undefined,
): boolean {
  const database = databaseOf(tenant);
  return database === undefined || isEnabled(database, application);
}

/** Checks the parameter `connection`, if it has a value. @throws InvalidRequest in Auth0's words. */
export function checkConnection(tenant: Tenant, value: unknown, clientId: string): void {
  const application = findApplication(tenant, clientId);
  const offered = offeredConnections(tenant, application);
  const passwords = offersPasswords(tenant, application);
  if (!value) {
    if (passwords || offered.length > 0) return;
    throw new errors.InvalidRequest('no connections enabled for the client');
  }
  const isDatabase = value === databaseName(tenant);
  if (!isDatabase && findIdentityProvider(tenant, value) === undefined) {
    throw new errors.InvalidRequest('the connection was not found');
  }
  if (isDatabase ? !passwords : !offered.some(({ name }) => name === value)) {
    throw new errors.InvalidRequest('the connection was disabled');
  }
}

/** Describes an ignored connection: one of another strategy, or a database that checks no password. */
export function ignoredConnection(
  tenant: TenantDocument,
  connection: Connection,
): string | undefined {
  if (isFederated(connection) || connection === databaseOf(tenant)) return undefined;
  const { name, strategy, options } = connection;
  return `${name} (${[strategy, ...(strategy === 'oidc' ? [options.type] : [])].join(' ').trim()})`;
}

export function databaseName(tenant: TenantDocument): string {
  return (databaseOf(tenant) ?? defaultDatabase(tenant)).name;
}

/** Returns the database of a tenant that has no entry for one. */
export function defaultDatabase({ tenant }: TenantDocument): ConnectionFacts {
  const name = tenant.default_directory || 'Username-Password-Authentication';
  return { id: 'con_local', name, strategy: DATABASE };
}

export function findIdentityProvider(
  { connections }: TenantDocument,
  name: unknown,
): Connection | undefined {
  return connections.find((one) => isFederated(one) && one.name === name);
}

function isFederated({ strategy, options }: Connection): boolean {
  return isServedProvider(strategy, options);
}

/** Returns the database that the users are in: the tenant's default directory, or the first. */
export function databaseOf({ connections, tenant }: TenantDocument): Connection | undefined {
  const databases = connections.filter(({ strategy }) => strategy === DATABASE);
  return databases.find(({ name }) => name === tenant.default_directory) ?? databases[0];
}

function isEnabled(connection: Connection, application: Application | undefined): boolean {
  if (application === undefined) return false;
  const { name, client_id } = application;
  return connection.enabled_clients.some((one) => one === name || one === client_id);
}
