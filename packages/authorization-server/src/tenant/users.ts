import type { StateStore } from '../state/file.ts';
import { connectionInId, connectionOfUser, federatedId } from './connections.ts';
import type { FederatedProfile } from './profile-claims.ts';
import type { Connection } from './schema.ts';
import type { Tenant, User } from './tenant.ts';

/** All who can be signed in: the users of the tenant file, and those of its identity providers. */
export interface Users {
  find(userId: string): User | undefined;
  /** Keeps what an identity provider said of a user at this sign-in, in place of what it said before. */
  keep(connection: Connection, subject: string, profile: FederatedProfile): User;
}

const KIND = 'FederatedUser';

/**
 * The profile of a federated user is the identity provider's; roles, metadata, `blocked` are those of
 * the tenant file's user with the same id, if there is one. An e-mail address links no accounts: at
 * another provider anybody may claim it.
 */
export function createUsers(tenant: Tenant, store: StateStore): Users {
  const find = (userId: string): User | undefined => {
    const entry = tenant.users.find((user) => user.user_id === userId);
    if (connectionInId(userId) === undefined) return entry;
    if (connectionOfUser(tenant, userId) === undefined) return undefined;
    const profile = store.read(KIND, userId)?.content as FederatedProfile | undefined;
    return profile === undefined ? entry : toUser(userId, profile, entry);
  };
  return {
    find,
    keep(connection, subject, profile) {
      const userId = federatedId(connection, subject);
      store.write(KIND, userId, profile);
      return find(userId) ?? toUser(userId, profile, undefined);
    },
  };
}

function toUser(userId: string, profile: FederatedProfile, entry: User | undefined): User {
  const { name, nickname, email } = profile;
  return {
    roles: [],
    app_metadata: {},
    user_metadata: {},
    blocked: false,
    // Empty when the provider gave none.
    email: '',
    email_verified: false,
    ...entry,
    ...profile,
    name: name ?? entry?.name ?? nickname ?? email ?? userId.slice(userId.lastIndexOf('|') + 1),
    user_id: userId,
  };
}
