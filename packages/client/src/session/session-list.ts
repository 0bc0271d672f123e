import { createHmac, hkdfSync } from 'node:crypto';
import { OidcError } from '../errors.ts';
import type { IdTokenClaims } from '../oauth/id-token.ts';
import { Seal } from './seal.ts';
import { type ListedSession, type SessionStore, storeCall, storeKey } from './session-store.ts';

/**
 * A session of a user, as its user may see it.
 *
 * @example
 * const others = (await ctx.oidc.sessions()).filter(({ current }) => !current);
 */
export interface UserSession {
  /** Names the session to `end`, and opens nothing. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /**
   * Seconds since 1970, to a minute. It follows from the idle time that is left, so it stands still
   * once the session's end is near.
   */
  readonly lastSeenAt: number;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** `User-Agent` header at the sign-in: untrusted text, 200 characters at most. */
  readonly userAgent: string | undefined;
  /** True for the session of this request. */
  readonly current: boolean;
}

/** The session of the user who asks. */
interface AskingSession {
  readonly id: string;
  readonly content: { readonly claims: Pick<IdTokenClaims, 'iss' | 'sub'> };
}

/** Term that finds sessions: by user, or by session at the issuer. */
export type Term = readonly [kind: 'sub' | 'sid', iss: string, value: string];

interface SessionDetails {
  readonly createdAt: number;
  readonly userAgent: string;
}

/** Seconds for which an end is remembered: longer than a sign-in takes. */
const END_REMEMBERED_SECONDS = 660;
const MAX_END_ATTEMPTS = 5;
const MAX_USER_AGENT_LENGTH = 200;
const HANDLE_LENGTH = 16;

/**
 * Finds sessions without their cookies: those of one user, and those that began with one session at
 * the issuer.
 *
 * A store sees no names: each term is an HMAC under a key that is derived from a secret.
 */
export class SessionList {
  readonly #store: Pick<SessionStore, 'create' | 'read' | 'update' | 'list' | 'destroy'>;
  /** Unlike a session's content, this opens without the cookie. */
  readonly #seal: Seal;
  readonly #termKeys: readonly Buffer[];
  readonly #rollingDuration: number;
  readonly #now: () => number;

