import type { Grants } from './grant.ts';
import type { Session, Sessions } from './session.ts';

/** Ends a session here, and its refresh token at the authorization server. */
export type EndSession = (session: Session) => Promise<void>;

interface EndSessionOptions {
  sessions: Pick<Sessions, 'destroy'>;
  grants: Pick<Grants, 'revoke'>;
  /** Told of a revocation that failed, which stops nobody. */
  onWarning: (error: Error) => void;
}

export function createEndSession({ sessions, grants, onWarning }: EndSessionOptions): EndSession {
  return async function endSession(session) {
    // A request beside this one may have renewed the token since the session was read.
    const ended = (await sessions.destroy(session)) ?? session;
    const { refreshToken } = ended.content;
    if (refreshToken) await grants.revoke(refreshToken).catch(onWarning);
  };
}
