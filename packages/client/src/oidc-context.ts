import type { Context } from 'koa';
import type { Api, ApiClient } from './api/api.ts';
import type { CookieJar } from './browser/cookies.ts';
import { isNavigation, isPrefetch, isScript } from './browser/fetch-metadata.ts';
import { hasCode, OidcError } from './errors.ts';
import type { FlowStep } from './login/flow-record.ts';
import type { Login } from './login/login.ts';
import type { Logout } from './login/logout.ts';
import type { OwnSessions } from './login/own-sessions.ts';
import type { SignInRequirement, StepUp, StepUpParams } from './login/step-up.ts';
import { aboutTheUser, type IdTokenClaims } from './oauth/id-token.ts';
import type { AccessToken, Session } from './session/session.ts';
import type { UserSession } from './session/session-list.ts';
import type { AccessTokenParams, AccessTokens } from './tokens/access-token.ts';

declare module 'koa' {
  interface ExtendableContext {
    /** The user of this request and what can be done in their name; put in place by `auth()`. */
    oidc: OidcContext;
  }
}

/** What `ctx.oidc.login()` takes. */
export interface LoginParams extends StepUpParams {
  /** A path of this app to come back to; `/` in place of anything that is none. */
  returnTo?: unknown;
}

/** What `ctx.oidc.logout()` takes. */
export interface LogoutParams {
  /**
   * A path of this app to come back to. Its whole address must be registered at the issuer as a
   * logout address. Default, also in place of `/` and of anything that is no path:
   * `routes.postLogoutRedirect`
   */
  returnTo?: unknown;
}

/** `ctx.oidc`: who is signed in, and what can be done in their name. */
export interface OidcContext {
  /** The ID token's claims about the user; undefined when nobody is signed in. */
  readonly user: Readonly<Record<string, unknown>> | undefined;
  /** All claims of the ID token. */
  readonly idTokenClaims: IdTokenClaims | undefined;
  /** The sign-in's ID token as it came, verified then. For this app's own eyes. */
  readonly idToken: string | undefined;
  /** With `recordFlow`, what was sent and received for this session, secrets masked; else empty. */
  readonly flow: readonly FlowStep[];
  isAuthenticated(): boolean;
  /**
   * Answers the request with a redirect to the authorization server.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when a prefetch or a script asks, which could not
   *   follow; `ERR_LOGIN_PARAMETERS`
   */
  login(params?: LoginParams): Promise<void>;
  /**
   * Goes on only if the sign-in is recent, strong and wide enough.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when nobody is signed in, StepUpRequired (401), or
   *   InsufficientScope (403); `requiresAuth()` answers each with the sign-in that is needed
   */
  require(requirement: SignInRequirement): void;
  /**
   * What to give to `login()` so that an error does not come again. For `ERR_INSUFFICIENT_SCOPE`,
   * all scopes so far and the missing ones.
   *
   * @returns undefined when no sign-in would help: it asked for just that and did not get it
   */
  stepUp(error: unknown): LoginParams | undefined;
  /** Ends the session here, then answers with a redirect to the authorization server's logout. */
  logout(params?: LogoutParams): Promise<void>;
  /**
   * The user's sessions, in all browsers: newest first, a thousand at most.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when nobody is signed in
   */
  sessions(): Promise<UserSession[]>;
  /**
   * Ends one of the user's sessions, by its `id` in `sessions()`. This one may be among them.
   *
   * @returns whether one ended: an `id` of somebody else's ends nothing
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when nobody is signed in
   */
  endSession(id: string): Promise<boolean>;
  /**
   * Ends all of the user's sessions but this one.
   *
   * @returns how many
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401) when nobody is signed in
   */
  endOtherSessions(): Promise<number>;
  /**
   * An access token of the session, renewed when it has run out: the sign-in's own, or one for
   * fewer scopes or another API, which is then kept beside it.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401), `ERR_INSUFFICIENT_SCOPE` (403) with the missing
   *   ones as `scope`, a 502 when the authorization server refuses this client, or a 503 when it
   *   can't be had right now
   */
  accessToken(params?: AccessTokenParams): Promise<AccessToken>;
  /** A new access token in place of the sign-in's, which may last still. @throws as `accessToken` does */
  refresh(): Promise<AccessToken>;
  /** Calls the API given to `auth()` with the session's access token. */
  readonly api: Api;
}

