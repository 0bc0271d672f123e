import { asJson } from '../claims/custom-claims.ts';
import type { StateStore } from '../state/memory.ts';
import type { User } from '../tenant/tenant.ts';

type Part = 'app_metadata' | 'user_metadata';

/** Changes that Actions made to a user's metadata; null removes a property. */
export type MetadataChanges = Readonly<Record<Part, Readonly<Record<string, unknown>>>>;

/** `event.transaction.metadata`: values that Actions pass to each other within one login. */
export type TransactionMetadata = Record<string, string | number | boolean>;

export const NO_CHANGES: MetadataChanges = { app_metadata: {}, user_metadata: {} };

const KIND = 'UserMetadata';

const MAX_TRANSACTION_METADATA_BYTES = 16_384;

/** Changes that Actions made to users' metadata, stored apart from the values of the tenant file. */
export class UserMetadata {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  applyTo(user: User): User {
    return withMetadata(user, this.#changesOf(user.user_id));
  }

  store(userId: string, changes: MetadataChanges): void {
    if (!Object.values(changes).some((part) => Object.keys(part).length > 0)) return;
    const earlier = this.#changesOf(userId);
    const both = (part: Part) => ({ ...earlier[part], ...changes[part] });
    const all = { app_metadata: both('app_metadata'), user_metadata: both('user_metadata') };
    this.#store.write(KIND, userId, all);
  }

  #changesOf(userId: string): MetadataChanges {
    return (this.#store.read(KIND, userId)?.content ?? NO_CHANGES) as MetadataChanges;
  }
}

/** Adds one change. @throws Error when the name or the value can't be part of metadata. */
export function changeMetadata(
  changes: MetadataChanges,
  part: Part,
  name: unknown,
  value: unknown,
): MetadataChanges {
  if (!isName(name)) throw new Error(`${part}: the name of a property must be a text`);
  const changed = asJson(value ?? null, `${part}: "${name}"`);
  return { ...changes, [part]: { ...changes[part], [name]: changed } };
}

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

/** Returns the metadata with one property set; null removes it ("Actions Transaction Metadata"). */
export function changeTransactionMetadata(
  metadata: Readonly<TransactionMetadata>,
  key: unknown,
  value: unknown,
): TransactionMetadata {
  if (!isName(key)) throw wrongMetadata('the key must be a text');
  if (value === null || value === undefined) {
    const { [key]: _removed, ...others } = metadata;
    return others;
  }
  if (!isPlain(value)) {
    throw wrongMetadata(`"${key}" is a ${typeof value}: give a text, number or boolean`);
  }
  const changed = { ...metadata, [key]: value };
  if (Buffer.byteLength(JSON.stringify(changed)) > MAX_TRANSACTION_METADATA_BYTES) {
    throw wrongMetadata(`all metadata has at most ${MAX_TRANSACTION_METADATA_BYTES} bytes`);
  }
  return changed;
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name !== '__proto__';
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
}

function wrongMetadata(what: string): Error {
  return new Error(`api.transaction.setMetadata: ${what}`);
}
