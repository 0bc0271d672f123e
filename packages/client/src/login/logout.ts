import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { CookieJar } from '../browser/cookies.ts';
import { safeReturnTo } from '../browser/return-to.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { Transactions } from '../session/transaction.ts';
import type { EndSession } from './own-sessions.ts';

/**
 * Ends a session here, then at the authorization server.
 *
 * @param returnTo hostile: a path of this app, or else the default is taken
 * @returns where to send the browser
 * @throws OidcError `ERR_SESSION_STORE`; the session and its cookie are then as they were
 */
export type Logout = (
  cookies: CookieJar,
  session: Session | undefined,
  returnTo: unknown,
) => Promise<string>;

interface LogoutOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata> };
  sessions: Pick<Sessions, 'forget'>;
  transactions: Pick<Transactions, 'clear'>;
  endSession: EndSession;
  baseURL: string;
  clientID: string;
  /** Registered with the issuer: where it sends the browser afterwards. */
  postLogoutRedirectURI: string;
  /** Whether the session at the authorization server ends too. */
  idpLogout: boolean;
  onWarning: (error: Error) => void;
}

export function createLogout(options: LogoutOptions): Logout {
  const { issuer, sessions, transactions, endSession, onWarning } = options;

  const afterwards = (returnTo: unknown): string => {
    const path = safeReturnTo(returnTo, options.baseURL);
    return path === '/' ? options.postLogoutRedirectURI : new URL(path, options.baseURL).href;
  };

  return async function logout(cookies, session, returnTo) {
    const home = afterwards(returnTo);
    // The cookie goes last: without it nobody could try again to end what a store did not.
    if (session) await endSession(session, 'logout');
    sessions.forget(cookies);
    transactions.clear(cookies);

    if (!session || !options.idpLogout) return home;
    try {
      const metadata = await issuer.metadata();
      const { sid } = session.content.claims;
      return endSessionURL(metadata, { clientID: options.clientID, sid, home });
    } catch (error) {
      onWarning(error as Error);
      return home;
    }
  };
}

/**
 * OpenID Connect RP-Initiated Logout 1.0 §2, else Auth0's own `/v2/logout`. The session is named by
 * its `sid` in `logout_hint`: an ID token in the URL would reach histories and logs.
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
