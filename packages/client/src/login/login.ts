import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import type { CookieJar } from '../browser/cookies.ts';
import { isNavigation } from '../browser/fetch-metadata.ts';
import { MAX_PATH_LENGTH, pathBelow, safeReturnTo } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import {
  type AuthorizationRefused,
  errorCode,
  foreignText,
  hasCode,
  OidcError,
} from '../errors.ts';
import { reportMessage } from '../messages.ts';
import {
  type AuthorizationParams,
  type AuthorizationRequest,
  authorizationURL,
  createAuthorizationRequest,
  judgeAuthorizationResponse,
  LOGIN_LIFETIME_SECONDS,
  loginIdOf,
  readAuthorizationResponse,
  readState,
  type Transaction,
} from '../oauth/authorization-endpoint.ts';
import { requireFapiSupport } from '../oauth/fapi2.ts';
import {
  judgePushedAuthorization,
  requestPushedAuthorization,
} from '../oauth/pushed-authorization-request.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { Session, SessionContent } from '../session/session.ts';
import { endSession } from './logout.ts';

/** Result of a callback: the session, if any, and where to send the browser. */
interface FinishedLogin {
  readonly session: Session | undefined;
  readonly location: string;
  readonly hasSignedIn?: boolean;
}

/** A login to begin. */
interface LoginToBegin {
  /** Untrusted. If it is not a path of this app, the start page is used. */
  readonly returnTo: unknown;
  readonly params: AuthorizationParams;
  readonly isRetry?: boolean;
}

/** Begins a login. @returns where to send the browser */
export async function beginLogin(
  context: ClientContext,
  ctx: Context,
  cookies: CookieJar,
  { returnTo, params, isRetry = false }: LoginToBegin,
): Promise<string> {
  const { options, issuer, transactions, warn } = context;
  const startedAt = performance.now();
  if (typeof returnTo === 'string' && returnTo.length > MAX_PATH_LENGTH) {
    const detail = `returnTo has more than ${MAX_PATH_LENGTH} characters, so the sign-in returns to the start page`;
    warn(Object.assign(new Error(detail), { detail }));
  }
  try {
    const metadata = await issuer.metadata();
    const { profile, credentials } = options;
    if (profile === 'fapi2') requireFapiSupport(metadata, credentials);
    const allParams = { ...options.authorizationParams, ...params };
    const request = createAuthorizationRequest(metadata, credentials.clientID, allParams, {
      redirectURI: options.baseURL + options.routes.callback,
      returnTo: returnPath(options, returnTo),
      params,
      isRetry,
      startedAt: options.now() / 1000,
      isElsewhere: isElsewhere(ctx, options.baseURL),
      isBound: options.dpop,
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
    const durationMs = Math.round(performance.now() - startedAt);
    context.reportFailure({ type: 'sign_in_refused', durationMs }, error);
    throw error;
  }
}

/** Pushes the request. @returns the parameters that the browser sends instead (RFC 9126 §4) */
async function push(
  { options, http, dpop }: ClientContext,
  metadata: AuthorizationServerMetadata,
  { parameters, transaction }: AuthorizationRequest,
): Promise<Record<string, string>> {
  const { credentials, seconds } = options;
  const { state, dpopKey } = transaction;
  const loginId = loginIdOf(state);
  const answer = await requestPushedAuthorization(metadata, {
    credentials,
    parameters,
    http,
    proofs: dpopKey && dpop.proofsOf(dpopKey),
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
  const startedAt = performance.now();
  try {
    const finished = await finish(context, ctx, cookies, previous);
    if (finished.hasSignedIn) {
      context.emit({ type: 'signed_in', durationMs: Math.round(performance.now() - startedAt) });
    }
    return finished;
  } catch (error) {
    // The back button, most likely. The user is signed in already.
    const isOld = hasCode(error, 'ERR_UNEXPECTED_CALLBACK') && isNavigation(ctx);
    if (previous && isOld) {
      return { session: previous, location: returnPath(context.options, '/') };
    }
    const durationMs = Math.round(performance.now() - startedAt);
    context.reportFailure({ type: 'sign_in_refused', durationMs }, error);
    throw error;
  }
}

async function finish(
  context: ClientContext,
  ctx: Context,
  cookies: CookieJar,
  previous: Session | undefined,
): Promise<FinishedLogin> {
  const { options, transactions, grants } = context;
  const params = readAuthorizationResponse(ctx.querystring);
  const { transaction, needsIss } = await endTransaction(context, cookies, params);
  let code: string;
  try {
    code = judgeAuthorizationResponse(params, { issuer: transaction.issuer, needsIss });
  } catch (error) {
    if (!isLoginPageExpired(error) || transaction.isRetry) throw error;
    const { returnTo, params } = transaction;
    return {
      session: previous,
      location: await beginLogin(context, ctx, cookies, { returnTo, params, isRetry: true }),
    };
  }
  reportMessage(options, loginIdOf(transaction.state), 'authorization_response', {
    url: transaction.redirectURI,
    parameters: Object.fromEntries(params),
  });
  const content = await grants.byCode(code, transaction);
  if (previous) await endSession(context, previous, 'replaced', content.claims.sub);
  const session = await openSession(context, ctx, cookies, content, transaction.startedAt);
  transactions.countSuccess(cookies, transaction.state);
  const location = returnPath(options, transaction.returnTo);
  return { session, location, hasSignedIn: true };
}

/** Finds the transaction of a callback, and ends it. @throws OidcError `ERR_UNEXPECTED_CALLBACK` */
async function endTransaction(
  { options, issuer, transactions }: ClientContext,
  cookies: CookieJar,
  params: URLSearchParams,
): Promise<{ transaction: Transaction; needsIss: boolean }> {
  const state = params.get('state') ?? '';
  const transaction = transactions.find(cookies, state);
  if (!transaction) {
    const isUsed = transactions.hasEnded(cookies, state);
    const cause = isUsed ? USED : explainMissingCookie(options, state);
    // Some servers send errors without the state.
    const error = errorCode(params.get('error'));
    const detail = error ? `${cause}; it reports ${error}` : cause;
    throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail });
  }
  // Without metadata the login cannot go on, and its callback can be tried again.
  const metadata = await issuer.metadata();
  if (!(await transactions.end(cookies, transaction))) {
    throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail: USED });
  }
  const needsIss =
    options.profile === 'fapi2' || metadata.authorization_response_iss_parameter_supported === true;
  return { transaction, needsIss };
}

