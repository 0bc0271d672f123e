import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { InsufficientScope, OidcError } from '../errors.ts';
import type { EmitClientEvent } from '../events.ts';
import type { Grants } from '../login/grant.ts';
import { scopeParameter } from '../oauth/scope.ts';
import type { Session, Sessions } from '../session/session.ts';
import { createBackOff } from './back-off.ts';
import { findToken, refusedScopes, type WantedToken, wantedOf } from './kept-tokens.ts';
import { type Lease, takeLease } from './lease.ts';
import { createOneAtATime } from './one-at-a-time.ts';
import { createRefresh, type Supplied } from './refresh.ts';

/** Which access token is asked for; nothing of it: the sign-in's. */
export interface AccessTokenParams {
  /** Fewer scopes than the sign-in was granted, or those to ask for at another API. */
  scope?: string | readonly string[];
  /** The API that the token is for: its identifier. */
  audience?: string;
}

/** Keeps sessions supplied with valid access tokens. */
export interface AccessTokens {
  /**
   * @param params `insteadOf` is the value of a token that an API refused: it is renewed, unless
   *   somebody has done so by now
   * @returns the session as it is now, and a token that is valid: one that it has or, when that
   *   has run out, a new one (RFC 6749 §6). One caller at a time, over all processes, asks for one.
   * @throws OidcError `ERR_LOGIN_REQUIRED` when only a new sign-in can help; InsufficientScope for
   *   scopes that were not granted; a 502 when the authorization server refuses this client, or a
   *   503 with `Retry-After` when none can be had and no valid one is left: the session stays
   * @throws TypeError when `scope` or `audience` can't be one
   */
  supply(
    session: Session,
    params?: AccessTokenParams & { insteadOf?: string | undefined },
  ): Promise<Supplied>;
}

interface AccessTokensOptions {
  sessions: Pick<Sessions, 'reload' | 'save' | 'acquireLease' | 'extendLease' | 'releaseLease'>;
  grants: Pick<Grants, 'byRefreshToken' | 'revoke'>;
  /** Seconds before its end at which a token is renewed; up to half as much more, by session. */
  leeway: number;
  /** Milliseconds since 1970. */
  now: () => number;
  onWarning: (error: Error) => void;
  emit: EmitClientEvent;
  /** Milliseconds after which another may go on where the one that renews has died. */
  leaseDuration?: number;
  /** From 0 up to 1. */
  random?: () => number;
}

const LEASE_DURATION = 10_000;
const LONGEST_POLL = 250;

export function createAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { sessions, grants, leeway, now, onWarning, emit, random = Math.random } = options;
  const { leaseDuration = LEASE_DURATION } = options;
  const patience = leaseDuration * 1.5;
  const backOff = createBackOff({ now, random });
  const refresh = createRefresh({ sessions, grants, backOff, now, onWarning, emit });
  const oneAtATime = createOneAtATime<Supplied>();
  const seconds = () => now() / 1000;

  function find(session: Session, wanted: WantedToken, atLeast: number): Supplied | undefined {
    const moment = { now: seconds(), leeway: atLeast };
    const { content } = session;
    const accessToken = findToken(content, wantedOf(content, wanted), moment);
    return accessToken && { session, accessToken };
  }

  /** @returns a token that will do, or undefined when one must be asked for */
  function settle(session: Session | undefined, wanted: WantedToken): Supplied | undefined {
    if (!session) throw loginRequired('the session has ended');
    const { content } = session;
    const kept = find(session, wanted, leewayOf(session, leeway));
    if (kept) return kept;
    const refused = refusedScopes(content, wantedOf(content, wanted), seconds());
    if (refused.length > 0) throw new InsufficientScope(refused.join(' '));
    if (content.refreshToken) return undefined;
    const old = find(session, wanted, 0);
    if (old) return old;
    throw loginRequired('no access token is left, and there is no refresh token');
  }

  async function renew(outdated: Session, wanted: WantedToken, deadline: number) {
    let lease: Lease | undefined;
    try {
      for (let round = 0; ; round += 1) {
        // Whoever waited here, or in another process, may have renewed it meanwhile.
        const session = await sessions.reload(outdated);
        const settled = settle(session, wanted);
        if (settled || !session) return settled as Supplied;
        const pause = backOff.pause(session.id);
        if (pause || performance.now() > deadline) {
          const old = find(session, wanted, 0);
          if (old) return old;
          throw unavailable(pause?.seconds, pause?.error);
        }
        if (lease) {
          const renewed = await refresh(session, wantedOf(session.content, wanted), lease);
          if (renewed) return renewed;
        } else {
          lease = await takeLease(session, { sessions, duration: leaseDuration, onWarning });
          if (!lease) await wait(pollAfter(round, random));
        }
      }
    } finally {
      await lease?.end();
    }
  }

  return {
    async supply(session, params = {}) {
      const wanted = checked(params);
      const kept = find(session, wanted, leewayOf(session, leeway));
      if (kept) return kept;
      const deadline = performance.now() + patience;
      return oneAtATime(session.id, nameOf(wanted), () => renew(session, wanted, deadline));
    },
  };
}

function checked(params: AccessTokenParams & { insteadOf?: string | undefined }): WantedToken {
  const { scope = '', audience, insteadOf } = params;
  if (audience !== undefined && (typeof audience !== 'string' || audience === '')) {
    throw new TypeError('"audience" must be the identifier of an API');
  }
  return { scope: scopeParameter(scope) || undefined, audience, insteadOf };
}

function nameOf({ scope, audience, insteadOf }: WantedToken): string {
  return JSON.stringify([scope?.split(' ').sort(), audience, insteadOf]);
}

/** The same in all processes, and spread over the sessions, or all would be renewed at once. */
function leewayOf({ id }: Session, leeway: number): number {
  const fraction = createHash('sha256').update(id).digest().readUInt16BE() / 2 ** 16;
  return leeway * (1 + fraction / 2);
}

function pollAfter(round: number, random: () => number): number {
  return Math.min(LONGEST_POLL, 20 * 2 ** round) * (0.5 + random() / 2);
}

function unavailable(seconds = 2, cause?: unknown): OidcError {
  return new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE', {
    detail: cause ? 'no new request yet' : 'another renews the token, and is not done',
    cause,
    headers: { 'Retry-After': String(seconds) },
  });
}

function loginRequired(detail: string): OidcError {
  return new OidcError('ERR_LOGIN_REQUIRED', { detail });
}
