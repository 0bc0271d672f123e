import { hash } from 'node:crypto';
import { answerInTime } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';

/** Session in a store. Its tokens can't be read without the browser's cookie. */
export interface StoredSession {
  /** The session's content, encrypted with a key that is derived from the cookie and the app's secret. */
  readonly sealed: string;
  /** Details for the user's list of sessions, encrypted with a key from the app's secret. */
  readonly about: string;
  /** Seconds since 1970 at which the session ends. */
  readonly expiresAt: number;
  /** Number that each update increases by one. */
  readonly version: number;
}

/** New session for a store. */
export interface NewSession {
  readonly sealed: string;
  readonly about: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** Seconds since 1970 at which its sign-in began, with a fraction. */
  readonly startedAt: number;
  /** At most eight opaque terms. `list` finds the session by each of them. */
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
 * Store of sessions. Its keys are hashes of session ids, so a copy of the store opens no session.
 *
 * Writes are compare-and-set: `update` never overwrites a version that the caller has not read, and never
 * restores a destroyed session. The caller that renews a session's tokens holds its lease, alone among
 * all processes. Each lease has a fence, a number higher than that of the lease before: a caller whose
 * lease has ended cannot write over the work of the next one. Calls can be concurrent. A method rejects
 * when the store can't do its work.
 *
 * @example
 * import { testSessionStore } from '@koa-oauth/client/testing';
 *
 * // Tests that your own store does all of this.
 * testSessionStore(({ now }) => myStore({ url: TEST_DATABASE_URL, now }), { test, describe });
 */
export interface SessionStore {
  /**
   * Stores a new session at version 1. If one of its terms then has more than a hundred sessions, the one
   * of the others that expires first ends: it has been unused for longest.
   *
   * @returns false, and stores nothing, if an end of one of its terms is recorded that is later than
   *   `startedAt`. Of a `create` and a `recordEnd` with `destroyAll` at the same time, one must see the other
   * @throws when the key is in use
   */
  create(key: string, session: NewSession): Promise<boolean>;
  /** @returns the session, or undefined when there is none or it has expired */
  read(key: string): Promise<StoredSession | undefined>;
  /**
   * @param fence fence of the caller's lease: nothing is written if a later lease was given
   * @returns whether it was written: false also for another version, or a session that has ended
   */
  update(
    key: string,
    expectedVersion: number,
    session: SessionUpdate,
    fence?: number,
  ): Promise<boolean>;
  /** Sets the expiry of a session that exists, and keeps its version. */
  touch(key: string, expiresAt: number): Promise<void>;
  /** @returns the session that this call removed, expired or not; undefined when there was none */
  destroy(key: string): Promise<StoredSession | undefined>;
  /** Returns the sessions with this term that have not expired: at most a hundred. */
  list(term: string): Promise<ListedSession[]>;
  /** Ends all sessions with this term that have not expired, except one. @returns how many */
  destroyAll(term: string, exceptKey?: string): Promise<number>;
  /**
   * Records that the sessions with this term were ended. Those that are stored stay. An earlier end does
   * not replace a later one.
   *
   * @param endedAt seconds since 1970, with a fraction
   * @param expiresAt seconds since 1970 until which it is recorded
   */
  recordEnd(term: string, endedAt: number, expiresAt: number): Promise<void>;
  /**
   * Acquires the lease of a session that exists and whose lease is free.
   *
   * @param milliseconds time after which the lease ends unless it is extended
   * @returns the fence of the lease, or undefined if another caller has it or the session has ended
   */
  acquire(key: string, milliseconds: number): Promise<number | undefined>;
  /** Extends the lease from now. @returns whether it was still held with this fence */
  extend(key: string, fence: number, milliseconds: number): Promise<boolean>;
  /** Ends the lease if it is still held with this fence. */
  release(key: string, fence: number): Promise<void>;
  /**
   * Stores a value that may be used once.
   *
   * @param expiresAt seconds since 1970 until which it is stored
   * @returns whether this was the first time, in all processes that share the store
   */
  once(value: string, expiresAt: number): Promise<boolean>;
  /** Closes files and connections. */
  close(): Promise<void>;
}

/** Maximum number of sessions with one term, such as those of one user. */
export const MAX_SESSIONS_PER_TERM = 100;

/** Returns the key under which a store has a text of any length, such as the id of a session: its hash. */
export function storeKey(id: string): string {
  return hash('sha256', id, 'base64url');
}

/** Calls a store. @throws OidcError `ERR_SESSION_STORE` (503) when it fails, or after two seconds */
export async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await answerInTime(call());
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
