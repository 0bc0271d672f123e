import type { IncomingHttpHeaders } from 'node:http';
import { authenticateClient, type ClientCredentials, type HttpClient } from '@koa-oauth/issuer';
import {
  errorCode,
  failureCode,
  foreignDescription,
  hasCode,
  OidcError,
  type OidcErrorCode,
} from '../errors.ts';
import type { Proofs } from './dpop.ts';
import { isScopeParameter, unionOfScopes } from './scope.ts';
import { isObject } from './signed-jwt.ts';

/** One POST to an endpoint of the authorization server. */
export interface EndpointRequest {
  url: string;
  /** The issuer identifier of the authorization server. */
  issuer: string;
  credentials: ClientCredentials;
  parameters: Readonly<Record<string, string>>;
  http: HttpClient;
  /** Proves that the session's key is ours, to an endpoint that binds tokens to it. */
  proofs?: Proofs | undefined;
  /** Returns seconds since 1970. */
  seconds: () => number;
  /** Error code when there is no answer. Default: `ERR_TOKEN_ENDPOINT_UNAVAILABLE`. */
  unavailable?: OidcErrorCode;
  /** Receives both messages of the exchange, secrets included. */
  report?: (end: 'request' | 'response', message: EndpointMessage) => void;
}

/** Names of parameters whose values are secret. */
export const SECRET_NAME =
  /(^|_)(assertion|code|invitation|otp|password|pin|secret|ticket|token|verifier)$|^id_token_hint$|^request$/i;

/** An answer of an endpoint, not judged yet. */
export interface EndpointAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** The server's own words about an error, cleaned, without a secret of the request. */
  readonly description?: string | undefined;
}

/** Request to an endpoint, or its answer. */
export interface EndpointMessage {
  readonly url?: string;
  readonly status?: number;
  /** Form of a request or JSON of an answer, secrets included. */
  readonly parameters: unknown;
}

/** Maximum bytes of an answer of the authorization server's endpoints. */
export const MAX_ENDPOINT_BYTES = 256 * 1024;

/**
 * Sends one POST with the client's authentication. A code or a rotated refresh token works once, so it is
 * repeated only if the server demanded a nonce in the proof (RFC 9449 §8).
 *
 * @throws OidcError when there is no answer. It contains nothing of the request.
 */
export async function postToEndpoint(request: EndpointRequest): Promise<EndpointAnswer> {
  const { url, proofs } = request;
  if (!proofs) return postOnce(request);
  return proofs.send({ method: 'POST', url }, (createProof) => postOnce(request, createProof()));
}

async function postOnce(request: EndpointRequest, proof?: string): Promise<EndpointAnswer> {
  const { url, issuer, http, report } = request;
  const credentials = authenticateClient(request.credentials, issuer, request.seconds());
  const form = { ...request.parameters, ...credentials.form };
  report?.('request', { url, parameters: { ...form, ...(proof && { DPoP: proof }) } });
  try {
    const answer = await http(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...credentials.headers,
        ...(proof && { dpop: proof }),
      },
      body: new URLSearchParams(form).toString(),
    });
    const { status, headers } = answer;
    const body = parseJson(answer.body);
    const description = describeError(body, secretsOf(request.credentials, form, credentials));
    const shown = isObject(body) && description !== undefined;
    const parameters = shown ? { ...body, error_description: description } : body;
    report?.('response', { status, parameters });
    return { status, headers, body, description };
  } catch (error) {
    const { unavailable = 'ERR_TOKEN_ENDPOINT_UNAVAILABLE' } = request;
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

/** Returns the secrets of a request, as they are and as they were sent. */
function secretsOf(
  client: ClientCredentials,
  form: Readonly<Record<string, string>>,
  { headers }: { headers: Record<string, string> },
): string[] {
  const values = Object.entries(form).flatMap(([name, value]) =>
    SECRET_NAME.test(name) ? [value] : [],
  );
  if ('clientSecret' in client) values.push(client.clientSecret);
  const encoded = values.flatMap((value) => [
    encodeURIComponent(value),
    new URLSearchParams({ '': value }).toString().slice(1),
  ]);
  const [, basic] = headers.authorization?.split(' ') ?? [];
  return [...values, ...encoded, ...(basic ? [basic] : [])];
}

function describeError(body: unknown, secrets: readonly string[]): string | undefined {
  const { error_description: text } = (body ?? {}) as Record<string, unknown>;
  if (typeof text !== 'string') return undefined;
  return foreignDescription(secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text));
}

