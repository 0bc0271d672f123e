import { type CookieJar, cookiePrefix } from '../browser/cookies.ts';
import { OidcError } from '../errors.ts';
import { randomToken } from '../oauth/authorization-endpoint.ts';
import type { SessionKey } from '../oauth/dpop.ts';
import type { IdTokenClaims } from '../oauth/id-token.ts';
import type { CheckedOptions } from '../options/options.ts';
import { Seal } from './seal.ts';
import { SessionList } from './session-list.ts';
import { type SessionStore, type StoredSession, storeCall, storeKey } from './session-store.ts';

/** Content of a session: data about a signed-in user. The store has it encrypted. */
export interface SessionContent {
  readonly claims: IdTokenClaims;
  /** Claims of the userinfo endpoint, if the ID token of the sign-in lacked some. */
  readonly userinfo?: Readonly<Record<string, unknown>> | undefined;
  /** The encoded ID token. It is sent only with a logout, if the app chose that. */
  readonly idToken: string;
  readonly requestedScope: string;
  /** The `acr_values` that the sign-in requested, if any. */
  readonly requestedAcr?: string | undefined;
  /** Maximum age that the sign-in requested, in seconds. */
  readonly requestedMaxAge?: number | undefined;
  /** The API that the sign-in requested, if any. */
  readonly requestedAudience?: string | undefined;
  /** Token of the sign-in. Undefined after the authorization server refused to renew it. */
  readonly accessToken: AccessToken | undefined;
  readonly refreshToken: string | undefined;
  /** Tokens for fewer scopes or another API. The newest is last. */
  readonly otherAccessTokens?: readonly OtherAccessToken[] | undefined;
  /** Key that the tokens are bound to (RFC 9449). Undefined for bearer tokens. */
  readonly dpopKey?: SessionKey | undefined;
  /** Id of the login that opened the session, for `onMessage`. */
  readonly loginId: string;
}

/**
 * Access token of a session. The client does not read it, and knows only what was sent with it.
 *
 * @example
 * const { value, expiresAt } = await ctx.oidc.accessToken({ scope: 'read:orders' });
 */
export interface AccessToken {
  readonly value: string;
  /** Seconds since 1970; undefined when the authorization server did not say. */
  readonly expiresAt: number | undefined;
  /** Granted scopes, which may be fewer than the requested ones. */
  readonly scope: string;
  /** Requested scopes; empty when none were named. */
  readonly requestedScope: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
}

/** Access token in addition to the sign-in's. */
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

/** A shorter idle time is prolonged more often: after a tenth of it. */
const TOUCH_EVERY_SECONDS = 60;
/** A larger value is not in seconds but, for example, in milliseconds. */
const MAX_SESSION_EXPIRY = 1e10;
const SESSION_ID = /^[\w-]{43}$/;

/**
 * Sessions by a random 256-bit id in a cookie. The store's key is the id's hash, and the key that
 * opens a record is derived from the secret and the id: a copy of the store is no session, and together
 * with the secret still no token.
 */
export class Sessions {
  /** Finds and ends sessions without their cookies. */
  readonly list: SessionList;
  readonly #options: CheckedOptions;
  readonly #store: SessionStore;
  readonly #warn: (error: unknown) => void;
  readonly #seal: Seal;
  readonly #cookieName: string;

  /** @param warn receives failures that do not stop the request */
  constructor(options: CheckedOptions, store: SessionStore, warn: (error: unknown) => void) {
    this.#options = options;
    this.#store = store;
    this.#warn = warn;
    const { party, secrets, secureCookies, session } = options;
    this.#seal = new Seal(secrets, `session ${party}`);
    this.list = new SessionList(options, store);
    this.#cookieName = cookiePrefix(secureCookies) + session.name;
  }