interface OidcContextParts {
  cookies: CookieJar;
  session: Session | undefined;
  login: Login;
  logout: Logout;
  ownSessions: OwnSessions;
  accessTokens: AccessTokens;
  stepUp: StepUp;
  api: ApiClient | undefined;
  /** Whether the flow may be told, should a session have it. */
  recordFlow: boolean;
}

/** What one request can do. `finishLogin` is for the callback route. */
export function createOidcContext(
  ctx: Context,
  {
    cookies,
    login,
    logout,
    ownSessions,
    accessTokens,
    stepUp,
    api,
    recordFlow,
    ...parts
  }: OidcContextParts,
): OidcContext & { finishLogin(): Promise<void> } {
  let session = parts.session;

  const redirect = (url: string): void => {
    // RFC 9700 §4.12: never 307, which would send a form's fields along.
    ctx.status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 302 : 303;
    ctx.set({ 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
    ctx.redirect(url);
  };

  function signedIn(): Session {
    if (!session) throw new OidcError('ERR_LOGIN_REQUIRED');
    return session;
  }

  async function accessToken(params?: Parameters<AccessTokens['supply']>[1]): Promise<AccessToken> {
    const supplied = await accessTokens.supply(signedIn(), params);
    session = supplied.session;
    return supplied.accessToken;
  }

  return {
    get user() {
      return session && aboutTheUser(session.content.claims);
    },
    get idTokenClaims() {
      return session?.content.claims;
    },
    get idToken() {
      return session?.content.idToken;
    },
    get flow() {
      return (recordFlow && session?.content.flow) || [];
    },
    isAuthenticated: () => session !== undefined,
    async login({ returnTo, authorizationParams, scope } = {}) {
      if (isPrefetch(ctx)) throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a prefetch' });
      if (isScript(ctx)) throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a script' });
      const params = { ...authorizationParams };
      if (scope !== undefined) params.scope = stepUp.union(session?.content, params.scope, scope);
      redirect(await login.begin(cookies, { returnTo, authorizationParams: params }));
    },
    require: (requirement) => stepUp.judge(session?.content, requirement),
    stepUp: (error) => stepUp.paramsFor(error, session?.content),
    async finishLogin() {
      const userAgent = ctx.get('User-Agent');
      try {
        const finished = await login.finish(cookies, ctx.querystring, session, userAgent);
        session = finished.session;
        redirect(finished.returnTo);
      } catch (error) {
        // The back button, most likely: the user has what the sign-in was for.
        const isOver = session && hasCode(error, 'ERR_UNEXPECTED_CALLBACK') && isNavigation(ctx);
        if (!isOver) throw error;
        redirect(login.home);
      }
    },
    async logout({ returnTo } = {}) {
      const url = await logout(cookies, session, returnTo);
      session = undefined;
      // Or the back button would show the user's pages to whoever comes next.
      if (!ctx.response.get('Clear-Site-Data')) ctx.set('Clear-Site-Data', '"cache"');
      redirect(url);
    },
    sessions: async () => ownSessions.list(signedIn()),
    async endSession(id) {
      const ended = await ownSessions.end(cookies, signedIn(), id);
      if (ended === 'current') session = undefined;
      return ended !== undefined;
    },
    endOtherSessions: async () => ownSessions.endOthers(signedIn()),
    accessToken,
    refresh: () => accessToken({ insteadOf: session?.content.accessToken?.value }),
    get api() {
      if (!api) throw new TypeError('ctx.oidc.api needs the option api.baseURL');
      return api.bind(async (wanted) => {
        // Without a refresh token, no other can be had; a new sign-in might bring one just like it.
        const { insteadOf } = wanted;
        if (insteadOf !== undefined && session && !session.content.refreshToken) return insteadOf;
        return (await accessToken(wanted)).value;
      });
    },
  };
}
