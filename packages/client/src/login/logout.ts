import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { CookieJar } from '../browser/cookies.ts';
import { safeReturnTo } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import type { Session } from '../session/session.ts';
import type { OwnSessions } from './own-sessions.ts';

/** Ends a session here, then at the authorization server. */
export class Logout {
  readonly #context: ClientContext;
  readonly #ownSessions: Pick<OwnSessions, 'endSession'>;

  constructor(context: ClientContext, ownSessions: Pick<OwnSessions, 'endSession'>) {
    this.#context = context;
    this.#ownSessions = ownSessions;
  }

  /**
   * Ends a session, and removes its cookie and those of logins in flight.
   *
   * @param returnTo untrusted: the default is used unless it is a path of this app
   * @returns where to send the browser
   * @throws OidcError `ERR_SESSION_STORE`; the session and its cookie are then as they were
   */
  async end(cookies: CookieJar, session: Session | undefined, returnTo: unknown): Promise<string> {
    const { options, issuer, sessions, transactions, warn } = this.#context;
    const home = this.#afterwards(returnTo);
    // The cookie is removed last: the user needs it to try again when the store fails.
    if (session) await this.#ownSessions.endSession(session, 'logout');
    sessions.clearCookie(cookies);
    transactions.clear(cookies);

    if (!session || !options.idpLogout) return home;
    try {
      const metadata = await issuer.metadata();
      const { sid } = session.content.claims;
      return endSessionURL(metadata, { clientID: options.credentials.clientID, sid, home });
    } catch (error) {
      warn(error);
      return home;
    }
  }

  #afterwards(returnTo: unknown): string {
    const { baseURL, routes } = this.#context.options;
    const path = safeReturnTo(returnTo, baseURL);
    return path === '/' ? (routes.postLogoutRedirect ?? baseURL) : new URL(path, baseURL).href;
  }
}

/**
 * Makes the logout address of the authorization server: OpenID Connect RP-Initiated Logout 1.0 §2,
 * else Auth0's own `/v2/logout`. The session is named by its `sid` in `logout_hint`: an ID token in
 * the URL would reach histories and logs.
 */
export function endSessionURL(
  { issuer, end_session_endpoint }: AuthorizationServerMetadata,
  { clientID, sid, home }: { clientID: string; sid: unknown; home: string },
): string {
  if (!end_session_endpoint) {
    const url = new URL(`${issuer.replace(/\/$/, '')}/v2/logout`);
    url.searchParams.set('client_id', clientID);
    url.searchParams.set('returnTo', home);
    return url.href;
  }
  const url = new URL(end_session_endpoint);
  if (typeof sid === 'string') url.searchParams.set('logout_hint', sid);
  url.searchParams.set('client_id', clientID);
  url.searchParams.set('post_logout_redirect_uri', home);
  return url.href;
}
