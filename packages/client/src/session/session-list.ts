import { createHmac, hkdfSync } from 'node:crypto';
import type { IdTokenClaims } from '../oauth/id-token.ts';
import type { Seal } from './seal.ts';
import { type ListedSession, reached, type SessionStore } from './session-store.ts';

/** A session of a user, as its user may see it. */
export interface UserSession {
  /** Names the session to `end`, and opens nothing. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /**
   * Seconds since 1970, to a minute. It is told from the idle time that is left, so it stands still
   * once the session's end is near.
   */
  readonly lastSeenAt: number;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** As the browser named itself when it signed in: hostile text, 200 characters at most. */
  readonly userAgent: string | undefined;
  /** Whether it is the one that asks. */
  readonly current: boolean;
}

/** Sessions of a user by what they have in common. */
export interface SessionList {
  /** What is kept of a session for this list, encrypted. */
  about(key: string, session: { createdAt: number; userAgent: string }): Promise<string>;
  /** The sessions of the user who asks, newest first. */
  of(asking: Asking): Promise<UserSession[]>;
  /** @returns whether one ended; nothing happens to a session of another user */
  end(asking: Asking, id: string): Promise<boolean>;
  /** Ends all but the one that asks. @returns how many */
  endOthers(asking: Asking): Promise<number>;
  /** @returns how many ended */
  endAll(term: Term): Promise<number>;
}

/** The session in whose name something is asked for. */
interface Asking {
  readonly key: string;
  readonly claims: Pick<IdTokenClaims, 'iss' | 'sub'>;
}

interface About {
  readonly createdAt: number;
  readonly userAgent: string;
}

interface SessionListOptions {
  store: Pick<SessionStore, 'list' | 'destroy'>;
  /** Of a purpose of its own: unlike a session's content, this opens without the cookie. */
  seal: Seal;
  terms: SessionTerms;
  /** Seconds without a request after which a session ends. */
  rollingDuration: number;
}

const MAX_USER_AGENT = 200;
const HANDLE_LENGTH = 16;

export function createSessionList(options: SessionListOptions): SessionList {
  const { store, seal, terms, rollingDuration } = options;
  const ofUser = ({ claims }: Asking): Term => ['sub', claims.iss, claims.sub];

  async function listed(term: Term): Promise<ListedSession[]> {
    const lists = await Promise.all(
      terms.lookUp(term).map((each) => reached(() => store.list(each))),
    );
    return lists.flat();
  }

  async function destroy(sessions: readonly ListedSession[]): Promise<number> {
    const ended = await Promise.all(sessions.map(({ key }) => reached(() => store.destroy(key))));
    return ended.filter((session) => session !== undefined).length;
  }

  /** A store lists a part of them at a time. */
  async function endAll(term: Term, keptKey?: string): Promise<number> {
    let total = 0;
    for (;;) {
      const sessions = (await listed(term)).filter(({ key }) => key !== keptKey);
      const ended = await destroy(sessions);
      total += ended;
      if (ended === 0) return total;
    }
  }

  async function shown(listed: ListedSession, currentKey: string) {
    const { key, expiresAt } = listed;
    const about = (await seal.open(listed.about, key)) as About | undefined;
    if (!about) return [];
    const { createdAt, userAgent } = about;
    const session: UserSession = {
      id: handle(key),
      createdAt,
      lastSeenAt: Math.max(createdAt, expiresAt - rollingDuration),
      expiresAt,
      userAgent: userAgent || undefined,
      current: key === currentKey,
    };
    return [session];
  }

  return {
    about: (key, { createdAt, userAgent }) =>
      seal.seal({ createdAt, userAgent: printable(userAgent) } satisfies About, key),

    async of(asking) {
      const sessions = await listed(ofUser(asking));
      const all = await Promise.all(sessions.map((session) => shown(session, asking.key)));
      return all.flat().sort((a, b) => b.createdAt - a.createdAt);
    },

    async end(asking, id) {
      const sessions = await listed(ofUser(asking));
      return (await destroy(sessions.filter(({ key }) => handle(key) === id))) > 0;
    },

    endOthers: (asking) => endAll(ofUser(asking), asking.key),

    endAll: (term) => endAll(term),
  };
}

/** A part of the store's key, which is a hash: whoever knows it can't come by the cookie. */
function handle(key: string): string {
  return key.slice(0, HANDLE_LENGTH);
}

/** Without what steers a terminal, a log or the direction of the text around it. */
function printable(text: string): string {
  return [...text.replace(/\p{C}/gu, '')].slice(0, MAX_USER_AGENT).join('');
}

/** Where a session is found again: by its user, and by its session at the issuer. */
export type Term = readonly [kind: 'sub' | 'sid', iss: string, value: string];

export interface SessionTerms {
  /** What a new session is kept under. */
  of(claims: Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>): string[];
  /** All under which a session may have been kept: one for each secret. */
  lookUp(term: Term): string[];
}

/**
 * Terms that show a store no name: each is an HMAC under a key that is derived from a secret.
 *
 * @param secrets newest first
 */
export function createSessionTerms(secrets: readonly string[]): SessionTerms {
  const keys = secrets.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth session term', 32)),
  );
  const lookUp = (term: Term): string[] => {
    // JSON keeps the parts apart: no two terms are one text.
    const text = JSON.stringify(term);
    return keys.map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  };

  return {
    of({ iss, sub, sid }) {
      const terms: Term[] = [['sub', iss, sub]];
      if (typeof sid === 'string' && sid !== '') terms.push(['sid', iss, sid]);
      return terms.flatMap((term) => lookUp(term).slice(0, 1));
    },
    lookUp,
  };
}
