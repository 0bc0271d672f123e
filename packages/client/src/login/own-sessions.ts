import type { CookieJar } from '../browser/cookies.ts';
import type { EmitClientEvent, SessionEndReason } from '../events.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { UserSession } from '../session/session-list.ts';
import type { Grants } from './grant.ts';

/** What a user may do about their own sessions, in all browsers. */
export interface OwnSessions {
  /** Newest first. */
  list(session: Session): Promise<UserSession[]>;
  /**
   * Ends one of them, by its `id` in the list.
   *
   * @returns what ended: `current` is the one that asks; undefined when it was none of the user's
   */
  end(cookies: CookieJar, session: Session, id: string): Promise<'current' | 'other' | undefined>;
  /** Ends all but the one that asks. @returns how many */
  endOthers(session: Session): Promise<number>;
}

interface OwnSessionsOptions {
  sessions: Pick<Sessions, 'listOf' | 'end' | 'endOthers' | 'forget'>;
  endSession: EndSession;
  emit: EmitClientEvent;
}

export function createOwnSessions(options: OwnSessionsOptions): OwnSessions {
  const { sessions, endSession, emit } = options;
  const tell = (ended: number): void => {
    if (ended > 0) emit({ type: 'session_ended', reason: 'by_user', sessions: ended });
  };

  return {
    list: (session) => sessions.listOf(session),

    async end(cookies, session, id) {
      const all = await sessions.listOf(session);
      if (all.some((each) => each.current && each.id === id)) {
        await endSession(session, 'by_user');
        sessions.forget(cookies);
        return 'current';
      }
      if (!(await sessions.end(session, id))) return undefined;
      tell(1);
      return 'other';
    },

    async endOthers(session) {
      const ended = await sessions.endOthers(session);
      tell(ended);
      return ended;
    },
  };
}

/** Ends a session here, and its refresh token at the authorization server. */
export type EndSession = (session: Session, reason: SessionEndReason) => Promise<void>;

interface EndSessionOptions {
  sessions: Pick<Sessions, 'destroy'>;
  grants: Pick<Grants, 'revoke'>;
  /** Told of a revocation that failed, which stops nobody. */
  onWarning: (error: Error) => void;
  emit: EmitClientEvent;
}

export function createEndSession(options: EndSessionOptions): EndSession {
  const { sessions, grants, onWarning, emit } = options;

  return async function endSession(session, reason) {
    // A request beside this one may have renewed the token since the session was read.
    const ended = await sessions.destroy(session);
    if (ended) emit({ type: 'session_ended', reason, sessions: 1 });
    const { refreshToken } = (ended ?? session).content;
    if (refreshToken) await grants.revoke(refreshToken).catch(onWarning);
  };
}
