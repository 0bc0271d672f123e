import { createIssuer } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { createAccessTokens } from './access-token.ts';
import { createApi } from './api.ts';
import { cookieJar } from './cookies.ts';
import { isCrossSite } from './cross-site.ts';
import { createEndSession } from './end-session.ts';
import { OidcError } from './errors.ts';
import { createGrants } from './grant.ts';
import { createLogin } from './login.ts';
import { createLogout } from './logout.ts';
import { createOidcContext } from './oidc-context.ts';
import { type AuthOptions, checkOptions } from './options.ts';
import { createSeal } from './seal.ts';
import { createSessions } from './session.ts';
import { memoryStore } from './stores/memory.ts';
import { createTransactions } from './transaction.ts';

/**
 * Signs users in with OpenID Connect and the authorization code flow, keeps their sessions, and
 * puts `ctx.oidc` in place for what comes after it.
 *
 * Routes of its own: `GET /login?returnTo=/path`, `GET /callback` and `POST /logout`. Requests from
 * other sites that would change something are refused. The issuer is asked when it is first needed:
 * an app starts, and goes on, while the issuer is down.
 *
 * @throws InvalidOptions at once, naming every option that can't work
 * @throws OidcError, or the issuer's IssuerUnavailable, while it serves: each with `status`,
 *   `code`, `headers` and a `message` that may be shown
 */
export function auth(options: AuthOptions): Middleware {
  const { client, baseURL, now, onWarning, ...checked } = checkOptions(options);
  const secure = baseURL.startsWith('https:');
  const { loginPath, callbackPath, logoutPath, clockTolerance } = checked;

  const issuer = createIssuer({ issuerBaseURL: checked.issuerBaseURL });
  const grants = createGrants({
    issuer,
    client,
    clockTolerance,
    timeout: checked.httpTimeout,
    now,
  });
  const transactions = createTransactions({
    seal: createSeal(checked.secrets, 'transaction'),
    secure,
    now,
  });
  const sessions = createSessions({
    store: checked.store ?? memoryStore({ now }),
    seal: createSeal(checked.secrets, 'session'),
    secure,
    cookieName: checked.cookieName,
    rollingDuration: checked.rollingDuration,
    absoluteDuration: checked.absoluteDuration,
    now,
    onWarning,
  });
  const endSession = createEndSession({ sessions, grants, onWarning });
  const login = createLogin({
    issuer,
    transactions,
    grants,
    sessions,
    endSession,
    baseURL,
    now,
    clientID: client.clientID,
    redirectURI: baseURL + callbackPath,
    authorizationParams: checked.authorizationParams,
    ownPaths: [loginPath, callbackPath].filter((path) => path !== false),
  });
  const logout = createLogout({
    issuer,
    sessions,
    transactions,
    endSession,
    onWarning,
    clientID: client.clientID,
    postLogoutRedirectURI: checked.postLogoutRedirect ?? baseURL,
    idpLogout: checked.idpLogout,
  });
  const accessTokens = createAccessTokens({
    sessions,
    grants,
    now,
    onWarning,
    leeway: checked.refreshLeeway,
  });
  const bindApi = checked.api && createApi(checked.api);

  return async function auth(ctx, next) {
    if (isCrossSite(ctx, baseURL)) throw new OidcError('ERR_CROSS_SITE');
    const cookies = cookieJar(ctx, secure);
    const session = await sessions.load(cookies);
    const parts = { cookies, session, login, logout, accessTokens, bindApi };
    const oidc = createOidcContext(ctx, parts);
    ctx.oidc = oidc;
    try {
      const route = `${ctx.method === 'HEAD' ? 'GET' : ctx.method} ${ctx.path}`;
      if (route === `GET ${loginPath}`) await oidc.login({ returnTo: ctx.query.returnTo });
      else if (route === `GET ${callbackPath}`) await oidc.finishLogin();
      else if (route === `POST ${logoutPath}`) await oidc.logout();
      else await next();
    } catch (error) {
      keepCookies(error, ctx);
      throw error;
    }
  };
}

// Koa drops all headers of a request that failed, but a used transaction's cookie must still go.
function keepCookies(error: unknown, ctx: Pick<Context, 'res'>): void {
  const cookies = ctx.res.getHeader('Set-Cookie');
  if (error instanceof OidcError && Array.isArray(cookies)) {
    error.headers = { ...error.headers, 'Set-Cookie': cookies };
  }
}
