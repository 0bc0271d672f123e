import { errors } from '../oidc-provider.ts';
import type { Application, Connection, TenantDocument } from './schema.ts';
import { findApplication, type Tenant } from './tenant.ts';

/** What an Action is told of the connection of a login. */
interface ConnectionFacts {
  readonly id: string;
  readonly name: string;
  readonly strategy: string;
}

const DATABASE = 'auth0';
/** Of a tenant without an entry for it. */
const DEFAULT_DATABASE: ConnectionFacts = {
  id: 'con_local',
  name: 'Username-Password-Authentication',
  strategy: DATABASE,
};

/** The user id that Auth0 gives: strategy, connection, and the provider's own id. */
const FEDERATED_ID = /^oidc\|([^|]+)\|(.+)$/s;

export function federatedId(connection: Connection, subject: string): string {
  return `oidc|${connection.name}|${subject}`;
}

/** The name of the connection in the id of a federated user; undefined in any other user's. */
export function connectionInId(userId: string): string | undefined {
  return FEDERATED_ID.exec(userId)?.[1];
}

/** The identity provider of a federated user, unless the tenant has it no more. */
export function connectionOfUser(tenant: TenantDocument, userId: string): Connection | undefined {
  const name = connectionInId(userId);
  return tenant.connections.find((one) => isFederated(one) && one.name === name);
}

/** The connection that a user signs in with, as an Action is told of it. */
export function describeConnection(tenant: TenantDocument, userId: string): ConnectionFacts {
  const connection = connectionOfUser(tenant, userId) ?? databaseOf(tenant);
  if (connection === undefined) return DEFAULT_DATABASE;
  const { id, name, strategy } = connection;
  return { id: typeof id === 'string' ? id : `con_${name}`, name, strategy };
}

/** `event.user.identities`: one entry, as no accounts are linked here. */
export function identitiesOf(tenant: TenantDocument, userId: string): object[] {
  const { name } = describeConnection(tenant, userId);
  const [first = '', ...rest] = userId.split('|');
  // Auth0 splits an id at its first bar: the provider, and what the provider knows the user by.
  const [provider, user_id] = rest.length > 0 ? [first, rest.join('|')] : [DATABASE, userId];
  return [{ connection: name, provider, user_id, isSocial: false }];
}

/** The identity providers to offer on an application's sign-in page. */
export function offeredConnections(
  tenant: TenantDocument,
  application: Application | undefined,
): Connection[] {
  return tenant.connections.filter((one) => isFederated(one) && isEnabled(one, application));
}

/** Whether the application's users may sign in with a password; without an entry all may. */
export function offersPasswords(
  tenant: TenantDocument,
  application: Application | undefined,
): boolean {
  const database = databaseOf(tenant);
  return database === undefined || isEnabled(database, application);
}

/**
 * Judges the parameter `connection` of an authorization request; an empty one counts as none.
 *
 * @throws InvalidRequest, in Auth0's words, when there is no such connection, when it is not enabled
 *   for the application, or when none is.
 */
export function checkConnection(tenant: Tenant, value: unknown, clientId: string): void {
  const application = findApplication(tenant, clientId);
  const offered = offeredConnections(tenant, application);
  const passwords = offersPasswords(tenant, application);
  if (!value) {
    if (passwords || offered.length > 0) return;
    throw new errors.InvalidRequest('no connections enabled for the client');
  }
  const isDatabase = value === passwordDatabase(tenant).name;
  if (!isDatabase && !tenant.connections.some((one) => isFederated(one) && one.name === value)) {
    throw new errors.InvalidRequest('the connection was not found');
  }
  if (isDatabase ? !passwords : !offered.some(({ name }) => name === value)) {
    throw new errors.InvalidRequest('the connection was disabled');
  }
}

/** Connections of a strategy that this server has not, and databases after the first. */
export function ignoredConnections(tenant: TenantDocument): string[] {
  const database = databaseOf(tenant);
  return tenant.connections
    .filter((one) => !isFederated(one) && one !== database)
    .map(({ name, strategy }) => `connections: ${name} (${strategy})`);
}

/** What the users with a password sign in with. */
export function passwordDatabase(tenant: TenantDocument): { readonly name: string } {
  return databaseOf(tenant) ?? DEFAULT_DATABASE;
}

/** Whether the connection leads to an identity provider that this server can send users to. */
export function isFederated({ strategy }: Connection): boolean {
  return strategy === 'oidc';
}

function databaseOf({ connections }: Pick<TenantDocument, 'connections'>): Connection | undefined {
  return connections.find(({ strategy }) => strategy === DATABASE);
}

function isEnabled(connection: Connection, application: Application | undefined): boolean {
  if (application === undefined) return false;
  const { name, client_id } = application;
  return connection.enabled_clients.some((one) => one === name || one === client_id);
}
