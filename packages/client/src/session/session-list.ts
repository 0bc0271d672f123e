import { createHmac, hkdfSync } from 'node:crypto';
import { LOGIN_LIFETIME_SECONDS } from '../oauth/authorization-endpoint.ts';
import type { IdTokenClaims } from '../oauth/id-token.ts';
import type { CheckedOptions } from '../options/options.ts';
import { Seal } from './seal.ts';
import { type ListedSession, type SessionStore, storeCall, storeKey } from './session-store.ts';

/**
 * A session of a user, as the user may see it.
 *
 * @example
 * const others = (await ctx.oidc.sessions()).filter(({ current }) => !current);
 */
export interface UserSession {
  /** Argument of `endSession()`. It is not the id in the cookie. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /**
   * Seconds since 1970, to a minute. It is computed from the idle time that is left, so it no longer
   * changes once `expiresAt` is that of `absoluteDuration`.
   */
  readonly lastSeenAt: number;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** `User-Agent` header at the sign-in: untrusted text, 200 characters at most. */
  readonly userAgent: string | undefined;
  /** True for the session of this request. */
  readonly current: boolean;
}

type SessionClaims = Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>;

/** The session of a request. */
interface CurrentSession {
  readonly id: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly content: { readonly claims: SessionClaims };
}

/** Term that finds sessions: by user, or by session at the issuer. */
export type Term = readonly [kind: 'sub' | 'sid', iss: string, value: string];

interface SessionDetails {
  readonly createdAt: number;
  readonly userAgent: string;
  /** Term whose end is recorded when its user ends the session. */
  readonly term: Term | undefined;
}

/** Seconds for which an end is recorded: longer than a sign-in takes. */
const END_RECORDED_SECONDS = LOGIN_LIFETIME_SECONDS + 60;
const MAX_USER_AGENT_LENGTH = 200;
const PUBLIC_ID_LENGTH = 16;

/**
 * Finds sessions without their cookies: those of one user, and those that began with one session at
 * the issuer.
 *
 * A store sees no names: each term is an HMAC under a key that is derived from a secret.
 */
export class SessionList {
  readonly #store: Pick<SessionStore, 'list' | 'destroy' | 'destroyAll' | 'recordEnd'>;
  /** Unlike a session's content, this opens without the cookie. */
  readonly #seal: Seal;
  readonly #termKeys: readonly Buffer[];
  readonly #rollingDuration: number;
  readonly #now: () => number;

  constructor(
    { secrets, party, session, now }: CheckedOptions,
    store: Pick<SessionStore, 'list' | 'destroy' | 'destroyAll' | 'recordEnd'>,
  ) {
    this.#store = store;
    this.#seal = new Seal(secrets, `about a session ${party}`);
    const info = `koa-oauth session term ${party}`;
    this.#termKeys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', info, 32)));
    this.#rollingDuration = session.rollingDuration;
    this.#now = now;
  }

