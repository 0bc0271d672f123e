import type { Context } from 'koa';
import type { Api } from './api/api.ts';
import type { CookieJar } from './browser/cookies.ts';
import { isPrefetch, isScript } from './browser/fetch-metadata.ts';
import { redirect, sendForm } from './browser/redirect.ts';
import type { Client } from './client.ts';
import { hasCode, OidcError } from './errors.ts';
import { beginLogin } from './login/login.ts';
import { endOtherSessions, endSessionById, logOut } from './login/logout.ts';
import type { SignInRequirement, StepUpParams } from './login/step-up.ts';
import type { Proofs } from './oauth/dpop.ts';
import { type IdTokenClaims, userClaims } from './oauth/id-token.ts';
import type { AccessToken, Session } from './session/session.ts';
import type { UserSession } from './session/session-list.ts';
import type { AccessTokenParams, SupplyParams } from './tokens/access-token.ts';

const NOT_ENOUGH =
  'they are older than max_age when the browser is back, or routes require different acr_values';

declare module 'koa' {
  interface ExtendableContext {
    /** The user of this request, and calls for this user. Set by `auth()`. */
    oidc: OidcContext;
  }
}

/** Parameters of `ctx.oidc.login()`. */
export interface LoginParams extends StepUpParams {
  /** Path of this app to return to. Any other value becomes `/`. */
  returnTo?: unknown;
}

/** Parameters of `ctx.oidc.logout()`. */
export interface LogoutParams {
  /**
   * Path of this app to return to. Its full URL must be registered at the issuer as a logout address.
   * Default, also for `/` and any value that is not a path: `routes.postLogoutRedirect`
   */
  returnTo?: unknown;
}

/**
 * `ctx.oidc`: the signed-in user of a request, and calls for this user.
 *
 * @example
 * if (!ctx.oidc.isAuthenticated()) return ctx.oidc.login({ returnTo: ctx.originalUrl });
 * ctx.body = `Hello ${ctx.oidc.user?.name}`;
 */
export class OidcContext {
  readonly #ctx: Context;
  readonly #client: Client;
  readonly #cookies: CookieJar;
  #session: Session | undefined;
  /** Reason for which the session supplied no access token. */
  #loginRequired: OidcError | undefined;

  constructor(ctx: Context, client: Client, cookies: CookieJar, session: Session | undefined) {
    this.#ctx = ctx;
    this.#client = client;
    this.#cookies = cookies;
    this.#session = session;
  }

