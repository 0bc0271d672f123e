import {
  type ListedSession,
  MAX_SESSIONS_PER_TERM,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
} from '../session-store.ts';

/** Options of `memoryStore`; each has a default. */
export interface MemoryStoreOptions {
  /** Milliseconds since 1970, for when sessions end. Default: `Date.now` */
  now?: (() => number) | undefined;
  /** Milliseconds of a monotonic clock, for leases. Default: `performance.now` */
  monotonicNow?: (() => number) | undefined;
  /** Maximum number of sessions. Beyond it the one unused for longest is removed. Default: 100,000 */
  maxSessions?: number | undefined;
}

/**
 * Keeps sessions in this process: for development, tests and a single small server. A restart ends
 * them. It is the default of `auth({ session: { store } })`.
 *
 * @example
 * const store = memoryStore({ maxSessions: 10_000 });
 * app.use(auth({ issuerBaseURL, baseURL, clientID, clientSecret, secret, session: { store } }));
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  return new MemoryStore(options);
}

interface KeptSession extends Omit<NewSession, 'startedAt'> {
  readonly version: number;
  readonly fence: number;
  /** Milliseconds of the monotonic clock. */
  readonly leaseUntil: number;
}

const PURGE_EVERY_MS = 60_000;
/** Maximum of used values, and of ends: 150 a second, each for eleven minutes. */
const MAX_VALUES = 100_000;

class MemoryStore implements SessionStore {
  readonly #now: () => number;
  readonly #monotonicNow: () => number;
  readonly #maxSessions: number;
  /** Sorted by last use, oldest first. */
  readonly #sessions = new Map<string, KeptSession>();
  readonly #keysByTerm = new Map<string, Set<string>>();
  readonly #used: ExpiringValues<true>;
  /** Time of the last end by term, in seconds since 1970. */
  readonly #ends: ExpiringValues<number>;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor({
    now = Date.now,
    monotonicNow = () => performance.now(),
    maxSessions = 100_000,
  }: MemoryStoreOptions) {
    this.#now = now;
    this.#monotonicNow = monotonicNow;
    this.#maxSessions = maxSessions;
    this.#used = new ExpiringValues(MAX_VALUES, now);
    this.#ends = new ExpiringValues(MAX_VALUES, now);
  }

  async create(
    key: string,
    { sealed, about, expiresAt, startedAt, terms }: NewSession,
  ): Promise<boolean> {
    if (this.#live(key)) throw new Error('the session exists already');
    if (terms.some((term) => startedAt < (this.#ends.get(term) ?? 0))) return false;
    this.#remove(key);
    this.#makeRoom(terms);
    const kept = { sealed, about, expiresAt, terms: [...terms] };
    this.#sessions.set(key, {
      ...kept,
      version: 1,
      fence: 0,
      leaseUntil: Number.NEGATIVE_INFINITY,
    });
    for (const term of terms) {
      const keys = this.#keysByTerm.get(term) ?? new Set();
      this.#keysByTerm.set(term, keys.add(key));
    }
    return true;
  }

  async read(key: string): Promise<StoredSession | undefined> {
    const session = this.#live(key);
    if (!session) this.#remove(key);
    else this.#keep(key, session);
    return toStored(session);
  }

  async update(
    key: string,
    expectedVersion: number,
    { sealed, expiresAt }: SessionUpdate,
    fence?: number,
  ): Promise<boolean> {
    const session = this.#live(key);
    if (session?.version !== expectedVersion) return false;
    if (fence !== undefined && fence !== session.fence) return false;
    this.#keep(key, { ...session, sealed, expiresAt, version: expectedVersion + 1 });
    return true;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    const session = this.#live(key);
    if (session) this.#keep(key, { ...session, expiresAt });
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    return toStored(this.#remove(key));
  }

  async list(term: string): Promise<ListedSession[]> {
    return this.#find(term).map(([key, { about, expiresAt }]) => ({ key, about, expiresAt }));
  }

  async destroyAll(term: string, exceptKey?: string): Promise<number> {
    const others = this.#find(term).filter(([key]) => key !== exceptKey);
    for (const [key] of others) this.#remove(key);
    return others.length;
  }

  async recordEnd(term: string, endedAt: number, expiresAt: number): Promise<void> {
    this.#ends.set(term, Math.max(endedAt, this.#ends.get(term) ?? 0), expiresAt);
  }

  async acquire(key: string, milliseconds: number): Promise<number | undefined> {
    const session = this.#live(key);
    const now = this.#monotonicNow();
    if (!session || session.leaseUntil > now) return undefined;
    const fence = session.fence + 1;
    this.#sessions.set(key, { ...session, fence, leaseUntil: now + milliseconds });
    return fence;
  }

  async extend(key: string, fence: number, milliseconds: number): Promise<boolean> {
    const session = this.#live(key);
    const now = this.#monotonicNow();
    if (session?.fence !== fence || session.leaseUntil <= now) return false;
    this.#sessions.set(key, { ...session, leaseUntil: now + milliseconds });
    return true;
  }

  async release(key: string, fence: number): Promise<void> {
    const session = this.#live(key);
    if (session?.fence !== fence) return;
    this.#sessions.set(key, { ...session, leaseUntil: Number.NEGATIVE_INFINITY });
  }

  async once(value: string, expiresAt: number): Promise<boolean> {
    if (this.#used.get(value)) return false;
    this.#used.set(value, true, expiresAt);
    return true;
  }

  async close(): Promise<void> {
    this.#sessions.clear();
    this.#keysByTerm.clear();
    this.#used.clear();
    this.#ends.clear();
  }

  #isOver(expiresAt: number): boolean {
    return expiresAt * 1000 <= this.#now();
  }

  #live(key: string): KeptSession | undefined {
    const session = this.#sessions.get(key);
    return session && !this.#isOver(session.expiresAt) ? session : undefined;
  }

  #remove(key: string): KeptSession | undefined {
    const session = this.#sessions.get(key);
    this.#sessions.delete(key);
    for (const term of session?.terms ?? []) {
      const keys = this.#keysByTerm.get(term);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysByTerm.delete(term);
    }
    return session;
  }

  /** Stores a session as the one that was used last. */
  #keep(key: string, session: KeptSession): void {
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
  }

  #find(term: string): [key: string, KeptSession][] {
    const found: [string, KeptSession][] = [];
    for (const key of this.#keysByTerm.get(term) ?? []) {
      const session = this.#live(key);
      if (session) found.push([key, session]);
      else this.#remove(key);
    }
    return found;
  }

  #makeRoom(terms: readonly string[]): void {
    for (const term of terms) {
      const found = this.#find(term);
      if (found.length < MAX_SESSIONS_PER_TERM) continue;
      const [first] = found.sort(([, a], [, b]) => a.expiresAt - b.expiresAt);
      if (first) this.#remove(first[0]);
    }
    if (this.#sessions.size >= this.#maxSessions) this.#purge();
    const [unused] = this.#sessions.keys();
    if (unused !== undefined && this.#sessions.size >= this.#maxSessions) this.#remove(unused);
  }

  /** Removes expired sessions, at most once a minute, because a full store must stay fast. */
  #purge(): void {
    const now = this.#monotonicNow();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    for (const [key, { expiresAt }] of this.#sessions)
      if (this.#isOver(expiresAt)) this.#remove(key);
  }
}

