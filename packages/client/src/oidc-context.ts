import type { Context } from 'koa';
import type { AccessTokens } from './access-token.ts';
import type { Api } from './api.ts';
import type { AuthorizationParams } from './authorization-request.ts';
import type { CookieJar } from './cookies.ts';
import { OidcError } from './errors.ts';
import type { IdTokenClaims } from './id-token.ts';
import type { Login } from './login.ts';
import type { Logout } from './logout.ts';
import { isPrefetch } from './navigation.ts';
import type { AccessToken, Session } from './session.ts';

declare module 'koa' {
  interface ExtendableContext {
    /** The user of this request and what can be done in their name; put in place by `auth()`. */
    oidc: OidcContext;
  }
}

export interface LoginParams {
  /** A path of this app to come back to; `/` in place of anything that is none. */
  returnTo?: unknown;
  /** Beside those given to `auth()`, and before them. */
  authorizationParams?: AuthorizationParams;
}

export interface OidcContext {
  /** The ID token's claims about the user; undefined when nobody is signed in. */
  readonly user: Readonly<Record<string, unknown>> | undefined;
  /** All claims of the ID token. */
  readonly idTokenClaims: IdTokenClaims | undefined;
  isAuthenticated(): boolean;
  /** Answers the request with a redirect to the authorization server. */
  login(params?: LoginParams): Promise<void>;
  /** Ends the session here, then answers with a redirect to the authorization server's logout. */
  logout(): Promise<void>;
  /**
   * The session's access token, renewed when it has run out.
   *
   * @throws OidcError `ERR_LOGIN_REQUIRED` (401), or a 503 when it can't be renewed right now
   */
  accessToken(): Promise<AccessToken>;
  /** Calls the API given to `auth()` with the session's access token. */
  readonly api: Api;
}

interface OidcContextParts {
  cookies: CookieJar;
  session: Session | undefined;
  login: Login;
  logout: Logout;
  accessTokens: AccessTokens;
  bindApi: ((accessToken: () => Promise<string>) => Api) | undefined;
}

/** Claims about the token rather than the user. */
const PROTOCOL_CLAIMS = [
  'iss',
  'aud',
  'exp',
  'iat',
  'nbf',
  'azp',
  'nonce',
  'auth_time',
  'acr',
  'amr',
  'at_hash',
  'c_hash',
  's_hash',
  'sid',
  'jti',
];

/** What one request can do. `finishLogin` is for the callback route. */
export function createOidcContext(
  ctx: Context,
  { cookies, login, logout, accessTokens, bindApi, ...parts }: OidcContextParts,
): OidcContext & { finishLogin(): Promise<void> } {
  let session = parts.session;

  const redirect = (url: string): void => {
    // RFC 9700 §4.12: never 307, which would send a form's fields along.
    ctx.status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 302 : 303;
    ctx.set({ 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
    ctx.redirect(url);
  };

  async function accessToken(): Promise<AccessToken> {
    if (!session) throw new OidcError('ERR_LOGIN_REQUIRED');
    const supplied = await accessTokens.supply(session);
    session = supplied;
    return supplied.content.accessToken;
  }

  return {
    get user() {
      return session && aboutTheUser(session.content.claims);
    },
    get idTokenClaims() {
      return session?.content.claims;
    },
    isAuthenticated: () => session !== undefined,
    async login({ returnTo, authorizationParams } = {}) {
      if (isPrefetch(ctx)) throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a prefetch' });
      redirect(await login.begin(cookies, { returnTo, authorizationParams }));
    },
    async finishLogin() {
      const finished = await login.finish(cookies, ctx.querystring, session);
      session = finished.session;
      redirect(finished.returnTo);
    },
    async logout() {
      const ended = session;
      session = undefined;
      redirect(await logout(cookies, ended));
    },
    accessToken,
    get api() {
      if (!bindApi) throw new TypeError('ctx.oidc.api needs the option api.baseURL');
      return bindApi(async () => (await accessToken()).value);
    },
  };
}

function aboutTheUser(claims: IdTokenClaims): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.includes(name)),
  );
}
