import { createHash } from 'node:crypto';
import { type CookieJar, cookiePrefix } from '../browser/cookies.ts';
import { OidcError } from '../errors.ts';
import type { FlowStep } from '../login/flow-record.ts';
import { randomToken } from '../oauth/authorization-request.ts';
import type { IdTokenClaims } from '../oauth/id-token.ts';
import type { Seal } from './seal.ts';
import { createSessionList, type SessionTerms, type UserSession } from './session-list.ts';
import { reached, type SessionStore, type StoredSession } from './session-store.ts';

/** What is known of a user who signed in. Sealed at rest. */
export interface SessionContent {
  readonly claims: IdTokenClaims;
  /** As it came. It goes nowhere from here. */
  readonly idToken: string;
  readonly requestedScope: string;
  /** The `acr_values` that the sign-in asked for, if any. */
  readonly requestedAcr?: string | undefined;
  /** The API that the sign-in asked for, if it named one. */
  readonly requestedAudience?: string | undefined;
  /** The sign-in's own; undefined once the authorization server refused to renew it. */
  readonly accessToken: AccessToken | undefined;
  readonly refreshToken: string | undefined;
  /** For fewer scopes or another API than the sign-in's; the newest last. */
  readonly otherAccessTokens?: readonly OtherAccessToken[] | undefined;
  /** What was sent and received for it, secrets masked, where that is recorded. */
  readonly flow?: readonly FlowStep[] | undefined;
}

/** An access token: opaque to the client, which only knows what it was told with it. */
export interface AccessToken {
  readonly value: string;
  /** Seconds since 1970; undefined when the authorization server did not say. */
  readonly expiresAt: number | undefined;
  /** What was granted, which may be less than what was asked for. */
  readonly scope: string;
  /** What was asked for; empty when nothing was named. */
  readonly requestedScope: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
}

/** An access token beside the sign-in's. */
export interface OtherAccessToken extends AccessToken {
  /** The API it is for; undefined when it is the sign-in's. */
  readonly audience: string | undefined;
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
  /**
   * Begins a session under a new id.
   *
   * @param userAgent as the browser names itself
   * @throws OidcError `ERR_ID_TOKEN` when its `session_expiry` has passed
   */
  open(cookies: CookieJar, content: SessionContent, userAgent?: string): Promise<Session>;
  /** The session as the store has it by now, or undefined when it has ended. */
  reload(session: Session): Promise<Session | undefined>;
  /**
   * @param fence of a lease, without which nothing is saved once the lease was given to another
   * @returns the session as saved, or undefined when it changed or ended meanwhile
   */
  save(session: Session, content: SessionContent, fence?: number): Promise<Session | undefined>;
  /**
   * Takes the session's lease, which one caller holds at a time, over all processes.
   *
   * @returns its fence, or undefined when another holds it or the session has ended
   */
  acquire(session: Session, milliseconds: number): Promise<number | undefined>;
  /** @returns whether the lease was still held, and is from now on for that much longer */
  extend(session: Session, fence: number, milliseconds: number): Promise<boolean>;
  release(session: Session, fence: number): Promise<void>;
  /** @returns the session as it was at its end, or undefined when it had ended before */
  destroy(session: Session): Promise<Session | undefined>;
  /** Takes the cookie out of the browser. */
  forget(cookies: CookieJar): void;
  /** The sessions of this session's user, newest first. */
  listOf(session: Session): Promise<UserSession[]>;
  /**
   * Ends the session of that `id` in `listOf`, if it is the same user's.
   *
   * @returns whether one ended
   */
  end(session: Session, id: string): Promise<boolean>;
  /** Ends all sessions of this session's user but this one. @returns how many */
  endOthers(session: Session): Promise<number>;
  /** Ends what began with this session at the issuer. @returns how many */
  endBySid(iss: string, sid: string): Promise<number>;
  /** Ends all sessions of a user. @returns how many */
  endBySub(iss: string, sub: string): Promise<number>;
}