/** Error that an endpoint answered with (RFC 6749 §5.2), for the log. */
interface EndpointError {
  readonly error: string;
  readonly detail: string;
}

/**
 * Reads the error of an answer; undefined when it names none. A wrong secret is `invalid_client`, and at
 * Auth0 a 401 with `access_denied`.
 */
export function readEndpointError({
  status,
  body,
  description,
}: EndpointAnswer): EndpointError | undefined {
  const error = errorCode(((body ?? {}) as Record<string, unknown>).error);
  if (error === undefined) return undefined;
  const isClient = error === 'invalid_client' || (status === 401 && error === 'access_denied');
  const hint = isClient ? 'the issuer does not accept this clientID with this secret or key' : '';
  return { error, detail: [error, description, hint].filter(Boolean).join(': ') };
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

/** The token endpoint refused the request (RFC 6749 §5.2). */
export class TokenRequestRefused extends OidcError {
  override readonly name = 'TokenRequestRefused';
  readonly error: string;

  constructor({ error, detail }: EndpointError) {
    super('ERR_TOKEN_REQUEST_REFUSED', { detail, summary: error });
    this.error = error;
  }
}

/** Reports whether the token endpoint refused the request with this error code (RFC 6749 §5.2). */
export function isRefused(error: unknown, code: string): error is TokenRequestRefused {
  return (
    hasCode(error, 'ERR_TOKEN_REQUEST_REFUSED') && (error as { error?: unknown }).error === code
  );
}

/**
 * Judges the answer to a token request.
 *
 * @param requestedScope what the answer means when it names no scope (§5.1)
 * @param now seconds since 1970
 * @param isBound true when the request had a proof, so that the token must be bound to its key
 * @throws TokenRequestRefused or OidcError
 */
export function judgeTokenResponse(
  answer: EndpointAnswer,
  requestedScope: string,
  now: number,
  isBound = false,
): TokenResponse {
  const { status, body } = answer;
  // §5.1 has 200. Some servers answer each POST with 201.
  if (status !== 200 && status !== 201) throw failureOf(answer, now);
  if (!isObject(body)) throw unusable('it is not a JSON object');
  // Some servers report errors with the status 200.
  if (isAbsent(body.access_token) && readEndpointError(answer)) throw failureOf(answer, now);

  const { token_type, expires_in } = body;
  // LinkedIn sends none. A token that must be bound needs its type.
  const given = isAbsent(token_type) && !isBound ? 'bearer' : token_type;
  const type = typeof given === 'string' ? given.toLowerCase() : undefined;
  // RFC 9449 §5: such a server ignored the proof.
  if (isBound && type === 'bearer') {
    const detail = 'token response: "token_type" is Bearer, not DPoP';
    throw new OidcError('ERR_DPOP_UNSUPPORTED', { detail });
  }
  const expected = isBound ? 'DPoP' : 'Bearer';
  if (type !== expected.toLowerCase()) throw unusable(`"token_type" is not ${expected}`);
  const accessToken = readToken(body, 'access_token');
  if (accessToken === undefined) throw unusable('"access_token" is missing');
  // Twitch sends a list.
  const scopes = [body.scope ?? requestedScope].flat();
  if (!scopes.every(isScopeParameter)) throw unusable('"scope" is not a scope');

  return {
    accessToken,
    expiresAt: isAbsent(expires_in) ? undefined : readExpiry(expires_in, now),
    scope: unionOfScopes(scopes.join(' ')),
    refreshToken: readToken(body, 'refresh_token'),
    idToken: readToken(body, 'id_token'),
  };
}

/** Reports whether a later request may succeed, by the status or by an error code (RFC 6749 §4.1.2.1). */
export function isTransient({ status, body }: EndpointAnswer): boolean {
  const { error } = (body ?? {}) as Record<string, unknown>;
  const isError = error === 'temporarily_unavailable' || error === 'server_error';
  return status === 429 || status >= 500 || isError;
}

/** Makes the error for an answer that grants nothing. */
function failureOf(answer: EndpointAnswer, now: number): OidcError {
  const { status, headers } = answer;
  if (isTransient(answer)) {
    // Auth0 reports the state of its rate limits with every answer.
    const { 'retry-after': after } = headers;
    const relevant = status === 429 ? headers : { ...(after && { 'retry-after': after }) };
    return new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE', {
      detail: `it answered ${status}`,
      retryAfter: retryAfter(relevant, now),
    });
  }
  const error = readEndpointError(answer);
  return error === undefined ? unusable(`it answered ${status}`) : new TokenRequestRefused(error);
}

