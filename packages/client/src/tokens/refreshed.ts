import { setTimeout as wait } from 'node:timers/promises';
import type { ClientContext } from '../client-context.ts';
import { hasCode, InsufficientScope, isOidcError } from '../errors.ts';
import type { Refreshed } from '../login/grant.ts';
import { missingScopes } from '../oauth/scope.ts';
import { isRefused } from '../oauth/token-endpoint.ts';
import type { Session, SessionContent } from '../session/session.ts';
import type { UserSession } from '../session/session-list.ts';
import type { BackOff } from './back-off.ts';
import {
  isSignInToken,
  type KeptTokens,
  loginRequired,
  nameOfToken,
  type SuppliedToken,
  type TokenSource,
  userNeeded,
  wantedOf,
  withoutTokens,
  withToken,
} from './kept-tokens.ts';
import type { LeasedTokenRequest } from './leased.ts';

interface RefreshedOptions {
  context: ClientContext;
  tokens: KeptTokens;
  backOff: BackOff;
  refusals: BackOff;
}

/**
 * Error codes of a refresh that a sign-in overcomes (OpenID Connect Core §3.1.2.6, Entra, Auth0; the last one
 * is that of Spring Security OAuth for an expired refresh token).
 */
const NEEDS_USER = [
  'interaction_required',
  'login_required',
  'consent_required',
  'mfa_required',
  'invalid_token',
];
const MIN_SESSION_AGE_SECONDS = 10;
const MAX_SAVE_ATTEMPTS = 4;
const SAVE_AGAIN_AFTER_MS = 50;
const SAVE_WITHIN_MS = 10_000;

/**
 * Requests a token with the session's refresh token (RFC 6749 §6), and stores the answer before it is used:
 * a rotated refresh token must not get lost.
 */
export function refreshed(options: RefreshedOptions): TokenSource<LeasedTokenRequest> {
  return async function refreshed(request) {
    for (;;) {
      const { supplied, session } = await options.tokens.reread(request);
      if (supplied) return supplied;
      const wanted = wantedOf(session.content, request.wanted);
      const renewed = await new Refresh(options, { ...request, session, wanted }).run();
      if (renewed) return renewed;
    }
  };
}

/** One refresh: sends the request, and stores the answer or handles the failure. */
class Refresh {
  readonly #options: RefreshedOptions;
  readonly #request: LeasedTokenRequest;
  readonly #startedAt = performance.now();
  /** Seconds since 1970. */
  readonly #startTime: number;

  constructor(options: RefreshedOptions, request: LeasedTokenRequest) {
    this.#options = options;
    this.#startTime = options.context.options.seconds();
    this.#request = request;
  }

  /** @returns undefined when another caller was first, so that the session must be read again */
  async run(): Promise<SuppliedToken | undefined> {
    const { session, wanted } = this.#request;
    const { content } = session;
    let answer: Refreshed;
    try {
      answer = await this.#options.context.grants.byRefreshToken(content, wanted);
    } catch (error) {
      if (isRefused(error, 'invalid_grant') || this.#isRefusedIdToken(error)) {
        return this.#dropTokens(error);
      }
      return this.#afterFailure(error as Error);
    }
    this.#options.backOff.succeeded(session.id);
    this.#options.refusals.succeeded(nameOfToken(session, wanted));
    const stored = await this.#store(answer);
    const missing = stored ? missingScopes(wanted.scope ?? '', stored.accessToken.scope) : [];
    if (missing.length > 0) throw new InsufficientScope(missing.join(' '));
    return stored;
  }