interface SessionsOptions {
  store: SessionStore;
  /** Of the content. */
  seal: Seal;
  /** Of what a user may know of one session from another. */
  aboutSeal: Seal;
  terms: SessionTerms;
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
/** A later time is no time in seconds: one in milliseconds, say. */
const LATEST = 1e10;
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
  const end = ({ createdAt, content }: Sealed) =>
    Math.min(createdAt + absoluteDuration, issuersEnd(content.claims));
  const expiry = (session: Sealed) => Math.min(seconds() + rollingDuration, end(session));
  const asking = ({ id, content }: Session) => ({ key: storeKey(id), claims: content.claims });
  const list = createSessionList({
    store,
    seal: options.aboutSeal,
    terms: options.terms,
    rollingDuration,
  });

  async function read(id: string): Promise<Session | undefined> {
    const stored = await reached(() => store.read(storeKey(id)));
    if (!stored || stored.expiresAt <= seconds()) return undefined;
    const session = await opened(stored, id);
    return session && end(session) > seconds() ? session : undefined;
  }

  async function opened(stored: StoredSession, id: string): Promise<Session | undefined> {
    const { version, expiresAt, sealed } = stored;
    const content = (await seal.open(sealed, id)) as Sealed | undefined;
    return content && { id, version, expiresAt, ...content };
  }

  async function touch(session: Session): Promise<void> {
    const expiresAt = expiry(session);
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

    async open(cookies, content, userAgent = '') {
      const id = randomToken();
      const key = storeKey(id);
      const createdAt = seconds();
      const expiresAt = expiry({ createdAt, content });
      if (expiresAt <= createdAt) {
        throw new OidcError('ERR_ID_TOKEN', { detail: '"session_expiry" has passed' });
      }
      const [sealed, about] = await Promise.all([
        seal.seal({ createdAt, content } satisfies Sealed, id),
        list.about(key, { createdAt, userAgent }),
      ]);
      const terms = options.terms.of(content.claims);
      await reached(() => store.create(key, { sealed, about, expiresAt, terms }));
      // The store minds the idle time, so the cookie need not be sent again with each answer.
      cookies.set(cookieName, id, absoluteDuration);
      return { id, version: 1, createdAt, expiresAt, content };
    },

    reload: (session) => read(session.id),

    async save(session, content, fence) {
      const { id, version, createdAt } = session;
      const expiresAt = expiry({ createdAt, content });
      const sealed = await seal.seal({ createdAt, content } satisfies Sealed, id);
      const saved = await reached(() =>
        store.update(storeKey(id), version, { sealed, expiresAt }, fence),
      );
      return saved ? { ...session, version: version + 1, expiresAt, content } : undefined;
    },

    async destroy({ id }) {
      const stored = await reached(() => store.destroy(storeKey(id)));
      return stored && opened(stored, id);
    },

    acquire: ({ id }, milliseconds) => reached(() => store.acquire(storeKey(id), milliseconds)),

    extend: ({ id }, fence, milliseconds) =>
      reached(() => store.extend(storeKey(id), fence, milliseconds)),

    release: ({ id }, fence) => reached(() => store.release(storeKey(id), fence)),

    forget: (cookies) => cookies.clear(cookieName),

    listOf: (session) => list.of(asking(session)),

    end: (session, id) => list.end(asking(session), id),

    endOthers: (session) => list.endOthers(asking(session)),

    endBySid: (iss, sid) => list.endAll(['sid', iss, sid]),

    endBySub: (iss, sub) => list.endAll(['sub', iss, sub]),
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

/** When the issuer wants the session to end (IPSIE's `session_expiry`); what is no time is none. */
function issuersEnd({ session_expiry: value }: IdTokenClaims): number {
  const isTime = Number.isInteger(value) && Number(value) > 0 && Number(value) < LATEST;
  return isTime ? Number(value) : Number.POSITIVE_INFINITY;
}
