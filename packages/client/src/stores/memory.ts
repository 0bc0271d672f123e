import type { SessionStore, StoredSession } from '../session-store.ts';

export interface MemoryStoreOptions {
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
  /** Sessions kept at most; the one that expires first makes room. Default: 100,000 */
  maxSessions?: number;
}

/** Keeps sessions in this process: for development, tests and a single small server. */
export function memoryStore({
  now = Date.now,
  maxSessions = 100_000,
}: MemoryStoreOptions = {}): SessionStore {
  const sessions = new Map<string, StoredSession>();

  const live = (key: string): StoredSession | undefined => {
    const session = sessions.get(key);
    if (session && session.expiresAt * 1000 > now()) return session;
    sessions.delete(key);
    return undefined;
  };

  const makeRoom = (): void => {
    if (sessions.size < maxSessions) return;
    for (const key of [...sessions.keys()]) live(key);
    if (sessions.size < maxSessions) return;
    const byExpiry = [...sessions].sort(([, a], [, b]) => a.expiresAt - b.expiresAt);
    // A tenth at once, so that the sorting is paid for rarely.
    for (const [key] of byExpiry.slice(0, Math.ceil(maxSessions / 10))) sessions.delete(key);
  };

  return {
    async create(key, { sealed, expiresAt }) {
      if (live(key)) throw new Error('the session exists already');
      makeRoom();
      sessions.set(key, { sealed, expiresAt, version: 1 });
    },
    async read(key) {
      return live(key);
    },
    async update(key, expectedVersion, { sealed, expiresAt }) {
      if (live(key)?.version !== expectedVersion) return false;
      sessions.set(key, { sealed, expiresAt, version: expectedVersion + 1 });
      return true;
    },
    async touch(key, expiresAt) {
      const session = live(key);
      if (session) sessions.set(key, { ...session, expiresAt });
    },
    async destroy(key) {
      const session = sessions.get(key);
      sessions.delete(key);
      return session;
    },
    async close() {
      sessions.clear();
    },
  };
}
