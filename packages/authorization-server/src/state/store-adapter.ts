import type { Adapter, AdapterPayload } from 'oidc-provider';
import { errors, Provider } from '../oidc-provider.ts';
import type { StateStore, StoredRecord } from './memory.ts';

export class StoreAdapter implements Adapter {
  readonly kind: string;
  readonly store: StateStore;

  constructor(kind: string, store: StateStore) {
    this.kind = kind;
    this.store = store;
  }

  async upsert(id: string, payload: AdapterPayload, lifetime: number): Promise<void> {
    const { userCode, uid = userCode, grantId } = payload;
    this.store.write(this.kind, id, payload, lifetime, { uid, grantId });
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    return toPayload(this.store.read(this.kind, id));
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return toPayload(this.store.readByUid(this.kind, uid));
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.findByUid(userCode);
  }

  async consume(id: string): Promise<void> {
    // The engine reads and consumes in two steps: only one of two simultaneous requests may win.
    if (!this.store.consume(this.kind, id)) throw new errors.InvalidGrant('already used');
  }

  async destroy(id: string): Promise<void> {
    this.store.delete(this.kind, id);
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    this.store.deleteByGrantId(this.kind, grantId);
  }
}

function toPayload(record: StoredRecord | undefined): AdapterPayload | undefined {
  return record && { ...record.content, consumed: record.consumed };
}

/** Finds authorization codes. An unused one ends with its session, which a refresh token outlives. */
export class CodeAdapter extends StoreAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const code = await super.find(id);
    if (!code || code.consumed) return code;
    const session = this.store.readByUid('Session', code.sessionUid ?? '');
    return session?.content.accountId === code.accountId ? code : undefined;
  }
}

/**
 * Bounds the number of records. Above it, the address with the most loses its oldest one: no address
 * displaces the records of others. A record keeps its end, for which the engine uses the wall clock.
 */
export class BoundedAdapter extends StoreAdapter {
  readonly #maxRecords: number;
  readonly #addresses = new Map<string, string>();
  readonly #idsOf = new Map<string, Set<string>>();

  constructor(kind: string, store: StateStore, maxRecords: number) {
    super(kind, store);
    this.#maxRecords = maxRecords;
  }

  /** @param address of the request that writes; default: that of the engine's request. */
  override async upsert(
    id: string,
    payload: AdapterPayload,
    lifetime: number,
    address = Provider.ctx?.ip ?? '',
  ): Promise<void> {
    if (this.#addresses.has(id)) {
      this.store.replaceContent(this.kind, id, payload);
      return;
    }
    this.#addresses.set(id, address);
    this.#idsOf.set(address, (this.#idsOf.get(address) ?? new Set()).add(id));
    if (this.#addresses.size > this.#maxRecords) await this.destroy(this.#oldestOfLargest());
    await super.upsert(id, payload, lifetime);
  }

  override async destroy(id: string): Promise<void> {
    const address = this.#addresses.get(id) ?? '';
    const ids = this.#idsOf.get(address);
    ids?.delete(id);
    if (ids?.size === 0) this.#idsOf.delete(address);
    this.#addresses.delete(id);
    await super.destroy(id);
  }

  #oldestOfLargest(): string {
    let largest = new Set<string>();
    for (const ids of this.#idsOf.values()) if (ids.size > largest.size) largest = ids;
    const [oldest = ''] = largest;
    return oldest;
  }
}
