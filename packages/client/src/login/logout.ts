import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { CookieJar } from '../browser/cookies.ts';
import { safeReturnTo } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import type { SessionEndReason } from '../events.ts';
import type { Session } from '../session/session.ts';
import { listedId } from '../session/session-list.ts';

/**
 * Ends a session, and revokes its refresh token. Except for the reason `replaced`, a sign-in that began
 * before opens no session after it.
 *
 * @param nextUser `sub` of the sign-in that replaces the session
 */
export async function endSession(
  context: ClientContext,
  session: Session,
  reason: SessionEndReason,
  nextUser?: string,
): Promise<void> {
  const { claims } = session.content;
  if (reason !== 'replaced') await context.sessions.list.recordEnd(claims);
  // A concurrent request may have renewed the token since the session was read.
  const ended = await context.sessions.destroy(session);
  if (ended) context.reportEnded(reason, 1);
  const { refreshToken } = (ended ?? session).content;
  // RFC 7009 §2.1: related tokens can end with it. At Keycloak these are all of the user's session there, so
  // also those of a new sign-in.
  if (claims.sub === nextUser) return;
  // A revocation that fails does not stop the logout.
  if (refreshToken) await context.grants.revoke(refreshToken).catch(context.warn);
}

/** Address to which a logout sends the browser. */
export interface LogoutTarget {
  readonly url: string;
  /** Fields to post there; undefined for a redirect. */
  readonly form?: Readonly<Record<string, string>>;
}

/**
 * Ends the session of a browser, and removes the cookies of the session and of unfinished logins.
 *
 * @param returnTo untrusted; if it is not a path of this app, the default is used
 */
export async function logOut(
  context: ClientContext,
  cookies: CookieJar,
  session: Session | undefined,
  returnTo: unknown,
): Promise<LogoutTarget> {
  const { options, issuer, sessions, transactions, warn } = context;
  const { baseURL, routes, idpLogout, credentials } = options;
  // The cookie is removed last: if the store fails, the user needs it to try again.
  if (session) await endSession(context, session, 'logout');
  sessions.clearCookie(cookies);
  transactions.clear(cookies);

  const path = safeReturnTo(returnTo, baseURL);
  const isStart = path === safeReturnTo('/', baseURL);
  const home = isStart ? (routes.postLogoutRedirect ?? baseURL) : new URL(path, baseURL).href;
  // A session that has ended here can go on at the issuer. One that needs the ID token would refuse.
  if (!idpLogout || (!session && idpLogout === 'id_token_hint')) return { url: home };
  try {
    const metadata = await issuer.metadata();
    const { clientID } = credentials;
    const { claims, idToken } = session?.content ?? {};
    if (idToken && idpLogout === 'id_token_hint' && metadata.end_session_endpoint) {
      const form = { id_token_hint: idToken, client_id: clientID, post_logout_redirect_uri: home };
      return { url: metadata.end_session_endpoint, form };
    }
    return { url: endSessionURL(metadata, { clientID, sid: claims?.sid, home }) ?? home };
  } catch (error) {
    warn(error);
    return { url: home };
  }
}

/**
 * Returns the logout address of the authorization server: that of OpenID Connect RP-Initiated Logout 1.0
 * §2, else `/v2/logout` of Auth0, else undefined. `logout_hint` names the session by its `sid`, because an
 * ID token in the URL would reach histories and logs.
 */
export function endSessionURL(
  metadata: AuthorizationServerMetadata,
  { clientID, sid, home }: { clientID: string; sid: unknown; home: string },
): string | undefined {
  const { issuer, end_session_endpoint } = metadata;
  if (!end_session_endpoint && !isAuth0(metadata)) return undefined;
  const url = new URL(end_session_endpoint ?? `${issuer.replace(/\/$/, '')}/v2/logout`);
  if (end_session_endpoint && typeof sid === 'string') url.searchParams.set('logout_hint', sid);
  url.searchParams.set('client_id', clientID);
  url.searchParams.set(end_session_endpoint ? 'post_logout_redirect_uri' : 'returnTo', home);
  return url.href;
}

// Metadata of an Auth0 tenant with a custom domain has this member, which no standard defines.
function isAuth0({ issuer, mfa_challenge_endpoint }: AuthorizationServerMetadata): boolean {
  return new URL(issuer).hostname.endsWith('.auth0.com') || mfa_challenge_endpoint !== undefined;
}

/**
 * Ends one session of the user, by its `id` in the list.
 *
 * @returns whether it was the session of this request or another; undefined when no session ended
 */
export async function endSessionById(
  context: ClientContext,
  cookies: CookieJar,
  session: Session,
  id: string,
): Promise<'current' | 'other' | undefined> {
  const { sessions, transactions } = context;
  if (id === listedId(session)) {
    await endSession(context, session, 'by_user');
    sessions.clearCookie(cookies);
    transactions.clear(cookies);
    return 'current';
  }
  const ended = await sessions.list.endOne(session, id);
  context.reportEnded('by_user', ended);
  return ended > 0 ? 'other' : undefined;
}

/** Ends all sessions of the user except this one. @returns how many */
export async function endOtherSessions(context: ClientContext, session: Session): Promise<number> {
  const ended = await context.sessions.list.endOthers(session);
  context.reportEnded('by_user', ended);
  return ended;
}