  /** Returns the terms and the details that a new session is stored with. */
  entryOf(
    key: string,
    claims: SessionClaims,
    { createdAt, userAgent }: Pick<SessionDetails, 'createdAt' | 'userAgent'>,
  ): { about: string; terms: string[] } {
    const terms = termsOf(claims);
    // Control and format characters could change what a page about the sessions shows.
    const visible = [...userAgent.replace(/\p{C}/gu, '')].slice(0, MAX_USER_AGENT_LENGTH).join('');
    const details: SessionDetails = { createdAt, userAgent: visible, term: terms.at(-1) };
    return {
      about: this.#seal.seal(details, key),
      terms: terms.flatMap((term) => this.#hashesOf(term).slice(0, 1)),
    };
  }

  /** Returns the sessions of the user of this session, newest first. This session is always in it. */
  async listFor(session: CurrentSession): Promise<UserSession[]> {
    const currentKey = storeKey(session.id);
    const listed = (await this.#find(userTerm(session))).flatMap((found) => {
      const details = this.#openDetails(found);
      return details ? [this.#toUserSession(found, details, currentKey)] : [];
    });
    // After a secret was removed, the session is stored under a term that is no longer computed.
    if (!listed.some(({ current }) => current)) {
      const { createdAt, expiresAt } = session;
      const unlisted = { key: currentKey, expiresAt };
      listed.push(this.#toUserSession(unlisted, { createdAt, userAgent: '' }, currentKey));
    }
    return listed.sort((a, b) => b.createdAt - a.createdAt);
  }

  /** Ends one session of the user of this session. @returns how many ended */
  async endOne(current: CurrentSession, id: string): Promise<number> {
    const session = (await this.#find(userTerm(current))).find(({ key }) => publicId(key) === id);
    const details = session && this.#openDetails(session);
    if (!details) return 0;
    if (details.term) await this.#recordEnd(this.#hashesOf(details.term));
    return (await storeCall(() => this.#store.destroy(session.key))) ? 1 : 0;
  }

  /** Ends all sessions of the user except the current one. @returns how many */
  endOthers(current: CurrentSession): Promise<number> {
    return this.endAll(userTerm(current), storeKey(current.id));
  }

  /**
   * Ends all sessions with a term. A sign-in that began before opens no session after it.
   *
   * @returns how many
   */
  async endAll(term: Term, exceptKey?: string): Promise<number> {
    const hashes = this.#hashesOf(term);
    await this.#recordEnd(hashes);
    const ended = await Promise.all(
      hashes.map((hash) => storeCall(() => this.#store.destroyAll(hash, exceptKey))),
    );
    return ended.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Records that sessions ended now. A sign-in that began before then opens no session if it has the same
   * `sid` or, without a `sid`, the same user.
   */
  async recordEnd(claims: SessionClaims): Promise<void> {
    const term = termsOf(claims).at(-1);
    if (term) await this.#recordEnd(this.#hashesOf(term));
  }

  async #recordEnd(hashes: readonly string[]): Promise<void> {
    const endedAt = this.#now() / 1000;
    const until = Math.ceil(endedAt) + END_RECORDED_SECONDS;
    await Promise.all(
      hashes.map((hash) => storeCall(() => this.#store.recordEnd(hash, endedAt, until))),
    );
  }

  async #find(term: Term): Promise<ListedSession[]> {
    const lists = await Promise.all(
      this.#hashesOf(term).map((each) => storeCall(() => this.#store.list(each))),
    );
    return lists.flat();
  }

  #openDetails({ key, about }: ListedSession): SessionDetails | undefined {
    return this.#seal.open(about, key) as SessionDetails | undefined;
  }

  #toUserSession(
    { key, expiresAt }: Pick<ListedSession, 'key' | 'expiresAt'>,
    { createdAt, userAgent }: Pick<SessionDetails, 'createdAt' | 'userAgent'>,
    currentKey: string,
  ): UserSession {
    return {
      id: publicId(key),
      createdAt,
      lastSeenAt: Math.max(createdAt, expiresAt - this.#rollingDuration),
      expiresAt,
      userAgent: userAgent || undefined,
      current: key === currentKey,
    };
  }

  /** All terms under which a session may be stored: one for each secret. */
  #hashesOf(term: Term): string[] {
    // JSON keeps the parts apart: no two terms are one text.
    const text = JSON.stringify(term);
    return this.#termKeys.map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  }
}

/** Returns the term of the user and, if the issuer names its session, that of the session. */
function termsOf({ iss, sub, sid }: SessionClaims): Term[] {
  const terms: Term[] = [['sub', iss, sub]];
  if (typeof sid === 'string' && sid !== '') terms.push(['sid', iss, sid]);
  return terms;
}

function userTerm({ content: { claims } }: CurrentSession): Term {
  return ['sub', claims.iss, claims.sub];
}

/** Returns the `id` under which a session is listed. */
export function listedId({ id }: Pick<CurrentSession, 'id'>): string {
  return publicId(storeKey(id));
}

/** Returns a part of the store's key. The key is a hash, so the cookie cannot be derived from it. */
function publicId(key: string): string {
  return key.slice(0, PUBLIC_ID_LENGTH);
}
