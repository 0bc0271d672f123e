/** Keys of a record in addition to its id. */
export interface RecordKeys {
  readonly uid?: string | undefined;
  readonly grantId?: string | undefined;
}

export interface StoredRecord {
  readonly content: Record<string, unknown>;
  /** Time at which the record was used up, by the clock of the store. */
  readonly consumed: number | undefined;
}

/** Logins, grants, codes, refresh tokens, consents: JSON records by kind and id, each with an end. */
export interface StateStore {
  /** Returns the epoch seconds of the clock that records end by. */
  now(): number;
  /** Returns a record that has not ended. */
  read(kind: string, id: string): StoredRecord | undefined;
  readByUid(kind: string, uid: string): StoredRecord | undefined;
  /** Writes a record. @param lifetime seconds; default: until the record is deleted. */
  write(kind: string, id: string, content: object, lifetime?: number, keys?: RecordKeys): void;
  /** Replaces the content of a record, whose keys and end stay; does nothing if it has ended. */
  replaceContent(kind: string, id: string, content: object): void;
  /** Marks a record as used up; returns false when it was used before, or does not exist. */
  consume(kind: string, id: string): boolean;
  delete(kind: string, id: string): void;
  /** Returns the ids of records that have not ended; the one that ends first comes first. */
  idsByGrantId(kind: string, grantId: string): string[];
  deleteByGrantId(kind: string, grantId: string): void;
  /** Waits until no other process writes. The other methods never wait. */
  whenFree(): Promise<void>;
  clear(): void;
  close(): void;
}

export const SWEEP_INTERVAL_MS = 60_000;

interface Entry extends RecordKeys {
  readonly kind: string;
  readonly id: string;
  /** JSON, as in a file: the stored content is a copy. */
  content: string;
  /** Epoch seconds. */
  readonly end: number;
  consumed: number | undefined;
}

/** State that ends with the process. */
export class MemoryState implements StateStore {
  readonly now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #byUid = new Map<string, Entry>();
  readonly #byGrantId = new Map<string, Set<Entry>>();
  readonly #sweep: NodeJS.Timeout;

  constructor(now = steadyTime()) {
    this.now = now;
    const sweep = (): void => {
      for (const entry of this.#entries.values()) if (!this.#isOpen(entry)) this.#remove(entry);
    };
    this.#sweep = setInterval(sweep, SWEEP_INTERVAL_MS).unref();
  }

  read(kind: string, id: string): StoredRecord | undefined {
    return this.#toRecord(this.#entries.get(keyOf(kind, id)));
  }

  readByUid(kind: string, uid: string): StoredRecord | undefined {
    return this.#toRecord(this.#byUid.get(keyOf(kind, uid)));
  }

  write(
    kind: string,
    id: string,
    content: object,
    lifetime = Number.POSITIVE_INFINITY,
    { uid, grantId }: RecordKeys = {},
  ): void {
    const consumed = this.#entries.get(keyOf(kind, id))?.consumed;
    this.delete(kind, id);
    const end = this.now() + lifetime;
    const entry = { kind, id, content: JSON.stringify(content), uid, grantId, end, consumed };
    this.#entries.set(keyOf(kind, id), entry);
    if (uid !== undefined) this.#byUid.set(keyOf(kind, uid), entry);
    if (grantId === undefined) return;
    const ofGrant = this.#byGrantId.get(keyOf(kind, grantId)) ?? new Set();
    this.#byGrantId.set(keyOf(kind, grantId), ofGrant.add(entry));
  }

  replaceContent(kind: string, id: string, content: object): void {
    const entry = this.#entries.get(keyOf(kind, id));
    if (entry !== undefined && this.#isOpen(entry)) entry.content = JSON.stringify(content);
  }

  consume(kind: string, id: string): boolean {
    const entry = this.#entries.get(keyOf(kind, id));
    if (entry === undefined || entry.consumed !== undefined) return false;
    entry.consumed = this.now();
    return true;
  }

  delete(kind: string, id: string): void {
    const entry = this.#entries.get(keyOf(kind, id));
    if (entry !== undefined) this.#remove(entry);
  }

  idsByGrantId(kind: string, grantId: string): string[] {
    const open = [...this.#ofGrant(kind, grantId)].filter((entry) => this.#isOpen(entry));
    // Infinity minus Infinity is no number.
    return open.sort((one, other) => one.end - other.end || 0).map(({ id }) => id);
  }

  deleteByGrantId(kind: string, grantId: string): void {
    for (const entry of this.#ofGrant(kind, grantId)) this.#remove(entry);
  }

  async whenFree(): Promise<void> {}

  clear(): void {
    this.#entries.clear();
    this.#byUid.clear();
    this.#byGrantId.clear();
  }

  close(): void {
    clearInterval(this.#sweep);
    this.clear();
  }

  #ofGrant(kind: string, grantId: string): ReadonlySet<Entry> {
    return this.#byGrantId.get(keyOf(kind, grantId)) ?? new Set();
  }

  #remove(entry: Entry): void {
    const { kind, id, uid = '', grantId = '' } = entry;
    this.#entries.delete(keyOf(kind, id));
    if (this.#byUid.get(keyOf(kind, uid)) === entry) this.#byUid.delete(keyOf(kind, uid));
    const ofGrant = this.#byGrantId.get(keyOf(kind, grantId));
    ofGrant?.delete(entry);
    if (ofGrant?.size === 0) this.#byGrantId.delete(keyOf(kind, grantId));
  }

  #isOpen({ end }: Entry): boolean {
    return end > this.now();
  }

  #toRecord(entry: Entry | undefined): StoredRecord | undefined {
    if (entry === undefined || !this.#isOpen(entry)) return undefined;
    const { content, consumed } = entry;
    return { content: JSON.parse(content) as Record<string, unknown>, consumed };
  }
}

function keyOf(kind: string, name: string): string {
  return `${kind} ${name}`;
}

/** Returns epoch seconds that go on while the wall clock is set back, so that no sign-in lasts longer. */
function steadyTime(): () => number {
  const start = Date.now() - performance.now();
  return () => Math.floor((start + performance.now()) / 1000);
}