// Some serializers write absent members as null, or as an empty text.
function isAbsent(value: unknown): value is null | undefined | '' {
  return value === undefined || value === null || value === '';
}

// RFC 6750 §2.1, RFC 6749 appendix A.12: no character that could end a header.
function readToken(members: Record<string, unknown>, name: string): string | undefined {
  const value = members[name];
  if (isAbsent(value)) return undefined;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw unusable(`"${name}" is not a token`);
  }
  return value;
}

// RFC 6749 appendix A.14 allows 0, but gives it no meaning. Servers send it for a token whose end they do not
// know, and a huge number for one without end. Read as an expiry, 0 would cause a refresh or a sign-in for each
// call.
function readExpiry(value: unknown, now: number): number | undefined {
  const isText = typeof value === 'string' && /^\d{1,20}(\.\d{1,20})?$/.test(value);
  const seconds = isText ? Number(value) : value;
  if (typeof seconds !== 'number' || !(seconds >= 0)) {
    throw unusable('"expires_in" is not a number of seconds');
  }
  const isKnown = seconds >= 1 && seconds <= Number.MAX_SAFE_INTEGER;
  return isKnown ? now + Math.floor(seconds) : undefined;
}

const MAX_RETRY_AFTER_SECONDS = 300;
// The format in use, and the two that RFC 9110 §5.6.7 calls obsolete; asctime names no zone and means GMT.
const HTTP_DATE =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2}) \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} (?: \d|\d{2}) \d{2}:\d{2}:\d{2} \d{4}$/;

/**
 * Reads how long a server asks to wait: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), else
 * Auth0's `X-RateLimit-Reset` in seconds since 1970.
 *
 * @returns 1 to 300 seconds, or undefined when neither is there and valid
 */
export function retryAfter(headers: IncomingHttpHeaders, now: number): number | undefined {
  const { 'retry-after': after = '', 'x-ratelimit-reset': reset } = headers;
  if (/^\d{1,15}$/.test(after)) return boundWait(Number(after));
  const date = ASCTIME.test(after) ? `${after} GMT` : HTTP_DATE.test(after) ? after : '';
  if (!Number.isNaN(Date.parse(date))) return boundWait(Date.parse(date) / 1000 - now);
  return typeof reset === 'string' && /^\d{1,15}$/.test(reset)
    ? boundWait(Number(reset) - now)
    : undefined;
}

function boundWait(seconds: number): number {
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds)));
}

function unusable(detail: string): OidcError {
  return new OidcError('ERR_TOKEN_RESPONSE', { detail: `token response: ${detail}` });
}
