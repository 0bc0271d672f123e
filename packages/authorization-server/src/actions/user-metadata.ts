import type { StateStore } from '../state/file.ts';
import type { User } from '../tenant/tenant.ts';

type Part = 'app_metadata' | 'user_metadata';

/** What Actions changed about a user's metadata; null takes a property away. */
export type MetadataChanges = Readonly<Record<Part, Readonly<Record<string, unknown>>>>;

export const NO_CHANGES: MetadataChanges = { app_metadata: {}, user_metadata: {} };

/** What Actions changed about the users' metadata, over the values of the tenant file. */
export interface UserMetadata {
  /** The user with the changes that were kept. */
  of(user: User): User;
  keep(userId: string, changes: MetadataChanges): void;
}

const KIND = 'UserMetadata';

export function createUserMetadata(store: StateStore): UserMetadata {
  const kept = (userId: string): MetadataChanges =>
    (store.read(KIND, userId)?.content ?? NO_CHANGES) as MetadataChanges;
  return {
    of: (user) => withMetadata(user, kept(user.user_id)),
    keep(userId, changes) {
      const earlier = kept(userId);
      const both = (part: Part) => ({ ...earlier[part], ...changes[part] });
      const all = { app_metadata: both('app_metadata'), user_metadata: both('user_metadata') };
      if (Object.values(changes).some((part) => Object.keys(part).length > 0)) {
        store.write(KIND, userId, all);
      }
    },
  };
}

/**
 * One more change, as JSON will have it.
 *
 * @throws Error when the name or the value can't be one of metadata.
 */
export function changeMetadata(
  changes: MetadataChanges,
  part: Part,
  name: unknown,
  value: unknown,
): MetadataChanges {
  if (typeof name !== 'string' || name === '' || name === '__proto__') {
    throw new Error(`${part}: the name of a property must be a text`);
  }
  const json = JSON.stringify(value ?? null) as string | undefined;
  if (json === undefined) throw new Error(`${part}: "${name}" is a ${typeof value}, not JSON`);
  return { ...changes, [part]: { ...changes[part], [name]: JSON.parse(json) as unknown } };
}

/** The user with these changes. */
export function withMetadata<U extends { readonly [part in Part]?: unknown }>(
  user: U,
  changes: MetadataChanges,
): U {
  const changed = (part: Part): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries({ ...(user[part] as object), ...changes[part] }).filter(
        ([, value]) => value !== null,
      ),
    );
  return {
    ...user,
    app_metadata: changed('app_metadata'),
    user_metadata: changed('user_metadata'),
  };
}
