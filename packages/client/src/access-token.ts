import { hasCode, OidcError } from './errors.ts';
import type { Grants } from './grant.ts';
import type { AccessToken, Session, SessionContent, Sessions } from './session.ts';
import { isInvalidGrant } from './token-response.ts';

/** Keeps sessions supplied with a valid access token. */
export interface AccessTokens {
  /**
   * @returns the session with a token that is valid now: the one it has or, when that has run out,
   *   a new one (RFC 6749 §6)
   * @throws OidcError `ERR_LOGIN_REQUIRED` when only a new sign-in can help, or a 503 when the
   *   authorization server can't be had and no valid token is left; the session stays
   */
  supply(session: Session): Promise<Supplied>;
}

type Supplied = Session & { content: { accessToken: AccessToken } };

interface AccessTokensOptions {
  sessions: Pick<Sessions, 'reload' | 'save'>;
  grants: Pick<Grants, 'byRefreshToken' | 'revoke'>;
  /** Seconds before its end at which a token is renewed. */
  leeway: number;
  /** Milliseconds since 1970. */
  now: () => number;
  onWarning: (error: Error) => void;
}

const SAVE_ATTEMPTS = 3;

export function createAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { sessions, grants, leeway, now, onWarning } = options;
  const refreshes = new Map<string, Promise<Supplied>>();

  const lasts = (session: Session, seconds: number): session is Supplied => {
    const token = session.content.accessToken;
    return !!token && (token.expiresAt === undefined || token.expiresAt - seconds > now() / 1000);
  };

  async function refresh(outdated: Session): Promise<Supplied> {
    // Whoever waited here, or in another process, may have renewed it meanwhile.
    const session = await sessions.reload(outdated);
    if (!session) throw loginRequired('the session has ended');
    if (lasts(session, leeway)) return session;
    const { refreshToken } = session.content;
    if (!refreshToken) {
      if (lasts(session, 0)) return session;
      throw loginRequired('the access token has expired and there is no refresh token');
    }
    let content: SessionContent;
    try {
      content = await grants.byRefreshToken(refreshToken, session.content);
    } catch (error) {
      if (isInvalidGrant(error)) return afterRefusal(session, error);
      if (!lasts(session, 0) || (error as { status?: unknown }).status !== 503) throw error;
      onWarning(error as Error);
      return session;
    }
    return keep(session, content);
  }

  /** Stores what was granted before anyone uses it: a rotated refresh token must not get lost. */
  async function keep(session: Session, granted: SessionContent): Promise<Supplied> {
    const { accessToken, refreshToken } = granted;
    let current: Session | undefined = session;
    for (let attempt = 0; current && attempt < SAVE_ATTEMPTS; attempt += 1) {
      const saved = await sessions.save(current, {
        ...current.content,
        accessToken,
        refreshToken,
      });
      if (saved) return saved as Supplied;
      current = await sessions.reload(session);
    }
    // The user signed out while we asked: what was granted must not outlive that.
    if (refreshToken) await grants.revoke(refreshToken).catch(onWarning);
    throw loginRequired('the session ended during the refresh');
  }

  async function afterRefusal(session: Session, cause: Error): Promise<Supplied> {
    const current = await sessions.reload(session);
    const replaced = current?.content.refreshToken !== session.content.refreshToken;
    if (current && replaced && lasts(current, 0)) return current;
    if (current && !replaced) {
      const { content } = current;
      await sessions.save(current, { ...content, accessToken: undefined, refreshToken: undefined });
    }
    throw loginRequired('the authorization server no longer accepts the refresh token', cause);
  }

  return {
    async supply(session) {
      if (lasts(session, leeway)) return session;
      const running = refreshes.get(session.id);
      if (running) return running;
      const started = refresh(session).finally(() => refreshes.delete(session.id));
      refreshes.set(session.id, started);
      return started;
    },
  };
}

/** Whether only a new sign-in helps. */
export function needsLogin(error: unknown): boolean {
  return hasCode(error, 'ERR_LOGIN_REQUIRED');
}

function loginRequired(detail: string, cause?: unknown): OidcError {
  return new OidcError('ERR_LOGIN_REQUIRED', { detail, cause });
}
