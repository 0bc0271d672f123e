/** What a store keeps of a session: nothing of it can be read without the browser's cookie. */
export interface StoredSession {
  /** The session's content, encrypted. */
  readonly sealed: string;
  /** Seconds since 1970; from then on the session is gone. */
  readonly expiresAt: number;
  /** Counts up by one with each update. */
  readonly version: number;
}

/**
 * Where sessions are kept. Keys are hashes of the session ids, so a copy of the store gives nobody
 * a session.
 *
 * Writes are compare-and-set: `update` never overwrites what it has not seen and never brings back
 * a session that was destroyed. Each method may be called concurrently, from several processes if
 * the store is shared, and rejects when the store can't do its work.
 */
export interface SessionStore {
  /** Keeps a new session at version 1. @throws when the key is taken */
  create(key: string, session: { sealed: string; expiresAt: number }): Promise<void>;
  /** @returns the session, or undefined when there is none or it has expired */
  read(key: string): Promise<StoredSession | undefined>;
  /** @returns whether it was written: false when the version has moved on or the session is gone */
  update(
    key: string,
    expectedVersion: number,
    session: { sealed: string; expiresAt: number },
  ): Promise<boolean>;
  /** Moves the expiry of a session that exists; its version stays. */
  touch(key: string, expiresAt: number): Promise<void>;
  /** @returns the session that this call removed, expired or not; undefined when there was none */
  destroy(key: string): Promise<StoredSession | undefined>;
  /** Lets go of files and connections. */
  close(): Promise<void>;
}
