import type { CookieJar } from '../browser/cookies.ts';
import type { EmitClientEvent } from '../events.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { UserSession } from '../session/session-list.ts';
import type { EndSession } from './end-session.ts';

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
