import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { CookieJar } from './cookies.ts';
import type { EndSession } from './end-session.ts';
import type { Session, Sessions } from './session.ts';
import type { Transactions } from './transaction.ts';

/** Ends a session here and at the authorization server. @returns where to send the browser */
export type Logout = (
  cookies: CookieJar,
  session: Session | undefined,
  postLogoutRedirectURI?: string,
) => Promise<string>;

interface LogoutOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata> };
  sessions: Pick<Sessions, 'forget'>;
  transactions: Pick<Transactions, 'clear'>;
  endSession: EndSession;
  clientID: string;
  /** Registered with the issuer: where it sends the browser afterwards. */
  postLogoutRedirectURI: string;
  /** Whether the session at the authorization server ends too. */
  idpLogout: boolean;
  onWarning: (error: Error) => void;
}

export function createLogout(options: LogoutOptions): Logout {
  const { issuer, sessions, transactions, endSession, onWarning } = options;

  return async function logout(cookies, session, postLogoutRedirectURI) {
    const home = postLogoutRedirectURI ?? options.postLogoutRedirectURI;
    transactions.clear(cookies);
    sessions.forget(cookies);
    if (!session) return home;

    await endSession(session);
    if (!options.idpLogout) return home;
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
