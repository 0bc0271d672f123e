import type { Context, Middleware, Next } from 'koa';
import { cookieJar } from './browser/cookies.ts';
import { isCrossSite, isPrefetch } from './browser/fetch-metadata.ts';
import { pathBelow, redirect } from './browser/redirect.ts';
import { Client } from './client.ts';
import { hasCode, isOidcError, OidcError } from './errors.ts';
import { answerBackChannelLogout } from './login/back-channel-logout.ts';
import { finishLogin, refuseStrayCallback } from './login/login.ts';
import { readThirdPartyLogin, redirectThirdPartyLogin } from './login/third-party-login.ts';
import { OidcContext } from './oidc-context.ts';
import { type AuthOptions, checkOptions } from './options/options.ts';

/**
 * Signs users in with OpenID Connect and the authorization code flow, keeps their sessions, and sets
 * `ctx.oidc` for later middleware.
 *
 * It answers `GET /login?returnTo=/path`, `GET /callback` and `POST /logout`, sign-ins that the issuer
 * begins at `/login`, and its `POST /backchannel-logout` if configured. It rejects requests of other sites
 * that change something. The issuer is contacted only when needed: an app starts and runs while it is down.
 *
 * @throws InvalidOptions at once; it names all wrong options
 * @throws OidcError or IssuerError for a request: each has `status`, `code`, `headers` and a
 *   `message` for the user
 * @example
 * app.use(auth({ issuerBaseURL, baseURL: 'https://app.example.com', clientID, clientSecret, secret }));
 * app.use(requiresAuth());
 * app.use((ctx) => {
 *   ctx.body = `Hello ${ctx.oidc.user?.name}`;
 * });
 */
export function auth(options: AuthOptions): Middleware {
  const client = new Client(checkOptions(options));

  return async function auth(ctx, next) {
    try {
      await answer(client, ctx, next);
    } catch (error) {
      if (isOidcError(error)) {
        // Any stranger can send a request without a user.
        const isExpected = hasCode(error, 'ERR_LOGIN_REQUIRED') && !ctx.oidc?.isAuthenticated();
        if (!isExpected) client.reportFailure({ type: 'request_failed' }, error);
        keepCookies(error, ctx);
      }
      throw error;
    }
  };
}

async function answer(client: Client, ctx: Context, next: Next): Promise<void> {
  const { baseURL, secureCookies, routes } = client.options;
  const path = pathBelow(baseURL, ctx.path);
  const route = `${ctx.method === 'HEAD' ? 'GET' : ctx.method} ${path}`;
  if (route === `POST ${routes.callback}`) throw formPost();
  if (path === routes.backChannelLogout) return answerBackChannelLogout(client, ctx);
  if (isCrossSite(ctx, baseURL)) {
    if (route === `POST ${routes.login}`) return redirectThirdPartyLogin(client, ctx);
    throw new OidcError('ERR_CROSS_SITE');
  }
  const cookies = cookieJar(ctx, secureCookies);
  const session = await client.sessions.load(cookies);
  ctx.oidc = new OidcContext(ctx, client, cookies, session);
  if (route === `GET ${routes.login}`) {
    const { iss, returnTo } = ctx.query;
    await ctx.oidc.login(iss === undefined ? { returnTo } : await readThirdPartyLogin(client, ctx));
  } else if (route === `GET ${routes.callback}`) {
    refuseEarlyCallback(ctx);
    const finished = await finishLogin(client, ctx, cookies, session);
    ctx.oidc = new OidcContext(ctx, client, cookies, finished.session);
    redirect(ctx, finished.location, baseURL);
  } else if (route === `POST ${routes.logout}`) {
    await ctx.oidc.logout();
  } else {
    refuseStrayCallback(client, ctx, cookies);
    await next();
    // The back button must not show the pages of a user to the next user of the browser.
    if (session && !ctx.response.get('Cache-Control')) ctx.set('Cache-Control', 'no-store');
  }
}

// It would use up the code, and the page that the user opens next would have none.
function refuseEarlyCallback(ctx: Context): void {
  if (ctx.method !== 'HEAD' && !isPrefetch(ctx)) return;
  throw new OidcError('ERR_LOGIN_REQUIRED', { detail: 'a callback by HEAD or a prefetch' });
}

// Never requested: a POST of another site does not carry the sign-in's cookie.
function formPost(): OidcError {
  const detail = 'the callback came by POST: response_mode=form_post is not supported';
  const headers = { Allow: 'GET, HEAD' };
  return new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail, headers, status: 405 });
}

// Koa drops the headers of a failed request, also those that remove a used transaction's cookie.
function keepCookies(error: OidcError, ctx: Pick<Context, 'res'>): void {
  const cookies = ctx.res.getHeader('Set-Cookie');
  if (Array.isArray(cookies)) error.headers = { ...error.headers, 'Set-Cookie': cookies };
}