  /** Returns the session of the cookie, and restarts its idle time. */
  async load(cookies: CookieJar): Promise<Session | undefined> {
    const id = cookies.get(this.#cookieName);
    if (!id || !SESSION_ID.test(id)) return undefined;
    const session = await this.#read(id);
    if (session) await this.#touch(session);
    return session;
  }

  /**
   * Begins a session under a new id.
   *
   * @param userAgent as the browser names itself
   * @param startedAt seconds since 1970 at which the sign-in began
   * @throws OidcError `ERR_ID_TOKEN` when its `session_expiry` has passed, `ERR_CODE_REFUSED` when the
   *   user signed out since the sign-in began
   */
  async open(
    cookies: CookieJar,
    content: SessionContent,
    userAgent = '',
    startedAt = this.#options.now() / 1000,
  ): Promise<Session> {
    const id = randomToken();
    const key = storeKey(id);
    const createdAt = this.#options.seconds();
    const expiresAt = this.#expiryOf({ createdAt, content });
    if (expiresAt <= createdAt) {
      throw new OidcError('ERR_ID_TOKEN', { detail: '"session_expiry" has passed' });
    }
    const sealed = this.#seal.seal({ createdAt, content } satisfies Sealed, id);
    const entry = this.list.entryOf(key, content.claims, { createdAt, userAgent });
    const isOpen = await storeCall(() =>
      this.#store.create(key, { sealed, expiresAt, startedAt, ...entry }),
    );
    if (!isOpen) {
      throw new OidcError('ERR_CODE_REFUSED', { detail: 'the user signed out after it began' });
    }
    // The store enforces the idle time, so the cookie need not be sent again with each answer.
    cookies.set(this.#cookieName, id, this.#options.session.absoluteDuration);
    return { id, version: 1, createdAt, expiresAt, content };
  }

  /** Returns the session as the store has it now, or undefined when it has ended. */
  reload(session: Session): Promise<Session | undefined> {
    return this.#read(session.id);
  }

  /**
   * Replaces the content, unless the session was changed or ended since it was read.
   *
   * @param fence fence of the caller's lease: nothing is saved if a later lease was given
   * @returns the session as saved, or undefined when nothing was
   */
  async save(
    session: Session,
    content: SessionContent,
    fence?: number,
  ): Promise<Session | undefined> {
    const { id, version, createdAt } = session;
    const expiresAt = this.#expiryOf({ createdAt, content });
    const sealed = this.#seal.seal({ createdAt, content } satisfies Sealed, id);
    const saved = await storeCall(() =>
      this.#store.update(storeKey(id), version, { sealed, expiresAt }, fence),
    );
    return saved ? { ...session, version: version + 1, expiresAt, content } : undefined;
  }

  /** Ends a session. @returns its last state, or undefined when it had ended before */
  async destroy({ id }: Session): Promise<Session | undefined> {
    const stored = await storeCall(() => this.#store.destroy(storeKey(id)));
    return stored && this.#unseal(stored, id);
  }

  /** Reports whether the browser sent a session's cookie. */
  hasCookie(cookies: CookieJar): boolean {
    return cookies.get(this.#cookieName) !== undefined;
  }

  /** Removes the cookie from the browser. */
  clearCookie(cookies: CookieJar): void {
    cookies.clear(this.#cookieName);
  }

  /**
   * Acquires the session's lease, which one caller holds at a time, over all processes.
   *
   * @returns the fence of the lease, or undefined if another caller has it or the session has ended
   */
  acquireLease({ id }: Session, milliseconds: number): Promise<number | undefined> {
    return storeCall(() => this.#store.acquire(storeKey(id), milliseconds));
  }

  /** Extends the lease from now. @returns whether it was still held with this fence */
  extendLease({ id }: Session, fence: number, milliseconds: number): Promise<boolean> {
    return storeCall(() => this.#store.extend(storeKey(id), fence, milliseconds));
  }

  releaseLease({ id }: Session, fence: number): Promise<void> {
    return storeCall(() => this.#store.release(storeKey(id), fence));
  }

  async #read(id: string): Promise<Session | undefined> {
    const stored = await storeCall(() => this.#store.read(storeKey(id)));
    if (!stored || stored.expiresAt <= this.#options.seconds()) return undefined;
    const session = this.#unseal(stored, id);
    return session && this.#endOf(session) > this.#options.seconds() ? session : undefined;
  }

  #unseal({ version, expiresAt, sealed }: StoredSession, id: string): Session | undefined {
    const opened = this.#seal.open(sealed, id) as Sealed | undefined;
    // With the option, no session goes on with tokens that anyone could use.
    if (!opened || (this.#options.dpop && !opened.content.dpopKey)) return undefined;
    return { id, version, expiresAt, ...opened };
  }

  async #touch(session: Session): Promise<void> {
    const expiresAt = this.#expiryOf(session);
    const { rollingDuration } = this.#options.session;
    if (expiresAt - session.expiresAt < Math.min(TOUCH_EVERY_SECONDS, rollingDuration / 10)) return;
    // If only reads succeed, the session is used, and ends a little early.
    await storeCall(() => this.#store.touch(storeKey(session.id), expiresAt)).catch(this.#warn);
  }

  #expiryOf(session: Sealed): number {
    return Math.min(
      this.#options.seconds() + this.#options.session.rollingDuration,
      this.#endOf(session),
    );
  }

  #endOf({ createdAt, content }: Sealed): number {
    return Math.min(
      createdAt + this.#options.session.absoluteDuration,
      issuerExpiry(content.claims),
    );
  }
}

interface Sealed {
  readonly createdAt: number;
  readonly content: SessionContent;
}

/** Returns the end that the issuer sets (IPSIE's `session_expiry`); ignored unless a time. */
function issuerExpiry({ session_expiry: value }: IdTokenClaims): number {
  const isTime = Number.isInteger(value) && Number(value) > 0 && Number(value) < MAX_SESSION_EXPIRY;
  return isTime ? Number(value) : Number.POSITIVE_INFINITY;
}