  constructor(
    store: Pick<SessionStore, 'create' | 'read' | 'update' | 'list' | 'destroy'>,
    {
      secrets,
      rollingDuration,
      now,
    }: { secrets: readonly string[]; rollingDuration: number; now: () => number },
  ) {
    this.#now = now;
    this.#store = store;
    this.#seal = new Seal(secrets, 'about a session');
    this.#termKeys = secrets.map((secret) =>
      Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth session term', 32)),
    );
    this.#rollingDuration = rollingDuration;
  }

  /** Returns the terms and the details that a new session is stored with. */
  entryOf(
    key: string,
    claims: Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>,
    { createdAt, userAgent }: SessionDetails,
  ): { about: string; terms: string[] } {
    const terms = termsOf(claims);
    // Control and format characters could change what a page about the sessions shows.
    const visible = [...userAgent.replace(/\p{C}/gu, '')].slice(0, MAX_USER_AGENT_LENGTH).join('');
    const details: SessionDetails = { createdAt, userAgent: visible };
    return {
      about: this.#seal.seal(details, key),
      terms: terms.flatMap((term) => this.#hashesOf(term).slice(0, 1)),
    };
  }

  /** Returns the sessions of the user who asks, newest first. */
  async listFor(asking: AskingSession): Promise<UserSession[]> {
    const currentKey = storeKey(asking.id);
    const sessions = await this.#find(userTerm(asking));
    return sessions
      .map((session) => this.#show(session, currentKey))
      .filter((session) => session !== undefined)
      .sort((a, b) => b.createdAt - a.createdAt);
  }

  /** Ends one session of the user who asks. @returns how many ended */
  async endOne(asking: AskingSession, id: string): Promise<number> {
    const sessions = await this.#find(userTerm(asking));
    return this.#destroy(sessions.filter(({ key }) => handleOf(key) === id));
  }

  /** Ends all sessions of the user but the one that asks. @returns how many */
  endOthers(asking: AskingSession): Promise<number> {
    return this.endAll(userTerm(asking), storeKey(asking.id));
  }

  /**
   * Ends all sessions with a term, and those to come whose sign-in has begun before.
   *
   * @returns how many
   */
  async endAll(term: Term, exceptKey?: string): Promise<number> {
    let total = 0;
    await this.#rememberEnd(term);
    // A store lists a part of the sessions at a time.
    for (;;) {
      const sessions = (await this.#find(term)).filter(({ key }) => key !== exceptKey);
      const ended = await this.#destroy(sessions);
      total += ended;
      if (ended === 0) return total;
    }
  }

  /** Reports whether sessions with these claims were ended after a sign-in began. */
  async wereEnded(
    claims: Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>,
    startedAt: number,
  ): Promise<boolean> {
    const keys = termsOf(claims).flatMap((term) => this.#hashesOf(term).map(endKey));
    const ends = await Promise.all(
      keys.map(async (key) => {
        const end = await storeCall(() => this.#store.read(key));
        return end && (this.#seal.open(end.sealed, key) as number | undefined);
      }),
    );
    return ends.some((endedAt) => endedAt !== undefined && startedAt < endedAt);
  }

  // The end is a record like that of a session, which no cookie names and no list contains. Of several
  // writers each tries again with a later time: an end that is not stored must not look like a logout.
  async #rememberEnd(term: Term): Promise<void> {
    const [hash = ''] = this.#hashesOf(term);
    const key = endKey(hash);
    let cause: unknown;
    for (let attempt = 0; attempt < MAX_END_ATTEMPTS; attempt += 1) {
      const endedAt = this.#now() / 1000;
      const record = {
        sealed: this.#seal.seal(endedAt, key),
        expiresAt: Math.ceil(endedAt) + END_REMEMBERED_SECONDS,
      };
      const before = await storeCall(() => this.#store.read(key));
      try {
        if (!before) {
          await storeCall(() => this.#store.create(key, { ...record, about: '', terms: [] }));
          return;
        }
        if (await storeCall(() => this.#store.update(key, before.version, record))) return;
      } catch (error) {
        // Another process can have created it at the same time.
        cause = error;
      }
    }
    const detail = 'the end of the sessions was not stored';
    throw new OidcError('ERR_SESSION_STORE', { detail, cause });
  }

  async #find(term: Term): Promise<ListedSession[]> {
    const lists = await Promise.all(
      this.#hashesOf(term).map((each) => storeCall(() => this.#store.list(each))),
    );
    return lists.flat();
  }

  async #destroy(sessions: readonly ListedSession[]): Promise<number> {
    const ended = await Promise.all(
      sessions.map(({ key }) => storeCall(() => this.#store.destroy(key))),
    );
    return ended.filter((session) => session !== undefined).length;
  }

  #show({ key, about, expiresAt }: ListedSession, currentKey: string): UserSession | undefined {
    const details = this.#seal.open(about, key) as SessionDetails | undefined;
    return (
      details && {
        id: handleOf(key),
        createdAt: details.createdAt,
        lastSeenAt: Math.max(details.createdAt, expiresAt - this.#rollingDuration),
        expiresAt,
        userAgent: details.userAgent || undefined,
        current: key === currentKey,
      }
    );
  }

  /** All terms under which a session may be stored: one for each secret. */
  #hashesOf(term: Term): string[] {
    // JSON keeps the parts apart: no two terms are one text.
    const text = JSON.stringify(term);
    return this.#termKeys.map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  }
}

function termsOf({ iss, sub, sid }: Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>): Term[] {
  const terms: Term[] = [['sub', iss, sub]];
  if (typeof sid === 'string' && sid !== '') terms.push(['sid', iss, sid]);
  return terms;
}

function endKey(term: string): string {
  return storeKey(`end ${term}`);
}

function userTerm({ content: { claims } }: AskingSession): Term {
  return ['sub', claims.iss, claims.sub];
}

/** Returns a part of the store's key, a hash: the cookie cannot be derived from it. */
function handleOf(key: string): string {
  return key.slice(0, HANDLE_LENGTH);
}
