import type { AuthorizationServerMetadata, HttpClient } from '@koa-oauth/issuer';
import type { CookieJar } from '../browser/cookies.ts';
import { safeReturnTo } from '../browser/return-to.ts';
import { hasCode, OidcError } from '../errors.ts';
import { type EmitClientEvent, failure } from '../events.ts';
import {
  type AuthorizationParams,
  type AuthorizationRequest,
  authorizationURL,
  createAuthorizationRequest,
} from '../oauth/authorization-request.ts';
import {
  judgeAuthorizationResponse,
  readAuthorizationResponse,
} from '../oauth/authorization-response.ts';
import type { ClientCredentials } from '../oauth/client-authentication.ts';
import {
  judgePushedAuthorization,
  requestPushedAuthorization,
} from '../oauth/pushed-authorization-request.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { Transactions } from '../session/transaction.ts';
import { createFlowRecord, type FlowRecord, type FlowStep } from './flow-record.ts';
import type { Grants } from './grant.ts';
import type { EndSession } from './own-sessions.ts';

/** One login in its two halves, every step in order. */
export interface Login {
  /** The start page: a path, of `baseURL`. */
  readonly home: string;
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
    userAgent: string,
  ): Promise<FinishedLogin>;
}

interface FinishedLogin {
  session: Session;
  returnTo: string;
}

interface LoginOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata> };
  client: ClientCredentials;
  transactions: Transactions;
  grants: Pick<Grants, 'byCode'>;
  sessions: Pick<Sessions, 'open'>;
  endSession: EndSession;
  baseURL: string;
  redirectURI: string;
  authorizationParams: AuthorizationParams;
  /** Whether requests are pushed even where the authorization server does not ask for it. */
  pushedAuthorizationRequests: boolean;
  /** Whether to keep what was sent and received, secrets masked. */
  recordFlow: boolean;
  /** Paths that nobody is sent back to. */
  ownPaths: readonly string[];
  http: HttpClient;
  /** Milliseconds since 1970. */
  now: () => number;
  emit: EmitClientEvent;
}

export function createLogin(options: LoginOptions): Login {
  const { issuer, client, transactions, grants, sessions, baseURL, redirectURI } = options;
  const { http, now, emit } = options;
  const seconds = () => Math.floor(now() / 1000);

  const base = new URL(baseURL).pathname.replace(/\/$/, '');
  const home = `${base}/`;

  const returnPath = (value: unknown): string => {
    const path = safeReturnTo(value, baseURL);
    const { pathname } = new URL(path, baseURL);
    const isOwn = options.ownPaths.some((own) => pathname === own || pathname === base + own);
    return path === '/' || isOwn ? home : path;
  };

  /** @returns what goes through the browser in place of the pushed request (RFC 9126 §4) */
  async function push(
    metadata: AuthorizationServerMetadata,
    { parameters }: AuthorizationRequest,
    flow: FlowRecord,
  ): Promise<Record<string, string>> {
    const url = metadata.pushed_authorization_request_endpoint;
    const answer = await requestPushedAuthorization(metadata, client, parameters, {
      http,
      now,
      onSend: (form) => flow.add('pushed_authorization_request', { url, parameters: form }),
    });
    const { status, body } = answer;
    flow.add('pushed_authorization_response', { status, parameters: body });
    const requestURI = judgePushedAuthorization(answer, seconds());
    return { client_id: client.clientID, request_uri: requestURI };
  }

  async function begin(cookies: CookieJar, asked: Parameters<Login['begin']>[1]) {
    const metadata = await issuer.metadata();
    const request = createAuthorizationRequest({
      metadata,
      clientID: client.clientID,
      redirectURI,
      params: { ...options.authorizationParams, ...asked.authorizationParams },
      returnTo: returnPath(asked.returnTo),
      now: seconds(),
    });
    const flow = createFlowRecord(options.recordFlow, now);
    const isPushed =
      options.pushedAuthorizationRequests ||
      metadata.require_pushed_authorization_requests === true;
    const parameters = isPushed ? await push(metadata, request, flow) : request.parameters;
    const url = authorizationURL(metadata, parameters);
    flow.add('authorization_request', { url, parameters });
    await transactions.begin(cookies, { ...request.transaction, flow: flow.steps });
    return url;
  }

  async function finish(
    cookies: CookieJar,
    querystring: string,
    previous: Session | undefined,
    userAgent: string,
  ): Promise<FinishedLogin> {
    const params = readAuthorizationResponse(querystring);
    const state = params.get('state');
    const transaction = state && (await transactions.find(cookies, state));
    if (!transaction) throw new OidcError('ERR_UNEXPECTED_CALLBACK');

    const metadata = await issuer.metadata();
    if (!(await transactions.end(cookies, transaction))) {
      throw new OidcError('ERR_UNEXPECTED_CALLBACK', { detail: 'it was used before' });
    }
    const code = judgeAuthorizationResponse(params, {
      issuer: transaction.issuer,
      issPromised: metadata.authorization_response_iss_parameter_supported === true,
    });
    const flow = createFlowRecord(options.recordFlow, now);
    flow.add('authorization_response', {
      url: transaction.redirectURI,
      parameters: Object.fromEntries(params),
    });
    const content = await grants.byCode(code, transaction);
    const steps = joined(transaction.flow, flow.steps, content.flow);
    if (previous) await options.endSession(previous, 'replaced');
    const session = await sessions.open(cookies, { ...content, flow: steps }, userAgent);
    emit({ type: 'signed_in' });
    return { session, returnTo: returnPath(transaction.returnTo) };
  }

  return {
    home,

    async begin(cookies, asked) {
      try {
        return await begin(cookies, asked);
      } catch (error) {
        emit({ type: 'sign_in_refused', ...failure(error) });
        throw error;
      }
    },

    async finish(cookies, querystring, previous, userAgent) {
      try {
        return await finish(cookies, querystring, previous, userAgent);
      } catch (error) {
        // The back button of somebody who is signed in.
        const isOver = previous && hasCode(error, 'ERR_UNEXPECTED_CALLBACK');
        if (!isOver) emit({ type: 'sign_in_refused', ...failure(error) });
        throw error;
      }
    },
  };
}

function joined(...parts: (readonly FlowStep[] | undefined)[]): FlowStep[] | undefined {
  return parts.some((steps) => steps !== undefined)
    ? parts.flatMap((steps) => steps ?? [])
    : undefined;
}
