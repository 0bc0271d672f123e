import { createHash } from 'node:crypto';
import { type CookieJar, cookiePrefix } from './cookies.ts';
import { OidcError } from './errors.ts';
import type { IdTokenClaims } from './id-token.ts';
import { randomToken } from './random-token.ts';
import type { Seal } from './seal.ts';
import type { SessionStore, StoredSession } from './session-store.ts';

/** What is known of a user who signed in. Sealed at rest. */
export interface SessionContent {
  readonly claims: IdTokenClaims;
  /** As it came. It goes nowhere from here. */
  readonly idToken: string;
  readonly requestedScope: string;
  /** Undefined once the authorization server refused to renew it. */
  readonly accessToken: AccessToken | undefined;
  readonly refreshToken: string | undefined;
}

/** An access token: opaque to the client, which only knows what it was told with it. */
export interface AccessToken {
  readonly value: string;
  /** Seconds since 1970; undefined when the authorization server did not say. */
  readonly expiresAt: number | undefined;
  /** What was granted, which may be less than what was asked for. */
  readonly scope: string;
}

/** A session as one request sees it. */
export interface Session {
  /** The secret in the cookie. */
  readonly id: string;
  readonly version: number;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly content: SessionContent;
}

export interface Sessions {
  /** The session that a request's cookie names, its idle time begun anew. */
  load(cookies: CookieJar): Promise<Session | undefined>;
  /** Begins a session under a new id. */
  open(cookies: CookieJar, content: SessionContent): Promise<Session>;
  /** The session as the store has it by now, or undefined when it has ended. */
  reload(session: Session): Promise<Session | undefined>;
  /** @returns the session as saved, or undefined when it changed or ended meanwhile */
  save(session: Session, content: SessionContent): Promise<Session | undefined>;
  /** @returns the session as it was at its end, or undefined when it had ended before */
  destroy(session: Session): Promise<Session | undefined>;
  /** Takes the cookie out of the browser. */
  forget(cookies: CookieJar): void;
}

interface SessionsOptions {
  store: SessionStore;
  seal: Seal;
  secure: boolean;
  cookieName: string;
  /** Seconds without a request after which a session ends. */
  rollingDuration: number;
  /** Seconds after the sign-in at which a session ends in any case. */
  absoluteDuration: number;
  /** Milliseconds since 1970. */
  now: () => number;
  onWarning: (error: OidcError) => void;
}

const TOUCH_EVERY = 60;
const ID = /^[\w-]{43}$/;

/**
 * Sessions by a random 256-bit id in a cookie. The store's key is the id's hash, and the key that
 * opens a record is derived from the secret and the id: a copy of the store gives nobody a session,
 * and with the secret beside it nobody a token.
 */
export function createSessions(options: SessionsOptions): Sessions {
  const { store, seal, secure, rollingDuration, absoluteDuration, now, onWarning } = options;
  const cookieName = cookiePrefix(secure) + options.cookieName;
  const seconds = () => Math.floor(now() / 1000);
  const expiry = (createdAt: number) =>
    Math.min(seconds() + rollingDuration, createdAt + absoluteDuration);

  async function read(id: string): Promise<Session | undefined> {
    const stored = await reached(() => store.read(storeKey(id)));
    if (!stored || stored.expiresAt <= seconds()) return undefined;
    const session = await opened(stored, id);
    return session && session.createdAt + absoluteDuration > seconds() ? session : undefined;
  }

  async function opened(stored: StoredSession, id: string): Promise<Session | undefined> {
    const { version, expiresAt, sealed } = stored;
    const content = (await seal.open(sealed, id)) as Sealed | undefined;
    return content && { id, version, expiresAt, ...content };
  }

  async function touch(session: Session): Promise<void> {
    const expiresAt = expiry(session.createdAt);
    if (expiresAt - session.expiresAt < TOUCH_EVERY) return;
    // A store that can still be read serves a session; it merely ends a little early.
    await reached(() => store.touch(storeKey(session.id), expiresAt)).catch(onWarning);
  }

  return {
    async load(cookies) {
      const id = cookies.get(cookieName);
      if (!id || !ID.test(id)) return undefined;
      const session = await read(id);
      if (session) await touch(session);
      return session;
    },

    async open(cookies, content) {
      const id = randomToken();
      const createdAt = seconds();
      const expiresAt = expiry(createdAt);
      const sealed = await seal.seal({ createdAt, content } satisfies Sealed, id);
      await reached(() => store.create(storeKey(id), { sealed, expiresAt }));
      // The store minds the idle time, so the cookie need not be sent again with each answer.
      cookies.set(cookieName, id, absoluteDuration);
      return { id, version: 1, createdAt, expiresAt, content };
    },

    reload: (session) => read(session.id),

    async save(session, content) {
      const { id, version, createdAt } = session;
      const expiresAt = expiry(createdAt);
      const sealed = await seal.seal({ createdAt, content } satisfies Sealed, id);
      const saved = await reached(() => store.update(storeKey(id), version, { sealed, expiresAt }));
      return saved ? { ...session, version: version + 1, expiresAt, content } : undefined;
    },

    async destroy({ id }) {
      const stored = await reached(() => store.destroy(storeKey(id)));
      return stored && opened(stored, id);
    },

    forget: (cookies) => cookies.clear(cookieName),
  };
}

interface Sealed {
  readonly createdAt: number;
  readonly content: SessionContent;
}

/** The key under which a store keeps a session. */
export function storeKey(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}

async function reached<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new OidcError('ERR_SESSION_STORE', { detail: 'the session store failed', cause });
  }
}
