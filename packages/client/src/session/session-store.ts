import { createHash } from 'node:crypto';
import { OidcError } from '../errors.ts';

/** A session as a store has it: its tokens can't be read without the browser's cookie. */
export interface StoredSession {
  /** The session's content, encrypted under a key that only the cookie completes. */
  readonly sealed: string;
  /** Details that the user may see from another session, encrypted under the app's secret. */
  readonly about: string;
  /** Seconds since 1970; from then on the session is gone. */
  readonly expiresAt: number;
  /** Counts up by one with each update. */
  readonly version: number;
}

/** A session as it is handed to a store. */
export interface NewSession {
  readonly sealed: string;
  readonly about: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** Opaque terms, eight at most: `list` finds the session by each. */
  readonly terms: readonly string[];
}

/** Parts of a session that an update writes. */
export type SessionUpdate = Pick<StoredSession, 'sealed' | 'expiresAt'>;

/** A session found by a term. */
export interface ListedSession {
  readonly key: string;
  readonly about: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Store of sessions. Keys are hashes of the session ids, so a copy of the store is no session.
 *
 * Writes are compare-and-set: `update` never overwrites what it has not seen and never brings back a
 * session that was destroyed. A session has a lease, which one caller holds at a time, over all
 * processes: the one that renews its tokens. Each method may be called concurrently, from several
 * processes if the store is shared, and rejects when the store can't do its work.
 *
 * @example
 * import { testSessionStore } from '@koa-oauth/client/testing';
 *
 * // Shows whether a store of your own keeps to all of this.
 * testSessionStore(({ now }) => myStore({ url: TEST_DATABASE_URL, now }), { test, describe });
 */
export interface SessionStore {
  /** Stores a new session at version 1. @throws when the key is in use */
  create(key: string, session: NewSession): Promise<void>;
  /** @returns the session, or undefined when there is none or it has expired */
  read(key: string): Promise<StoredSession | undefined>;
  /**
   * @param fence of a lease: nothing is written when the lease has been given to another since
   * @returns whether it was written: false when the version has moved on or the session is gone
   */
  update(
    key: string,
    expectedVersion: number,
    session: SessionUpdate,
    fence?: number,
  ): Promise<boolean>;
  /** Moves the expiry of a session that exists; its version stays. */
  touch(key: string, expiresAt: number): Promise<void>;
  /** @returns the session that this call removed, expired or not; undefined when there was none */
  destroy(key: string): Promise<StoredSession | undefined>;
  /** Returns the sessions with this term that have not expired, a thousand at most. */
  list(term: string): Promise<ListedSession[]>;
  /**
   * Acquires the lease of a session that exists and whose lease is free.
   *
   * @param milliseconds after which the lease ends unless it is extended
   * @returns its fence, a number higher than any this session's lease had before, or undefined
   */
  acquire(key: string, milliseconds: number): Promise<number | undefined>;
  /** @returns whether the lease was still held under this fence, and now ends that much later */
  extend(key: string, fence: number, milliseconds: number): Promise<boolean>;
  /** Gives the lease back, if it is still held under this fence. */
  release(key: string, fence: number): Promise<void>;
  /**
   * Remembers a value that may be used once.
   *
   * @param expiresAt seconds since 1970; until then it is remembered
   * @returns whether this was the first time, over all processes that share the store
   */
  once(value: string, expiresAt: number): Promise<boolean>;
  /** Closes files and connections. */
  close(): Promise<void>;
}

/** Maximum sessions that a store lists at a time. */
export const MAX_LISTED = 1000;

/** Returns the key under which a store holds a secret, such as the id of a session: its hash. */
export function storeKey(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}

/** Calls a store. @throws OidcError `ERR_SESSION_STORE` (503) when the call fails */
export async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const detail = `the session store failed${codeOf(cause)}`;
    throw new OidcError('ERR_SESSION_STORE', { detail, cause });
  }
}

// Only the code: the message may contain secrets.
function codeOf(cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[A-Z][A-Z_]{0,40}$/.test(code) ? `: ${code}` : '';
}