  async #store({
    accessToken,
    refreshToken,
    identity,
  }: Refreshed): Promise<SuppliedToken | undefined> {
    const { sessions, options, emit } = this.#options.context;
    const { session, wanted, lease } = this.#request;
    // The deadline starts after the request, however long that took.
    const deadline = performance.now() + SAVE_WITHIN_MS;
    let current: Session | undefined = session;
    do {
      const content = withToken(current.content, wanted, accessToken, options.now() / 1000);
      const saved = await this.#save(current, { ...content, ...identity, refreshToken });
      if (saved) {
        emit({ type: 'token_refreshed', durationMs: this.#elapsed() });
        return { session: saved, accessToken };
      }
      current = await sessions.reload(session);
      if (!current) {
        // The user signed out meanwhile, so the new refresh token must not stay valid.
        await this.#revoke(refreshToken);
        throw loginRequired('the session ended during the refresh');
      }
      if (current.content.refreshToken !== session.content.refreshToken) return undefined;
      if (!(await lease.regain())) await wait(SAVE_AGAIN_AFTER_MS);
    } while (performance.now() <= deadline);
    return undefined;
  }

  async #save(session: Session, content: SessionContent): Promise<Session | undefined> {
    const { sessions } = this.#options.context;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sessions.save(session, content, this.#request.lease.fence);
      } catch (error) {
        if (attempt === MAX_SAVE_ATTEMPTS || !hasCode(error, 'ERR_SESSION_STORE')) throw error;
        await wait(SAVE_AGAIN_AFTER_MS * 2 ** attempt);
      }
    }
  }

  async #dropTokens(cause: Error): Promise<undefined> {
    const { sessions } = this.#options.context;
    const { session, lease } = this.#request;
    const { refreshToken } = session.content;
    const current = await sessions.reload(session);
    if (current && current.content.refreshToken !== refreshToken) return;
    if (current) await sessions.save(current, withoutTokens(current.content), lease.fence);
    this.#report(false, cause);
    const isAlive = !isRefused(cause, 'invalid_grant');
    if (isAlive && refreshToken) await this.#revoke(refreshToken);
    throw loginRequired('the tokens of the session can no longer be renewed', cause);
  }

  /**
   * Revokes a refresh token, unless the user has signed in since the refresh began: the tokens of that sign-in
   * could end too (RFC 7009 §2.1).
   */
  async #revoke(refreshToken: string): Promise<void> {
    const { sessions, grants, warn } = this.#options.context;
    try {
      const listed = await sessions.list.listFor(this.#request.session);
      const isNew = ({ current, createdAt }: UserSession) =>
        !current && createdAt >= this.#startTime;
      if (!listed.some(isNew)) await grants.revoke(refreshToken);
    } catch (error) {
      warn(error);
    }
  }

  // Each refresh would return such an ID token again, and a rotated refresh token is lost with it. In a new
  // session the tokens stay, because the next sign-in would end the same way.
  #isRefusedIdToken(error: unknown): error is Error {
    const { session } = this.#request;
    const age = this.#options.context.options.now() / 1000 - session.createdAt;
    const isInvalid = hasCode(error, 'ERR_ID_TOKEN') && age >= MIN_SESSION_AGE_SECONDS;
    return isInvalid && !this.#options.tokens.findValid(this.#request);
  }

  #afterFailure(error: Error): SuppliedToken {
    const { session, wanted } = this.#request;
    const valid = this.#options.tokens.findValid(this.#request);
    // At the API of the sign-in, only granted scopes are requested: the user has withdrawn the consent.
    const needsConsent = wanted.audience !== undefined && isRefused(error, 'consent_required');
    const isScopeRefused = needsConsent || isRefused(error, 'invalid_scope');
    if (wanted.scope !== undefined && isScopeRefused && !valid) {
      throw new InsufficientScope(wanted.scope, error);
    }
    const transient = (error as { status?: number }).status === 503;
    this.#report(transient, error);
    const generation = session.content.accessToken?.issuedAt;
    // Some servers call a refresh token that has ended an invalid request.
    const isEnded = isSignInToken(wanted) && isRefused(error, 'invalid_request');
    if (isEnded || NEEDS_USER.some((code) => isRefused(error, code))) {
      this.#options.refusals.failed(nameOfToken(session, wanted), error, generation);
      if (valid) return valid;
      throw userNeeded(error);
    }
    if (!transient && !valid) throw error;
    // Without metadata or keys no request was sent, and the pauses of the issuer are enough.
    const wasAsked = !transient || hasCode(error, 'ERR_TOKEN_ENDPOINT_UNAVAILABLE');
    const pause = wasAsked && this.#options.backOff.failed(session.id, error, generation);
    if (valid) return valid;
    if (pause && isOidcError(error)) {
      error.headers = { ...error.headers, 'Retry-After': String(pause.seconds) };
    }
    throw error;
  }

  #elapsed(): number {
    return Math.round(performance.now() - this.#startedAt);
  }

  #report(transient: boolean, error: Error): void {
    const durationMs = this.#elapsed();
    const event = { type: 'token_refresh_failed', transient, durationMs } as const;
    this.#options.context.reportFailure(event, error);
  }
}
