import type { EmitClientEvent, SessionEndReason } from '../events.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { Grants } from './grant.ts';

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
