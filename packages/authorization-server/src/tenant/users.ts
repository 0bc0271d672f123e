import type { StateStore } from '../state/memory.ts';
import type { Connection } from './connection-schema.ts';
import {
  type ConnectionFacts,
  DATABASE,
  databaseOf,
  defaultDatabase,
  findIdentityProvider,
} from './connections.ts';
import type { TenantDocument } from './schema.ts';
import type { Tenant, User } from './tenant.ts';
import type { FederatedProfile } from './user-schema.ts';

const KIND = 'FederatedUser';

/** Auth0's id of a federated user: strategy, connection, and the provider's own id. */
const FEDERATED_ID = /^oidc\|([^|]+)\|(.+)$/s;

/**
 * Users of the tenant file and of its identity providers. A federated user has the provider's profile,
 * and roles, metadata and `blocked` of the tenant file's user with the same id. No address links accounts.
 */
export class Users {
  readonly #parts: { readonly tenant: Tenant; readonly store: StateStore };

  constructor(parts: { readonly tenant: Tenant; readonly store: StateStore }) {
    this.#parts = parts;
  }

  find(userId: string | undefined): User | undefined {
    if (userId === undefined) return undefined;
    const { tenant, store } = this.#parts;
    const entry = tenant.users.find((user) => user.user_id === userId);
    if (connectionInId(userId) === undefined) return entry;
    if (connectionOfUser(tenant, userId) === undefined) return undefined;
    const profile = store.read(KIND, userId)?.content as FederatedProfile | undefined;
    return profile === undefined ? entry : toUser(userId, profile, entry);
  }

  /** Replaces the stored profile of an identity provider's user. */
  storeProfile(connection: Connection, subject: string, profile: FederatedProfile): User {
    const userId = `oidc|${connection.name}|${subject}`;
    this.#parts.store.write(KIND, userId, profile);
    return this.find(userId) ?? toUser(userId, profile, undefined);
  }
}

/** Checks whether the user signs in by this address. An identity provider can claim any address. */
export function hasAddress({ user_id, email }: User, address: string): boolean {
  return connectionInId(user_id) === undefined && email.toLowerCase() === address.toLowerCase();
}

/** Checks whether an organization names the user, by id or address. */
export function isNamed(user: User, name: string): boolean {
  return user.user_id === name || hasAddress(user, name);
}

/** Returns the name of the connection in the id of a federated user; undefined for any other user. */
export function connectionInId(userId: string): string | undefined {
  return FEDERATED_ID.exec(userId)?.[1];
}

/** Returns the identity provider of a federated user; undefined when the tenant no longer has it. */
export function connectionOfUser(tenant: TenantDocument, userId: string): Connection | undefined {
  return findIdentityProvider(tenant, connectionInId(userId));
}

/** Returns the connection with which a user signs in, as an Action sees it. */
export function describeConnection(tenant: TenantDocument, userId: string): ConnectionFacts {
  const connection = connectionOfUser(tenant, userId) ?? databaseOf(tenant);
  if (connection === undefined) return defaultDatabase(tenant);
  const { id, name, strategy, metadata } = connection;
  return {
    ...{ id: typeof id === 'string' ? id : `con_${name}`, name, strategy },
    ...(typeof metadata === 'object' && metadata !== null && { metadata }),
  };
}

/** Returns `event.user.identities`: one entry, because this server links no accounts. */
export function identitiesOf(tenant: TenantDocument, userId: string): object[] {
  const { name } = describeConnection(tenant, userId);
  const [first = '', ...rest] = userId.split('|');
  // Auth0 splits an id at its first bar.
  const [provider, user_id] = rest.length > 0 ? [first, rest.join('|')] : [DATABASE, userId];
  return [{ connection: name, provider, user_id, isSocial: false }];
}

function toUser(userId: string, profile: FederatedProfile, entry: User | undefined): User {
  const { name, nickname, email } = profile;
  return {
    roles: [],
    app_metadata: {},
    user_metadata: {},
    blocked: false,
    email: '',
    email_verified: false,
    ...entry,
    ...profile,
    name: name ?? entry?.name ?? nickname ?? email ?? userId.slice(userId.lastIndexOf('|') + 1),
    user_id: userId,
  };
}
