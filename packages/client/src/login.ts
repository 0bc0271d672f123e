import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import { type AuthorizationParams, createAuthorizationRequest } from './authorization-request.ts';
import { judgeAuthorizationResponse, readAuthorizationResponse } from './authorization-response.ts';
import type { CookieJar } from './cookies.ts';
import type { EndSession } from './end-session.ts';
import { OidcError } from './errors.ts';
import type { Grants } from './grant.ts';
import { safeReturnTo } from './return-to.ts';
import type { Session, Sessions } from './session.ts';
import type { Transactions } from './transaction.ts';

/** One login in its two halves, every step in order. */
export interface Login {
  /** @returns where to send the browser */
  begin(
    cookies: CookieJar,
    request: { returnTo: unknown; authorizationParams?: AuthorizationParams | undefined },
  ): Promise<string>;
  /** @returns the new session, and the path to go back to */
  finish(
    cookies: CookieJar,
    querystring: string,
    previous: Session | undefined,
  ): Promise<{ session: Session; returnTo: string }>;
}

interface LoginOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata> };
  transactions: Transactions;
  grants: Pick<Grants, 'byCode'>;
  sessions: Pick<Sessions, 'open'>;
  endSession: EndSession;
  clientID: string;
  baseURL: string;
  redirectURI: string;
  authorizationParams: AuthorizationParams;
  /** Paths that nobody is sent back to. */
  ownPaths: readonly string[];
  /** Milliseconds since 1970. */
  now: () => number;
}

export function createLogin(options: LoginOptions): Login {
  const { issuer, transactions, grants, sessions, clientID, baseURL, redirectURI } = options;

  const returnPath = (value: unknown): string => {
    const path = safeReturnTo(value, baseURL);
    return options.ownPaths.includes(new URL(path, baseURL).pathname) ? '/' : path;
  };

  return {
    async begin(cookies, { returnTo, authorizationParams }) {
      const { url, transaction } = createAuthorizationRequest({
        metadata: await issuer.metadata(),
        clientID,
        redirectURI,
        params: { ...options.authorizationParams, ...authorizationParams },
        returnTo: returnPath(returnTo),
        now: Math.floor(options.now() / 1000),
      });
      await transactions.begin(cookies, transaction);
      return url;
    },

    async finish(cookies, querystring, previous) {
      const params = readAuthorizationResponse(querystring);
      const state = params.get('state');
      const transaction = state && (await transactions.find(cookies, state));
      if (!transaction) throw new OidcError('ERR_UNEXPECTED_CALLBACK');

      const metadata = await issuer.metadata();
      if (!transactions.end(cookies, state)) throw new OidcError('ERR_UNEXPECTED_CALLBACK');

      const code = judgeAuthorizationResponse(params, {
        issuer: transaction.issuer,
        issPromised: metadata.authorization_response_iss_parameter_supported === true,
      });
      const content = await grants.byCode(code, transaction);
      if (previous) await options.endSession(previous);
      const session = await sessions.open(cookies, content);
      return { session, returnTo: returnPath(transaction.returnTo) };
    },
  };
}
