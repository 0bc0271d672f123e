import type { NewSession, SessionStore, StoredSession } from '../session-store.ts';

/** Options of `memoryStore`; each has a default. */
export interface MemoryStoreOptions {
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
  /** Sessions kept at most; the one that expires first makes room. Default: 100,000 */
  maxSessions?: number;
}

interface KeptSession extends NewSession {
  readonly version: number;
  readonly fence: number;
  /** Milliseconds since 1970. */
  readonly leaseUntil: number;
}

const MAX_LISTED = 1000;
const PURGE_EVERY = 60_000;

/** Keeps sessions in this process: for development, tests and a single small server. */
export function memoryStore({
  now = Date.now,
  maxSessions = 100_000,
}: MemoryStoreOptions = {}): SessionStore {
  const sessions = new Map<string, KeptSession>();
  const keysByTerm = new Map<string, Set<string>>();
  const used = new Map<string, number>();
  let purgedAt = Number.NEGATIVE_INFINITY;

  const isOver = (expiresAt: number): boolean => expiresAt * 1000 <= now();

  const live = (key: string): KeptSession | undefined => {
    const session = sessions.get(key);
    return session && !isOver(session.expiresAt) ? session : undefined;
  };

  const remove = (key: string): KeptSession | undefined => {
    const session = sessions.get(key);
    sessions.delete(key);
    for (const term of session?.terms ?? []) {
      const keys = keysByTerm.get(term);
      keys?.delete(key);
      if (keys?.size === 0) keysByTerm.delete(term);
    }
    return session;
  };

  const makeRoom = (): void => {
    if (sessions.size < maxSessions) return;
    for (const [key, { expiresAt }] of sessions) if (isOver(expiresAt)) remove(key);
    if (sessions.size < maxSessions) return;
    const byExpiry = [...sessions].sort(([, a], [, b]) => a.expiresAt - b.expiresAt);
    // A tenth at once, so that the sorting is paid for rarely.
    for (const [key] of byExpiry.slice(0, Math.ceil(maxSessions / 10))) remove(key);
  };

  const forgetUsed = (): void => {
    if (now() - purgedAt < PURGE_EVERY) return;
    purgedAt = now();
    for (const [value, expiresAt] of used) if (isOver(expiresAt)) used.delete(value);
  };

  return {
    async create(key, { sealed, about, expiresAt, terms }) {
      if (live(key)) throw new Error('the session exists already');
      remove(key);
      makeRoom();
      const kept = { sealed, about, expiresAt, terms: [...terms] };
      sessions.set(key, { ...kept, version: 1, fence: 0, leaseUntil: 0 });
      for (const term of terms) {
        const keys = keysByTerm.get(term) ?? new Set();
        keysByTerm.set(term, keys.add(key));
      }
    },
    async read(key) {
      const session = live(key);
      if (!session) remove(key);
      return toStored(session);
    },
    async update(key, expectedVersion, { sealed, expiresAt }, fence) {
      const session = live(key);
      if (session?.version !== expectedVersion) return false;
      if (fence !== undefined && fence !== session.fence) return false;
      sessions.set(key, { ...session, sealed, expiresAt, version: expectedVersion + 1 });
      return true;
    },
    async touch(key, expiresAt) {
      const session = live(key);
      if (session) sessions.set(key, { ...session, expiresAt });
    },
    async destroy(key) {
      return toStored(remove(key));
    },
    async list(term) {
      const listed = [];
      for (const key of keysByTerm.get(term) ?? []) {
        const session = live(key);
        if (!session) remove(key);
        else listed.push({ key, about: session.about, expiresAt: session.expiresAt });
        if (listed.length === MAX_LISTED) break;
      }
      return listed;
    },
    async acquire(key, milliseconds) {
      const session = live(key);
      if (!session || session.leaseUntil > now()) return undefined;
      const fence = session.fence + 1;
      sessions.set(key, { ...session, fence, leaseUntil: now() + milliseconds });
      return fence;
    },
    async extend(key, fence, milliseconds) {
      const session = live(key);
      if (session?.fence !== fence || session.leaseUntil <= now()) return false;
      sessions.set(key, { ...session, leaseUntil: now() + milliseconds });
      return true;
    },
    async release(key, fence) {
      const session = live(key);
      if (session?.fence === fence) sessions.set(key, { ...session, leaseUntil: 0 });
    },
    async once(value, expiresAt) {
      forgetUsed();
      const until = used.get(value);
      if (until !== undefined && !isOver(until)) return false;
      used.set(value, expiresAt);
      return true;
    },
    async close() {
      sessions.clear();
      keysByTerm.clear();
      used.clear();
    },
  };
}

function toStored(session: KeptSession | undefined): StoredSession | undefined {
  if (!session) return undefined;
  const { sealed, about, expiresAt, version } = session;
  return { sealed, about, expiresAt, version };
}
