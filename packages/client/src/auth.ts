import { createHttpClient, createIssuer } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { ApiClient } from './api/api.ts';
import { cookieJar } from './browser/cookies.ts';
import { isCrossSite } from './browser/fetch-metadata.ts';
import { OidcError } from './errors.ts';
import { clientEvents, failure } from './events.ts';
import { createBackChannelLogout } from './login/back-channel-logout.ts';
import { createGrants } from './login/grant.ts';
import { createLogin } from './login/login.ts';
import { createLogout } from './login/logout.ts';
import { createEndSession, createOwnSessions } from './login/own-sessions.ts';
import { createStepUp } from './login/step-up.ts';
import { createOidcContext } from './oidc-context.ts';
import { type AuthOptions, checkOptions } from './options/options.ts';
import { createSeal } from './session/seal.ts';
import { createSessions } from './session/session.ts';
import { createSessionTerms } from './session/session-list.ts';
import { memoryStore } from './session/stores/memory.ts';
import { createTransactions } from './session/transaction.ts';
import { createAccessTokens } from './tokens/access-token.ts';

const MAX_ENDPOINT_BYTES = 256 * 1024;
const MAX_REVOCATION_MS = 2000;

/**
 * Signs users in with OpenID Connect and the authorization code flow, keeps their sessions, and
 * puts `ctx.oidc` in place for what comes after it.
 *
 * Routes of its own: `GET /login?returnTo=/path`, `GET /callback`, `POST /logout`, and for the issuer
 * `POST /backchannel-logout` if it was asked for. Requests from other sites that would change
 * something are refused. The issuer is asked when it is first needed: an app starts, and goes on,
 * while the issuer is down.
 *
 * @throws InvalidOptions at once, naming every option that can't work
 * @throws OidcError, or the issuer's IssuerUnavailable, while it serves: each with `status`,
 *   `code`, `headers` and a `message` that may be shown
 */
export function auth(options: AuthOptions): Middleware {
  const { client, baseURL, now, recordFlow, ...checked } = checkOptions(options);
  const secure = baseURL.startsWith('https:');
  const { loginPath, callbackPath, logoutPath, backChannelLogoutPath, clockTolerance } = checked;

  const emit = clientEvents(checked.onEvent);
  const onWarning = (error: Error) => emit({ type: 'warning', ...failure(error) });
  const issuer = createIssuer({
    issuerBaseURL: checked.issuerBaseURL,
    http: checked.http,
    now,
    onEvent: emit,
  });
  const http = createHttpClient({
    timeout: checked.httpTimeout,
    maxBodyBytes: MAX_ENDPOINT_BYTES,
    ...checked.http,
  });
  const store = checked.store ?? memoryStore({ now });
  const grants = createGrants({
    issuer,
    client,
    audienceParameter: checked.authorizationParams.resource === undefined ? 'audience' : 'resource',
    clockTolerance,
    http,
    // A logout waits for the revocation.
    revocationHttp: createHttpClient({
      timeout: Math.min(checked.httpTimeout, MAX_REVOCATION_MS),
      maxBodyBytes: MAX_ENDPOINT_BYTES,
      ...checked.http,
    }),
    now,
    recordFlow,
  });
  const transactions = createTransactions({
    seal: createSeal(checked.secrets, 'transaction'),
    store,
    secure,
    now,
  });
  // Where several share a store and a secret, a session of one is none for the others.
  const party = JSON.stringify([checked.issuerBaseURL.replace(/\/$/, ''), client.clientID]);
  const sessions = createSessions({
    store,
    seal: createSeal(checked.secrets, `session ${party}`),
    aboutSeal: createSeal(checked.secrets, 'about a session'),
    terms: createSessionTerms(checked.secrets),
    secure,
    cookieName: checked.cookieName,
    rollingDuration: checked.rollingDuration,
    absoluteDuration: checked.absoluteDuration,
    now,
    onWarning,
  });
  const endSession = createEndSession({ sessions, grants, onWarning, emit });
  const login = createLogin({
    issuer,
    client,
    transactions,
    grants,
    sessions,
    endSession,
    baseURL,
    now,
    recordFlow,
    emit,
    http,
    pushedAuthorizationRequests: checked.pushedAuthorizationRequests,
    redirectURI: baseURL + callbackPath,
    authorizationParams: checked.authorizationParams,
    ownPaths: [loginPath, callbackPath, backChannelLogoutPath].filter((path) => path !== false),
  });
  const logout = createLogout({
    issuer,
    sessions,
    transactions,
    endSession,
    onWarning,
    baseURL,
    clientID: client.clientID,
    postLogoutRedirectURI: checked.postLogoutRedirect ?? baseURL,
    idpLogout: checked.idpLogout,
  });
  const backChannelLogout = createBackChannelLogout({
    issuer,
    sessions,
    store,
    now,
    onWarning,
    emit,
    clientID: client.clientID,
    clockTolerance,
  });
  const ownSessions = createOwnSessions({ sessions, endSession, emit });
  const accessTokens = createAccessTokens({
    sessions,
    grants,
    now,
    onWarning,
    emit,
    leeway: checked.refreshLeeway,
  });
  const stepUp = createStepUp({ scope: checked.authorizationParams.scope, clockTolerance, now });
  const api =
    checked.api &&
    new ApiClient({
      baseURL: checked.api.baseURL,
      http: createHttpClient({
        timeout: checked.api.timeout,
        maxBodyBytes: checked.api.maxResponseSize,
        ...checked.http,
      }),
      now,
    });

  return async function auth(ctx, next) {
    if (ctx.method === 'POST' && ctx.path === callbackPath) throw formPost();
    if (ctx.path === backChannelLogoutPath) return backChannelLogout(ctx);
    if (isCrossSite(ctx, baseURL)) throw new OidcError('ERR_CROSS_SITE');
    const cookies = cookieJar(ctx, secure);
    const session = await sessions.load(cookies);
    const oidc = createOidcContext(ctx, {
      cookies,
      session,
      login,
      logout,
      ownSessions,
      accessTokens,
      stepUp,
      api,
      recordFlow,
    });
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

// Never asked for: the cookie of the sign-in does not come along with a POST from another site.
function formPost(): OidcError {
  const detail = 'the callback came by POST: response_mode=form_post is not supported';
  const headers = { Allow: 'GET, HEAD' };
  return new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail, headers, status: 405 });
}

// Koa drops all headers of a request that failed, but a used transaction's cookie must still go.
function keepCookies(error: unknown, ctx: Pick<Context, 'res'>): void {
  const cookies = ctx.res.getHeader('Set-Cookie');
  if (error instanceof OidcError && Array.isArray(cookies)) {
    error.headers = { ...error.headers, 'Set-Cookie': cookies };
  }
}
