import type { IncomingHttpHeaders } from 'node:http';
import type { HttpClient } from '@koa-oauth/issuer';
import { failureCode, OidcError, type OidcErrorCode } from '../errors.ts';
import { authenticateClient, type ClientCredentials } from './client-authentication.ts';

/** An endpoint of the authorization server that clients call themselves. */
export interface Endpoint {
  readonly url: string;
  /** The issuer identifier of the authorization server. */
  readonly issuer: string;
}

/** An answer of an endpoint, not judged yet. */
export interface EndpointAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** What was sent to an endpoint, or what it answered. */
export interface EndpointMessage {
  readonly url?: string;
  readonly status?: number;
  /** As they went; a body that is no object has none. */
  readonly parameters: unknown;
}

export interface EndpointRequestOptions {
  http: HttpClient;
  /** The clock: milliseconds since 1970. */
  now: () => number;
  /** Error code when there is no answer. Default: `ERR_TOKEN_ENDPOINT_UNAVAILABLE`. */
  unavailable?: OidcErrorCode;
  /** Receives both messages of the exchange, secrets included. */
  report?: (end: 'request' | 'response', message: EndpointMessage) => void;
}

/** Maximum bytes of an answer of the authorization server's endpoints. */
export const MAX_ENDPOINT_BYTES = 256 * 1024;

/** Exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). */
export function requestTokensByCode(
  endpoint: Endpoint,
  client: ClientCredentials,
  grant: { code: string; redirectURI: string; codeVerifier: string },
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = {
    grant_type: 'authorization_code',
    code: grant.code,
    redirect_uri: grant.redirectURI,
    code_verifier: grant.codeVerifier,
  };
  return postToEndpoint(endpoint, client, parameters, options);
}

/**
 * Exchanges a refresh token for tokens (RFC 6749 §6).
 *
 * @param more parameters: `scope` for fewer of them, `audience` (Auth0) or `resource` (RFC 8707)
 */
export function requestTokensByRefresh(
  endpoint: Endpoint,
  client: ClientCredentials,
  { refreshToken, ...more }: { refreshToken: string; [name: string]: string },
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = { ...more, grant_type: 'refresh_token', refresh_token: refreshToken };
  return postToEndpoint(endpoint, client, parameters, options);
}

/** Revokes a refresh token and what was issued for it (RFC 7009 §2.1). */
export function requestRevocation(
  endpoint: Endpoint,
  client: ClientCredentials,
  refreshToken: string,
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = { token: refreshToken, token_type_hint: 'refresh_token' };
  return postToEndpoint(endpoint, client, parameters, options);
}

/**
 * Sends one POST in the client's name. It is never repeated: a code, a rotated refresh token or an
 * assertion works once.
 *
 * @throws OidcError when there is no answer. It holds nothing of the request.
 */
export async function postToEndpoint(
  { url, issuer }: Endpoint,
  client: ClientCredentials,
  parameters: Readonly<Record<string, string>>,
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const { http, now, unavailable = 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', report } = options;
  const seconds = Math.floor(now() / 1000);
  const credentials = await authenticateClient(client, { issuer, now: seconds });
  const form = { ...parameters, ...credentials.form };
  report?.('request', { url, parameters: form });
  try {
    const answer = await http(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...credentials.headers },
      body: new URLSearchParams(form).toString(),
    });
    const { status, headers } = answer;
    const body = parseJson(answer.body);
    report?.('response', { status, parameters: body });
    return { status, headers, body };
  } catch (error) {
    throw new OidcError(unavailable, { detail: `POST ${url}: ${failureCode(error)}` });
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
