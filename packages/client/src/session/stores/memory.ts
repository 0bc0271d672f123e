import {
  type ListedSession,
  MAX_LISTED,
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
  /** Sessions kept at most; the one that expires first makes room. Default: 100,000 */
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

interface KeptSession extends NewSession {
  readonly version: number;
  readonly fence: number;
  /** Milliseconds of the monotonic clock. */
  readonly leaseUntil: number;
}

const PURGE_EVERY_MS = 60_000;

class MemoryStore implements SessionStore {
  readonly #now: () => number;
  readonly #monotonicNow: () => number;
  readonly #maxSessions: number;
  readonly #sessions = new Map<string, KeptSession>();
  readonly #keysByTerm = new Map<string, Set<string>>();
  readonly #used = new Map<string, number>();
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor({
    now = Date.now,
    monotonicNow = () => performance.now(),
    maxSessions = 100_000,
  }: MemoryStoreOptions) {
    this.#now = now;
    this.#monotonicNow = monotonicNow;
    this.#maxSessions = maxSessions;
  }

  async create(key: string, { sealed, about, expiresAt, terms }: NewSession): Promise<void> {
    if (this.#live(key)) throw new Error('the session exists already');
    this.#remove(key);
    this.#makeRoom();
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
  }

  async read(key: string): Promise<StoredSession | undefined> {
    const session = this.#live(key);
    if (!session) this.#remove(key);
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
    this.#sessions.set(key, { ...session, sealed, expiresAt, version: expectedVersion + 1 });
    return true;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    const session = this.#live(key);
    if (session) this.#sessions.set(key, { ...session, expiresAt });
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    return toStored(this.#remove(key));
  }

  async list(term: string): Promise<ListedSession[]> {
    const listed: ListedSession[] = [];
    for (const key of this.#keysByTerm.get(term) ?? []) {
      const session = this.#live(key);
      if (!session) this.#remove(key);
      else listed.push({ key, about: session.about, expiresAt: session.expiresAt });
      if (listed.length === MAX_LISTED) break;
    }
    return listed;
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
    this.#purgeUsed();
    const until = this.#used.get(value);
    if (until !== undefined && !this.#isOver(until)) return false;
    this.#used.set(value, expiresAt);
    return true;
  }

  async close(): Promise<void> {
    this.#sessions.clear();
    this.#keysByTerm.clear();
    this.#used.clear();
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

  #makeRoom(): void {
    if (this.#sessions.size < this.#maxSessions) return;
    for (const [key, { expiresAt }] of this.#sessions)
      if (this.#isOver(expiresAt)) this.#remove(key);
    if (this.#sessions.size < this.#maxSessions) return;
    const byExpiry = [...this.#sessions].sort(([, a], [, b]) => a.expiresAt - b.expiresAt);
    // A tenth at once, so that the sorting is paid for rarely.
    const excess = Math.ceil(this.#maxSessions / 10);
    for (const [key] of byExpiry.slice(0, excess)) this.#remove(key);
  }

  #purgeUsed(): void {
    const now = this.#monotonicNow();
    if (now - this.#purgedAt < PURGE_EVERY_MS) return;
    this.#purgedAt = now;
    for (const [value, expiresAt] of this.#used)
      if (this.#isOver(expiresAt)) this.#used.delete(value);
  }
}

function toStored(session: KeptSession | undefined): StoredSession | undefined {
  if (!session) return undefined;
  const { sealed, about, expiresAt, version } = session;
  return { sealed, about, expiresAt, version };
}
