import type { IncomingHttpHeaders } from 'node:http';
import type { HttpClient } from '@koa-oauth/issuer';
import { errorCode, failureCode, hasCode, OidcError, type OidcErrorCode } from '../errors.ts';
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

/** Request to an endpoint, or its answer. */
export interface EndpointMessage {
  readonly url?: string;
  readonly status?: number;
  /** Form of a request or JSON of an answer, secrets included. */
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

/** Grant of a token endpoint (RFC 6749 §5.1). */
export interface TokenResponse {
  readonly accessToken: string;
  /** Seconds since 1970; undefined when the server did not say. */
  readonly expiresAt: number | undefined;
  /** The scope granted, which may be less than the one requested. */
  readonly scope: string;
  readonly refreshToken: string | undefined;
  readonly idToken: string | undefined;
}

/**
 * The token endpoint refused the request (RFC 6749 §5.2). The description is not stored: it may repeat
 * the code or the secret.
 */
export class TokenRequestRefused extends OidcError {
  override readonly name = 'TokenRequestRefused';
  readonly error: string;

  constructor(error: string) {
    super('ERR_TOKEN_REQUEST_REFUSED', { detail: error });
    this.error = error;
  }
}

/** The token endpoint can't answer right now: a 429 or a 5xx. */
export class TokenEndpointUnavailable extends OidcError {
  override readonly name = 'TokenEndpointUnavailable';
  /** Seconds to wait, when the server named them. */
  readonly retryAfter: number | undefined;

  constructor(status: number, seconds: number | undefined) {
    super('ERR_TOKEN_ENDPOINT_UNAVAILABLE', {
      detail: `it answered ${status}`,
      ...(seconds === undefined ? {} : { headers: { 'Retry-After': String(seconds) } }),
    });
    this.retryAfter = seconds;
  }
}

/** Reports whether the token endpoint refused the request with this error code (RFC 6749 §5.2). */
export function isRefused(error: unknown, code: string): error is TokenRequestRefused {
  return (
    hasCode(error, 'ERR_TOKEN_REQUEST_REFUSED') && (error as { error?: unknown }).error === code
  );
}

// RFC 6749 §3.3.
const SCOPE = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/**
 * Judges the answer to a token request.
 *
 * @param requestedScope what the answer means when it names no scope (§5.1)
 * @param now seconds since 1970
 * @throws TokenRequestRefused, TokenEndpointUnavailable (429 and 5xx) or OidcError
 *   `ERR_TOKEN_RESPONSE`
 */
export function judgeTokenResponse(
  { status, headers, body }: EndpointAnswer,
  requestedScope: string,
  now: number,
): TokenResponse {
  if (status === 429 || status >= 500) {
    // Auth0 reports the state of its rate limits with every answer.
    const { 'retry-after': after } = headers;
    const relevant = status === 429 ? headers : { ...(after && { 'retry-after': after }) };
    throw new TokenEndpointUnavailable(status, retryAfter(relevant, now));
  }
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  const members = (isObject ? body : {}) as Record<string, unknown>;
  if (status !== 200) {
    const error = errorCode(members.error);
    if (error === undefined) throw unusable(`it answered ${status}`);
    throw new TokenRequestRefused(error);
  }
  if (!isObject) throw unusable('it is not a JSON object');

  const { token_type, expires_in } = members;
  if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') {
    throw unusable('"token_type" is not Bearer');
  }
  const accessToken = token(members, 'access_token');
  if (accessToken === undefined) throw unusable('"access_token" is missing');
  const scope = members.scope ?? requestedScope;
  if (typeof scope !== 'string' || !SCOPE.test(scope)) throw unusable('"scope" is not a scope');

  return {
    accessToken,
    expiresAt: expires_in === undefined ? undefined : now + lifetime(expires_in),
    scope,
    refreshToken: token(members, 'refresh_token'),
    idToken: token(members, 'id_token'),
  };
}

// RFC 6750 §2.1, RFC 6749 appendix A.12: no character that could end a header.
function token(members: Record<string, unknown>, name: string): string | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw unusable(`"${name}" is not a token`);
  }
  return value;
}

function lifetime(value: unknown): number {
  const seconds = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= Number.MAX_SAFE_INTEGER)) {
    throw unusable('"expires_in" is not a number of seconds');
  }
  return Math.floor(seconds);
}

const MAX_RETRY_AFTER_SECONDS = 300;
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Reads how long a server asks to wait: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), else
 * Auth0's `X-RateLimit-Reset` in seconds since 1970.
 *
 * @param now seconds since 1970
 * @returns 1 to 300 seconds, or undefined when it says nothing that can be read
 */
export function retryAfter(headers: IncomingHttpHeaders, now: number): number | undefined {
  const { 'retry-after': after = '', 'x-ratelimit-reset': reset } = headers;
  if (/^\d{1,15}$/.test(after)) return bounded(Number(after));
  if (HTTP_DATE.test(after) && !Number.isNaN(Date.parse(after))) {
    return bounded(Date.parse(after) / 1000 - now);
  }
  return typeof reset === 'string' && /^\d{1,15}$/.test(reset)
    ? bounded(Number(reset) - now)
    : undefined;
}

function bounded(seconds: number): number {
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds)));
}

function unusable(detail: string): OidcError {
  return new OidcError('ERR_TOKEN_RESPONSE', { detail: `token response: ${detail}` });
}