  /**
   * Claims of the newest ID token about the user, and claims of the userinfo endpoint that it lacks.
   * Undefined when no user is signed in.
   */
  get user(): Readonly<Record<string, unknown>> | undefined {
    if (!this.#session) return undefined;
    const { claims, userinfo = {} } = this.#session.content;
    return { ...userClaims(userinfo), ...userClaims(claims) };
  }

  /** All claims of the newest ID token, which a refresh can replace. `auth_time` stays that of the sign-in. */
  get idTokenClaims(): IdTokenClaims | undefined {
    return this.#session?.content.claims;
  }

  /** The newest ID token in encoded form. It was verified when it was received. Show it to its user only. */
  get idToken(): string | undefined {
    return this.#session?.content.idToken;
  }

  /** Id of the login that opened the session, and of its messages in `onMessage`. */
  get loginId(): string | undefined {
    return this.#session?.content.loginId;
  }

  /** True when the session has a refresh token, so that `refresh()` can work without the user. */
  get hasRefreshToken(): boolean {
    return this.#session?.content.refreshToken !== undefined;
  }

  isAuthenticated(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Answers the request with a redirect to the authorization server.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) for a prefetch or a script, which cannot follow it;
   *   `ERR_LOGIN_PARAMETERS`; `ERR_LOGIN_LOOP` (500) when the last sign-ins had no effect
   */
  async login({ returnTo, authorizationParams, scope }: LoginParams = {}): Promise<void> {
    if (isPrefetch(this.#ctx)) throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a prefetch' });
    if (isScript(this.#ctx)) throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a script' });
    const { max_age, acr_values } = authorizationParams ?? {};
    // Two routes that need different values could redirect to each other's sign-in without end.
    const isNextAcr = acr_values !== undefined && this.#session?.content.requestedAcr !== undefined;
    const isRepeated = max_age !== undefined || isNextAcr;
    const reason = this.#loopReason() ?? (isRepeated ? NOT_ENOUGH : undefined);
    if (reason) this.#client.transactions.refuseLoop(this.#cookies, reason);
    const params = { ...authorizationParams };
    if (scope !== undefined) {
      params.scope = this.#client.stepUp.union(this.#session?.content, params.scope, scope);
    }
    const login = { returnTo, params };
    const url = await beginLogin(this.#client, this.#ctx, this.#cookies, login);
    redirect(this.#ctx, url, this.#client.options.baseURL);
  }

  /**
   * Checks that the sign-in is recent, is strong, or has scopes, as required.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when no user is signed in, StepUpRequired (401), or
   *   InsufficientScope (403); `requiresAuth()` answers each with the sign-in that is needed
   */
  require(requirement: SignInRequirement): void {
    this.#client.stepUp.judge(this.#session?.content, requirement);
  }

  /**
   * Returns parameters for `login()` that prevent an error from recurring. For `ERR_INSUFFICIENT_SCOPE`
   * they have the missing scopes; `login()` adds all earlier ones.
   *
   * @returns undefined when no sign-in would help, because the last one requested the same
   */
  stepUp(error: unknown): LoginParams | undefined {
    return this.#client.stepUp.paramsFor(error, this.#session?.content);
  }

  /** Ends the session here, then answers with a redirect to the authorization server's logout. */
  async logout({ returnTo }: LogoutParams = {}): Promise<void> {
    const { url, form } = await logOut(this.#client, this.#cookies, this.#session, returnTo);
    this.#session = undefined;
    if (form) sendForm(this.#ctx, url, form);
    else redirect(this.#ctx, url, this.#client.options.baseURL);
  }

  /**
   * Returns the user's sessions, in all browsers: newest first, a hundred at most.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when no user is signed in
   */
  async sessions(): Promise<UserSession[]> {
    return this.#client.sessions.list.listFor(this.#signedIn());
  }

  /**
   * Ends one of the user's sessions, by its `id` in `sessions()`. It can be the current one.
   *
   * @returns whether one ended: an `id` of another user's session ends nothing
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when no user is signed in
   */
  async endSession(id: string): Promise<boolean> {
    const ended = await endSessionById(this.#client, this.#cookies, this.#signedIn(), id);
    if (ended === 'current') this.#session = undefined;
    return ended !== undefined;
  }

  /**
   * Ends all of the user's sessions except the current one.
   *
   * @returns how many
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when no user is signed in
   */
  async endOtherSessions(): Promise<number> {
    return endOtherSessions(this.#client, this.#signedIn());
  }

  /**
   * Returns an access token of the session, renewed when it has expired: that of the sign-in, or one for
   * fewer scopes or another API, which the session stores in addition.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401), `ERR_INSUFFICIENT_SCOPE` (403) with the missing
   *   scopes as `scope`, a 502 when the authorization server refuses this client, or a 503 when it
   *   is not available right now
   */
  async accessToken(params: AccessTokenParams = {}): Promise<AccessToken> {
    return this.#supply({ scope: params.scope, audience: params.audience });
  }

  /** Renews the access token of the sign-in, even if it is still valid. @throws as `accessToken` does */
  async refresh(): Promise<AccessToken> {
    return this.#supply({ insteadOf: this.#session?.content.accessToken?.value });
  }

  /**
   * Proofs of the session's key, with the option `dpop`: for requests with its access tokens that do not go
   * through `ctx.oidc.api`. Undefined when the tokens are bearer tokens.
   *
   * @example
   * const { value: accessToken } = await ctx.oidc.accessToken();
   * const dpop = ctx.oidc.proofs?.create({ method: 'GET', url, accessToken });
   * await fetch(url, { headers: { authorization: `DPoP ${accessToken}`, dpop } });
   */
  get proofs(): Proofs | undefined {
    const key = this.#session?.content.dpopKey;
    return key && this.#client.dpop.proofsOf(key);
  }

  /** Calls the API of the option `api.baseURL` with the access token of the session. */
  get api(): Api {
    const { api } = this.#client;
    if (!api) throw new TypeError('ctx.oidc.api needs the option api.baseURL');
    return api.bind(async (wanted) => {
      // Without a refresh token, this token cannot be renewed. A new sign-in could return one like it.
      const { insteadOf } = wanted;
      const canRenew = !this.#session || this.#session.content.refreshToken;
      if (insteadOf !== undefined && !canRenew) return insteadOf;
      return (await this.#supply(wanted)).value;
    }, this.proofs);
  }

  async #supply(wanted: SupplyParams): Promise<AccessToken> {
    try {
      const supplied = await this.#client.accessTokens.supply(this.#signedIn(), wanted);
      this.#session = supplied.session;
      return supplied.accessToken;
    } catch (error) {
      if (hasCode(error, 'ERR_LOGIN_REQUIRED')) this.#loginRequired = error;
      throw error;
    }
  }

  /** Returns why the last sign-in had no effect, for the log; undefined if this is not known. */
  #loopReason(): string | undefined {
    if (this.#loginRequired?.detail) {
      const { detail, cause } = this.#loginRequired;
      return [detail, (cause as OidcError | undefined)?.summary].filter(Boolean).join(': ');
    }
    if (this.#session) return undefined;
    return this.#client.sessions.hasCookie(this.#cookies)
      ? 'the session of the cookie is not in the store, which all processes must share'
      : 'the browser does not send the cookie of the session';
  }

  #signedIn(): Session {
    if (!this.#session) throw new OidcError('ERR_LOGIN_REQUIRED');
    return this.#session;
  }
}
