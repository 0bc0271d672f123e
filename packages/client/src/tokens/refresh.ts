import { setTimeout as wait } from 'node:timers/promises';
import { hasCode, InsufficientScope, OidcError } from '../errors.ts';
import { type EmitClientEvent, failure } from '../events.ts';
import { addRefresh } from '../login/flow-record.ts';
import type { Grants, Refreshed } from '../login/grant.ts';
import { missingScopes } from '../oauth/scope.ts';
import {
  isInvalidGrant,
  TokenEndpointUnavailable,
  TokenRequestRefused,
} from '../oauth/token-response.ts';
import type { AccessToken, Session, Sessions } from '../session/session.ts';
import type { BackOff } from './back-off.ts';
import { findToken, type WantedToken, withoutTokens, withToken } from './kept-tokens.ts';
import type { Lease } from './lease.ts';

export interface Supplied {
  /** As it is now. */
  readonly session: Session;
  readonly accessToken: AccessToken;
}

/**
 * Asks for a token with the session's refresh token, and stores what was granted before anyone
 * uses it: a rotated refresh token must not get lost.
 *
 * @param session as read under the lease
 * @returns undefined when another got ahead: the session is to be looked at anew
 * @throws OidcError as `AccessTokens.supply` says
 */
export type Refresh = (
  session: Session,
  wanted: WantedToken,
  lease: Lease,
) => Promise<Supplied | undefined>;

interface RefreshOptions {
  sessions: Pick<Sessions, 'reload' | 'save'>;
  grants: Pick<Grants, 'byRefreshToken' | 'revoke'>;
  backOff: BackOff;
  /** Milliseconds since 1970. */
  now: () => number;
  onWarning: (error: Error) => void;
  emit: EmitClientEvent;
}

const SAVE_ATTEMPTS = 4;
const SAVE_AGAIN_AFTER = 50;
const KEEP_WITHIN = 10_000;

export function createRefresh(options: RefreshOptions): Refresh {
  const { sessions, grants, backOff, now, onWarning, emit } = options;
  const seconds = () => now() / 1000;

  async function keep(
    session: Session,
    wanted: WantedToken,
    { accessToken, refreshToken, flow }: Refreshed,
    lease: Lease,
  ): Promise<Supplied | undefined> {
    let current: Session | undefined = session;
    // However long the grant took: what it gave is good.
    const deadline = performance.now() + KEEP_WITHIN;
    do {
      const content = withToken(current.content, wanted, accessToken, seconds());
      const recorded = flow && { flow: addRefresh(content.flow ?? [], flow) };
      const saved = await save(current, { ...content, ...recorded, refreshToken }, lease);
      if (saved) {
        emit({ type: 'token_refreshed' });
        return { session: saved, accessToken };
      }
      current = await sessions.reload(session);
      if (!current) {
        // The user signed out while we asked: what was granted must not outlive that.
        await grants.revoke(refreshToken).catch(onWarning);
        throw loginRequired('the session ended during the refresh');
      }
      if (current.content.refreshToken !== session.content.refreshToken) return undefined;
      if (!(await lease.regain())) await wait(SAVE_AGAIN_AFTER);
    } while (performance.now() <= deadline);
    return undefined;
  }

  async function save(session: Session, content: Session['content'], lease: Lease) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sessions.save(session, content, lease.fence);
      } catch (error) {
        if (attempt === SAVE_ATTEMPTS || !hasCode(error, 'ERR_SESSION_STORE')) throw error;
        await wait(SAVE_AGAIN_AFTER * 2 ** attempt);
      }
    }
  }

  async function afterInvalidGrant(
    session: Session,
    lease: Lease,
    cause: Error,
  ): Promise<undefined> {
    const current = await sessions.reload(session);
    if (current && current.content.refreshToken !== session.content.refreshToken) return;
    if (current) await sessions.save(current, withoutTokens(current.content), lease.fence);
    emit({ type: 'token_refresh_failed', transient: false, ...failure(cause) });
    throw loginRequired('the authorization server no longer accepts the refresh token', cause);
  }

  function afterFailure(session: Session, wanted: WantedToken, error: Error): Supplied {
    if (isRefused(error, 'invalid_scope') && wanted.scope !== undefined) {
      throw new InsufficientScope(wanted.scope, error);
    }
    const transient = (error as { status?: unknown }).status === 503;
    emit({ type: 'token_refresh_failed', transient, ...failure(error) });
    const old = findToken(session.content, wanted, { now: seconds(), leeway: 0 });
    if (!transient && !old) throw error;
    // Without metadata or keys the token endpoint was not asked, and the issuer's own pauses do.
    const told = error instanceof TokenEndpointUnavailable ? error.retryAfter : undefined;
    const renewedAt = session.content.accessToken?.issuedAt;
    const wasAsked = !transient || hasCode(error, 'ERR_TOKEN_ENDPOINT_UNAVAILABLE');
    const pause = wasAsked && backOff.failed(session.id, error, told, renewedAt);
    if (old) return { session, accessToken: old };
    throw pause ? withRetryAfter(error, pause.seconds) : error;
  }

  return async function refresh(session, wanted, lease) {
    const { content } = session;
    let refreshed: Refreshed;
    try {
      refreshed = await grants.byRefreshToken(content.refreshToken ?? '', content, wanted);
    } catch (error) {
      if (isInvalidGrant(error)) return afterInvalidGrant(session, lease, error);
      return afterFailure(session, wanted, error as Error);
    }
    backOff.succeeded(session.id);
    const kept = await keep(session, wanted, refreshed, lease);
    const missing = kept ? missingScopes(wanted.scope ?? '', kept.accessToken.scope) : [];
    if (missing.length > 0) throw new InsufficientScope(missing.join(' '));
    return kept;
  };
}

function isRefused(error: Error, code: string): boolean {
  return error instanceof TokenRequestRefused && error.error === code;
}

function withRetryAfter(error: Error, seconds: number): Error {
  if (error instanceof OidcError) {
    error.headers = { ...error.headers, 'Retry-After': String(seconds) };
  }
  return error;
}

function loginRequired(detail: string, cause?: unknown): OidcError {
  return new OidcError('ERR_LOGIN_REQUIRED', { detail, cause });
}
