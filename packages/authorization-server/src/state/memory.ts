import type { RecordKeys, StateStore, StoredRecord } from './state-store.ts';

interface Kept extends RecordKeys {
  /** JSON, as in a file: nobody who changes what was written or read changes what is kept. */
  readonly content: string;
  /** Epoch seconds. */
  readonly end: number;
  readonly consumed: number | undefined;
}

const SWEEP_EVERY = 60_000;

/** State that ends with the process. @param now epoch seconds. */
export function createMemoryState(now: () => number): StateStore {
  const kinds = new Map<string, Records>();
  const recordsOf = (kind: string): Records => {
    const records = kinds.get(kind) ?? new Records();
    kinds.set(kind, records);
    return records;
  };
  const toRecord = (kept: Kept | undefined): StoredRecord | undefined => {
    if (kept === undefined || kept.end <= now()) return undefined;
    return {
      content: JSON.parse(kept.content) as Record<string, unknown>,
      consumed: kept.consumed,
    };
  };
  const timer = setInterval(() => {
    for (const records of kinds.values()) records.deleteEnded(now());
  }, SWEEP_EVERY).unref();

  return {
    read: (kind, id) => toRecord(recordsOf(kind).get(id)),
    readByUid: (kind, uid) => toRecord(recordsOf(kind).getByUid(uid)),
    write(kind, id, content, lifetime = Number.POSITIVE_INFINITY, { uid, grantId } = {}) {
      const records = recordsOf(kind);
      const consumed = records.get(id)?.consumed;
      const end = now() + lifetime;
      records.set(id, { content: JSON.stringify(content), uid, grantId, end, consumed });
    },
    consume(kind, id) {
      const records = recordsOf(kind);
      const kept = records.get(id);
      if (kept === undefined || kept.consumed !== undefined) return false;
      records.set(id, { ...kept, consumed: now() });
      return true;
    },
    delete(kind, id) {
      recordsOf(kind).delete(id);
    },
    idsByGrantId: (kind, grantId) => recordsOf(kind).idsByGrantId(grantId, now()),
    deleteByGrantId(kind, grantId) {
      recordsOf(kind).deleteByGrantId(grantId);
    },
    clear: () => kinds.clear(),
    close() {
      clearInterval(timer);
      kinds.clear();
    },
  };
}

/** The records of one kind. */
class Records {
  readonly #byId = new Map<string, Kept>();
  readonly #idsByUid = new Map<string, string>();
  readonly #idsByGrantId = new Map<string, Set<string>>();

  get(id: string): Kept | undefined {
    return this.#byId.get(id);
  }

  getByUid(uid: string): Kept | undefined {
    const id = this.#idsByUid.get(uid);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  set(id: string, kept: Kept): void {
    this.delete(id);
    this.#byId.set(id, kept);
    const { uid, grantId } = kept;
    if (uid !== undefined) this.#idsByUid.set(uid, id);
    if (grantId !== undefined) {
      const ids = this.#idsByGrantId.get(grantId) ?? new Set();
      this.#idsByGrantId.set(grantId, ids.add(id));
    }
  }

  delete(id: string): void {
    const { uid, grantId } = this.#byId.get(id) ?? {};
    if (uid !== undefined && this.#idsByUid.get(uid) === id) this.#idsByUid.delete(uid);
    if (grantId !== undefined) {
      const ids = this.#idsByGrantId.get(grantId);
      ids?.delete(id);
      if (ids?.size === 0) this.#idsByGrantId.delete(grantId);
    }
    this.#byId.delete(id);
  }

  idsByGrantId(grantId: string, now: number): string[] {
    const found: { readonly id: string; readonly end: number }[] = [];
    for (const id of this.#idsByGrantId.get(grantId) ?? []) {
      const { end } = this.#byId.get(id) as Kept;
      if (end > now) found.push({ id, end });
    }
    // Of two that never end the difference is no number.
    found.sort((one, other) => one.end - other.end || 0);
    return found.map(({ id }) => id);
  }

  deleteByGrantId(grantId: string): void {
    for (const id of this.#idsByGrantId.get(grantId) ?? []) this.delete(id);
  }

  deleteEnded(now: number): void {
    for (const [id, { end }] of this.#byId) if (end <= now) this.delete(id);
  }
}
