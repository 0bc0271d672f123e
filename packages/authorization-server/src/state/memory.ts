import {
  type RecordKeys,
  type StateStore,
  type StoredRecord,
  SWEEP_INTERVAL_MS,
} from './state-store.ts';

interface Entry extends RecordKeys {
  /** JSON, as in a file: the stored content is a copy. */
  readonly content: string;
  /** Epoch seconds. */
  readonly end: number;
  readonly consumed: number | undefined;
}

/** State that ends with the process. */
export class MemoryState implements StateStore {
  readonly now: () => number;
  readonly #kinds = new Map<string, Entries>();
  readonly #sweep: NodeJS.Timeout;

  constructor(now = steadyTime()) {
    this.now = now;
    const sweep = (): void => {
      for (const entries of this.#kinds.values()) entries.deleteEnded(this.now());
    };
    this.#sweep = setInterval(sweep, SWEEP_INTERVAL_MS).unref();
  }

  read(kind: string, id: string): StoredRecord | undefined {
    return this.#toRecord(this.#entriesOf(kind).get(id));
  }

  readByUid(kind: string, uid: string): StoredRecord | undefined {
    return this.#toRecord(this.#entriesOf(kind).getByUid(uid));
  }

  write(
    kind: string,
    id: string,
    content: object,
    lifetime = Number.POSITIVE_INFINITY,
    { uid, grantId }: RecordKeys = {},
  ): void {
    const entries = this.#entriesOf(kind);
    const consumed = entries.get(id)?.consumed;
    const end = this.now() + lifetime;
    entries.set(id, { content: JSON.stringify(content), uid, grantId, end, consumed });
  }

  replaceContent(kind: string, id: string, content: object): void {
    const entries = this.#entriesOf(kind);
    const entry = entries.get(id);
    if (entry === undefined || entry.end <= this.now()) return;
    entries.set(id, { ...entry, content: JSON.stringify(content) });
  }

  consume(kind: string, id: string): boolean {
    const entries = this.#entriesOf(kind);
    const entry = entries.get(id);
    if (entry === undefined || entry.consumed !== undefined) return false;
    entries.set(id, { ...entry, consumed: this.now() });
    return true;
  }

  delete(kind: string, id: string): void {
    this.#entriesOf(kind).delete(id);
  }

  idsByGrantId(kind: string, grantId: string): string[] {
    return this.#entriesOf(kind).idsByGrantId(grantId, this.now());
  }

  deleteByGrantId(kind: string, grantId: string): void {
    this.#entriesOf(kind).deleteByGrantId(grantId);
  }

  clear(): void {
    this.#kinds.clear();
  }

  close(): void {
    clearInterval(this.#sweep);
    this.clear();
  }

  #entriesOf(kind: string): Entries {
    const entries = this.#kinds.get(kind) ?? new Entries();
    this.#kinds.set(kind, entries);
    return entries;
  }

  #toRecord(entry: Entry | undefined): StoredRecord | undefined {
    if (entry === undefined || entry.end <= this.now()) return undefined;
    const { content, consumed } = entry;
    return { content: JSON.parse(content) as Record<string, unknown>, consumed };
  }
}

/**
 * Returns a clock of epoch seconds that does not follow changes of the wall clock: setting that back
 * must not prolong a sign-in or a used refresh token.
 */
function steadyTime(): () => number {
  const start = Date.now() - performance.now();
  return () => Math.floor((start + performance.now()) / 1000);
}

class Entries {
  readonly #byId = new Map<string, Entry>();
  readonly #idsByUid = new Map<string, string>();
  readonly #idsByGrantId = new Map<string, Set<string>>();

  get(id: string): Entry | undefined {
    return this.#byId.get(id);
  }

  getByUid(uid: string): Entry | undefined {
    const id = this.#idsByUid.get(uid);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  set(id: string, entry: Entry): void {
    this.delete(id);
    this.#byId.set(id, entry);
    const { uid, grantId } = entry;
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
      const { end } = this.#byId.get(id) as Entry;
      if (end > now) found.push({ id, end });
    }
    // Infinity minus Infinity is no number.
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
