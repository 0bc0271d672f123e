import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import type { CookieJar } from '../browser/cookies.ts';
import { isNavigation } from '../browser/fetch-metadata.ts';
import { clearCache, MAX_PATH_LENGTH, safeReturnTo } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import { type AuthorizationRefused, hasCode, OidcError } from '../errors.ts';
import { failure } from '../events.ts';
import { reportMessage } from '../messages.ts';
import {
  type AuthorizationParams,
  type AuthorizationRequest,
  authorizationURL,
  createAuthorizationRequest,
  judgeAuthorizationResponse,
  loginIdOf,
  readAuthorizationResponse,
} from '../oauth/authorization-endpoint.ts';
import {
  judgePushedAuthorization,
  requestPushedAuthorization,
} from '../oauth/pushed-authorization-request.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { Session } from '../session/session.ts';
import { endSession } from './logout.ts';

/** Result of a callback: the session, if any, and where to send the browser. */
interface FinishedLogin {
  readonly session: Session | undefined;
  readonly location: string;
}

/**
 * Begins a login.
 *
 * @param returnTo untrusted: the start page is used unless it is a path of this app
 * @returns where to send the browser
 */
export async function beginLogin(
  context: ClientContext,
  cookies: CookieJar,
  returnTo: unknown,
  params: AuthorizationParams,
  isRetry = false,
): Promise<string> {
  const { options, issuer, transactions, emit } = context;
  if (typeof returnTo === 'string' && returnTo.length > MAX_PATH_LENGTH) {
    const detail = `returnTo has more than ${MAX_PATH_LENGTH} characters, so the sign-in returns to the start page`;
    emit({ type: 'warning', code: undefined, detail });
  }
  try {
    const metadata = await issuer.metadata();
    const { clientID } = options.credentials;
    const allParams = { ...options.authorizationParams, ...params };
    const request = createAuthorizationRequest(metadata, clientID, allParams, {
      redirectURI: options.baseURL + options.routes.callback,
      returnTo: returnPath(options, returnTo),
      params,
      isRetry,
      startedAt: options.now() / 1000,
    });
    const isPushed =
      options.pushedAuthorizationRequests ||
      metadata.require_pushed_authorization_requests === true;
    const parameters = isPushed ? await push(context, metadata, request) : request.parameters;
    const url = authorizationURL(metadata, parameters);
    const loginId = loginIdOf(request.transaction.state);
    reportMessage(options, loginId, 'authorization_request', { url, parameters });
    transactions.begin(cookies, request.transaction);
    return url;
  } catch (error) {
    emit({ type: 'sign_in_refused', ...failure(error) });
    throw error;
  }
}

/** @returns what goes through the browser instead of the pushed request (RFC 9126 §4) */
async function push(
  { options, http }: ClientContext,
  metadata: AuthorizationServerMetadata,
  { parameters, transaction }: AuthorizationRequest,
): Promise<Record<string, string>> {
  const { credentials, seconds } = options;
  const loginId = loginIdOf(transaction.state);
  const answer = await requestPushedAuthorization(metadata, {
    credentials,
    parameters,
    http,
    seconds,
    report: (end, message) =>
      reportMessage(options, loginId, `pushed_authorization_${end}`, message),
  });
  const requestURI = judgePushedAuthorization(answer, seconds());
  return { client_id: credentials.clientID, request_uri: requestURI };
}

/**
 * Finishes the login that a callback belongs to.
 *
 * @param previous the session of this browser, which ends
 */
export async function finishLogin(
  context: ClientContext,
  ctx: Context,
  cookies: CookieJar,
  previous: Session | undefined,
): Promise<FinishedLogin> {
  try {
    return await finish(context, ctx, cookies, previous);
  } catch (error) {
    // The back button, most likely: the user has what the sign-in was for.
    const isOver = previous && hasCode(error, 'ERR_UNEXPECTED_CALLBACK');
    if (isOver && isNavigation(ctx))
      return { session: previous, location: homeOf(context.options) };
    if (!isOver) context.emit({ type: 'sign_in_refused', ...failure(error) });
    throw error;
  }
}

async function finish(
  context: ClientContext,
  ctx: Context,
  cookies: CookieJar,
  previous: Session | undefined,
): Promise<FinishedLogin> {
  const { options, issuer, transactions, grants, sessions, emit } = context;
  const params = readAuthorizationResponse(ctx.querystring);
  const state = params.get('state');
  const transaction = state && transactions.find(cookies, state);
  if (!transaction) {
    const detail = `the cookie of this sign-in is missing: it began under another host than ${new URL(options.baseURL).host}, in another browser, or over ten minutes ago, or it is finished`;
    throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail });
  }

  const metadata = await issuer.metadata();
  if (!(await transactions.end(cookies, transaction))) {
    throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail: 'it was used before' });
  }
  let code: string;
  try {
    code = judgeAuthorizationResponse(params, {
      issuer: transaction.issuer,
      issPromised: metadata.authorization_response_iss_parameter_supported === true,
    });
  } catch (error) {
    if (!isLoginPageExpired(error) || transaction.isRetry) throw error;
    const { returnTo, params } = transaction;
    return {
      session: previous,
      location: await beginLogin(context, cookies, returnTo, params, true),
    };
  }
  reportMessage(options, loginIdOf(transaction.state), 'authorization_response', {
    url: transaction.redirectURI,
    parameters: Object.fromEntries(params),
  });
  const content = await grants.byCode(code, transaction);
  if (previous) await endSession(context, previous, 'replaced');
  if (previous && previous.content.claims.sub !== content.claims.sub) clearCache(ctx);
  const { startedAt } = transaction;
  const opened = sessions.open(cookies, content, ctx.get('User-Agent'), startedAt);
  const session = await opened.catch(async (error) => {
    if (content.refreshToken) await grants.revoke(content.refreshToken).catch(context.warn);
    throw error;
  });
  emit({ type: 'signed_in' });
  return { session, location: returnPath(options, transaction.returnTo) };
}

// Keycloak answers so when its login page became too old while the user signed in in another tab. A new
// request succeeds at once.
function isLoginPageExpired(error: unknown): boolean {
  const { error: code, errorDescription } = error as Partial<AuthorizationRefused>;
  return code === 'temporarily_unavailable' && errorDescription === 'authentication_expired';
}

/** Returns the start page: a path, of `baseURL`. */
function homeOf({ baseURL }: CheckedOptions): string {
  return new URL(baseURL).pathname.replace(/\/?$/, '/');
}

/** Returns the start page for paths that `auth()` itself answers. */
function returnPath(options: CheckedOptions, value: unknown): string {
  const { baseURL, routes } = options;
  const home = homeOf(options);
  const path = safeReturnTo(value, baseURL);
  const { pathname } = new URL(path, baseURL);
  const isOwn = [routes.login, routes.callback, routes.backChannelLogout].some(
    (own) => own !== false && (pathname === own || pathname === home.slice(0, -1) + own),
  );
  return path === '/' || isOwn ? home : path;
}
