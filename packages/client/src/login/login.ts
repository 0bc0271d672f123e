import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { CookieJar } from '../browser/cookies.ts';
import { safeReturnTo } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import { hasCode, OidcError } from '../errors.ts';
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
import type { Session } from '../session/session.ts';
import type { OwnSessions } from './own-sessions.ts';

/** Parameters that begin a login. */
export interface LoginRequest {
  /** Untrusted: the start page is used unless it is a path of this app. */
  readonly returnTo: unknown;
  readonly authorizationParams?: AuthorizationParams | undefined;
}

/** Result of a login. */
export interface FinishedLogin {
  readonly session: Session;
  /** The path to go back to. */
  readonly returnTo: string;
}

/** One login in its two halves, every step in order. */
export class Login {
  /** The start page: a path, of `baseURL`. */
  readonly home: string;
  readonly #context: ClientContext;
  readonly #ownSessions: Pick<OwnSessions, 'endSession'>;
  readonly #basePath: string;

  constructor(context: ClientContext, ownSessions: Pick<OwnSessions, 'endSession'>) {
    this.#context = context;
    this.#ownSessions = ownSessions;
    this.#basePath = new URL(context.options.baseURL).pathname.replace(/\/$/, '');
    this.home = `${this.#basePath}/`;
  }

  /** Begins a login. @returns where to send the browser */
  async begin(cookies: CookieJar, request: LoginRequest): Promise<string> {
    try {
      return await this.#begin(cookies, request);
    } catch (error) {
      this.#context.emit({ type: 'sign_in_refused', ...failure(error) });
      throw error;
    }
  }

  /**
   * Finishes the login that a callback belongs to.
   *
   * @param previous the session of this browser, which ends
   */
  async finish(
    cookies: CookieJar,
    querystring: string,
    previous: Session | undefined,
    userAgent: string,
  ): Promise<FinishedLogin> {
    try {
      return await this.#finish(cookies, querystring, previous, userAgent);
    } catch (error) {
      // The back button of a user who is signed in.
      const isOver = previous && hasCode(error, 'ERR_UNEXPECTED_CALLBACK');
      if (!isOver) this.#context.emit({ type: 'sign_in_refused', ...failure(error) });
      throw error;
    }
  }

  async #begin(
    cookies: CookieJar,
    { returnTo, authorizationParams }: LoginRequest,
  ): Promise<string> {
    const { options, issuer, transactions } = this.#context;
    const metadata = await issuer.metadata();
    const request = createAuthorizationRequest({
      metadata,
      clientID: options.credentials.clientID,
      redirectURI: options.baseURL + options.routes.callback,
      params: { ...options.authorizationParams, ...authorizationParams },
      returnTo: this.#returnPath(returnTo),
      now: this.#seconds(),
    });
    const isPushed =
      options.pushedAuthorizationRequests ||
      metadata.require_pushed_authorization_requests === true;
    const parameters = isPushed ? await this.#push(metadata, request) : request.parameters;
    const url = authorizationURL(metadata, parameters);
    const loginId = loginIdOf(request.transaction.state);
    reportMessage(options, loginId, 'authorization_request', { url, parameters });
    transactions.begin(cookies, request.transaction);
    return url;
  }

  /** @returns what goes through the browser instead of the pushed request (RFC 9126 §4) */
  async #push(
    metadata: AuthorizationServerMetadata,
    { parameters, transaction }: AuthorizationRequest,
  ): Promise<Record<string, string>> {
    const { options, http } = this.#context;
    const { credentials, now } = options;
    const loginId = loginIdOf(transaction.state);
    const answer = await requestPushedAuthorization(metadata, credentials, parameters, {
      http,
      now,
      report: (end, message) =>
        reportMessage(options, loginId, `pushed_authorization_${end}`, message),
    });
    const requestURI = judgePushedAuthorization(answer, this.#seconds());
    return { client_id: credentials.clientID, request_uri: requestURI };
  }

  async #finish(
    cookies: CookieJar,
    querystring: string,
    previous: Session | undefined,
    userAgent: string,
  ): Promise<FinishedLogin> {
    const { options, issuer, transactions, grants, sessions, emit } = this.#context;
    const params = readAuthorizationResponse(querystring);
    const state = params.get('state');
    const transaction = state && transactions.find(cookies, state);
    if (!transaction) throw new OidcError('ERR_UNEXPECTED_CALLBACK');

    const metadata = await issuer.metadata();
    if (!(await transactions.end(cookies, transaction))) {
      throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail: 'it was used before' });
    }
    const code = judgeAuthorizationResponse(params, {
      issuer: transaction.issuer,
      issPromised: metadata.authorization_response_iss_parameter_supported === true,
    });
    reportMessage(options, loginIdOf(transaction.state), 'authorization_response', {
      url: transaction.redirectURI,
      parameters: Object.fromEntries(params),
    });
    const content = await grants.byCode(code, transaction);
    if (previous) await this.#ownSessions.endSession(previous, 'replaced');
    const session = await sessions.open(cookies, content, userAgent);
    emit({ type: 'signed_in' });
    return { session, returnTo: this.#returnPath(transaction.returnTo) };
  }

  /** Returns the start page for paths that `auth()` itself answers. */
  #returnPath(value: unknown): string {
    const { baseURL, routes } = this.#context.options;
    const path = safeReturnTo(value, baseURL);
    const { pathname } = new URL(path, baseURL);
    const isOwn = [routes.login, routes.callback, routes.backChannelLogout].some(
      (own) => own !== false && (pathname === own || pathname === this.#basePath + own),
    );
    return path === '/' || isOwn ? this.home : path;
  }

  #seconds(): number {
    return Math.floor(this.#context.options.now() / 1000);
  }
}