/** Values that expire. If there are too many, the one that expires first is removed. */
class ExpiringValues<Value> {
  readonly #maxValues: number;
  readonly #now: () => number;
  readonly #values = new Map<string, { readonly value: Value; readonly second: number }>();
  readonly #namesBySecond = new Map<number, Set<string>>();

  constructor(maxValues: number, now: () => number) {
    this.#maxValues = maxValues;
    this.#now = now;
  }

  get(name: string): Value | undefined {
    const kept = this.#values.get(name);
    return kept && !this.#isOver(kept.second) ? kept.value : undefined;
  }

  set(name: string, value: Value, expiresAt: number): void {
    this.#remove(name);
    this.#makeRoom();
    const second = Math.ceil(expiresAt);
    this.#values.set(name, { value, second });
    this.#namesBySecond.set(second, (this.#namesBySecond.get(second) ?? new Set()).add(name));
  }

  clear(): void {
    this.#values.clear();
    this.#namesBySecond.clear();
  }

  #isOver(second: number): boolean {
    return second * 1000 <= this.#now();
  }

  #remove(name: string): void {
    const second = this.#values.get(name)?.second ?? 0;
    this.#values.delete(name);
    const names = this.#namesBySecond.get(second);
    names?.delete(name);
    if (names?.size === 0) this.#namesBySecond.delete(second);
  }

  #makeRoom(): void {
    let first = Number.POSITIVE_INFINITY;
    for (const [second, names] of this.#namesBySecond) {
      if (!this.#isOver(second)) first = Math.min(first, second);
      else for (const name of names) this.#remove(name);
    }
    const [name] = this.#namesBySecond.get(first) ?? [];
    if (name !== undefined && this.#values.size >= this.#maxValues) this.#remove(name);
  }
}

function toStored(session: KeptSession | undefined): StoredSession | undefined {
  if (!session) return undefined;
  const { sealed, about, expiresAt, version } = session;
  return { sealed, about, expiresAt, version };
}