/** Opens the session. If that fails, the refresh token does not stay valid. */
async function openSession(
  { sessions, grants, warn }: ClientContext,
  ctx: Context,
  cookies: CookieJar,
  content: SessionContent,
  startedAt: number,
): Promise<Session> {
  try {
    return await sessions.open(cookies, content, ctx.get('User-Agent'), startedAt);
  } catch (error) {
    if (content.refreshToken) await grants.revoke(content.refreshToken).catch(warn);
    throw error;
  }
}

/**
 * Rejects a callback that comes to another path than that of the redirect URI. The page there would begin
 * the next login.
 *
 * @throws OidcError `ERR_LOGIN_LOOP`
 */
export function refuseStrayCallback(
  { transactions }: ClientContext,
  ctx: Context,
  cookies: CookieJar,
): void {
  if (!ctx.querystring.includes('state=')) return;
  const { state, code, error } = ctx.query;
  if (typeof state !== 'string' || (code ?? error) === undefined) return;
  const transaction = transactions.find(cookies, state);
  if (!transaction) return;
  const expected = new URL(transaction.redirectURI).pathname;
  const detail = `the callback came to ${foreignText(ctx.path)}, not to ${expected}: a proxy changes the path in another way than removing that of baseURL`;
  throw new OidcError('ERR_LOGIN_LOOP', { detail });
}

// Keycloak's answer if its login page expired while the user signed in in another tab. A new request
// succeeds at once.
function isLoginPageExpired(error: unknown): boolean {
  const { error: code, errorDescription } = error as Partial<AuthorizationRefused>;
  return code === 'temporarily_unavailable' && errorDescription === 'authentication_expired';
}

/** Returns a path to return to: the start page for paths that `auth()` itself answers. */
function returnPath({ baseURL, routes }: CheckedOptions, value: unknown): string {
  const path = safeReturnTo(value, baseURL);
  const own = pathBelow(baseURL, new URL(path, baseURL).pathname);
  const isOwn = [routes.login, routes.callback, routes.backChannelLogout].includes(own);
  return isOwn ? safeReturnTo('/', baseURL) : path;
}

// A proxy may hide host and scheme from the app, so this only explains errors.
function isElsewhere(ctx: Context, baseURL: string): boolean {
  const { host, protocol } = new URL(baseURL);
  const forwarded = ctx.get('X-Forwarded-Proto');
  return ctx.host !== host || (forwarded !== '' && `${forwarded}:` !== protocol);
}

const USED = 'it was used before';

/** Explains, from the state of a callback, why the cookie of its login is missing. */
function explainMissingCookie({ baseURL, now }: CheckedOptions, state: string): string {
  const { startedAt, isElsewhere } = readState(state);
  const age = now() / 1000 - startedAt;
  if (Number.isNaN(age)) return 'its "state" is none of this app';
  if (age > LOGIN_LIFETIME_SECONDS) return 'it took more than ten minutes';
  if (!isElsewhere)
    return 'it began in another browser, or one without cookies, or was used before';
  const { origin } = new URL(baseURL);
  return `it began under another host or scheme than ${origin}, so its cookie is not sent here`;
}
