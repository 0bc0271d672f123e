import type { CookieJar } from '../browser/cookies.ts';
import type { ClientContext } from '../client-context.ts';
import type { SessionEndReason } from '../events.ts';
import type { Session } from '../session/session.ts';
import type { UserSession } from '../session/session-list.ts';

/** Ends sessions in the name of their user, in this browser and in others. */
export class OwnSessions {
  readonly #context: ClientContext;

  constructor(context: ClientContext) {
    this.#context = context;
  }

  /** Returns the sessions of this session's user, newest first. */
  list(session: Session): Promise<UserSession[]> {
    return this.#context.sessions.list.listFor(session);
  }

  /** Ends a session here, and its refresh token at the authorization server. */
  async endSession(session: Session, reason: SessionEndReason): Promise<void> {
    const { sessions, grants, emit, warn } = this.#context;
    // A concurrent request may have renewed the token since the session was read.
    const ended = await sessions.destroy(session);
    if (ended) emit({ type: 'session_ended', reason, sessions: 1 });
    const { refreshToken } = (ended ?? session).content;
    // A revocation that fails does not stop the logout.
    if (refreshToken) await grants.revoke(refreshToken).catch(warn);
  }

  /**
   * Ends one session of the user, by its `id` in the list.
   *
   * @returns which one ended: `current` is the one that asks; undefined when it was none of the
   *   user's
   */
  async endById(
    cookies: CookieJar,
    session: Session,
    id: string,
  ): Promise<'current' | 'other' | undefined> {
    const { sessions } = this.#context;
    const all = await this.list(session);
    if (all.some((each) => each.current && each.id === id)) {
      await this.endSession(session, 'by_user');
      sessions.clearCookie(cookies);
      return 'current';
    }
    if (!(await sessions.list.endOne(session, id))) return undefined;
    this.#report(1);
    return 'other';
  }

  /** Ends all sessions of the user but this one. @returns how many */
  async endOthers(session: Session): Promise<number> {
    const ended = await this.#context.sessions.list.endOthers(session);
    this.#report(ended);
    return ended;
  }

  #report(ended: number): void {
    if (ended === 0) return;
    this.#context.emit({ type: 'session_ended', reason: 'by_user', sessions: ended });
  }
}
