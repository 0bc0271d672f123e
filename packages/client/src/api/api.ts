import type { IncomingHttpHeaders } from 'node:http';
import type { HttpAnswer, HttpClient } from '@koa-oauth/issuer';
import { failureCode } from '../errors.ts';
import { type Proofs, sendWithToken, withoutProofs } from '../oauth/dpop.ts';
import { ApiError, type ApiResponse, judgeApiResponse, refusesToken } from './api-response.ts';
import { resolveApiURL } from './api-url.ts';

/** Options of one call to the API. */
export interface ApiRequestOptions {
  /** Members that are undefined are not sent. */
  searchParams?: Record<string, string | number | boolean | undefined>;
  /** Sent as `application/json`. One of `json`, `form` and `body` at most; a GET has none. */
  json?: unknown;
  /** Sent as `application/x-www-form-urlencoded`. Members that are undefined are not sent. */
  form?: Record<string, string | number | boolean | undefined>;
  /** Sent as it is; its `content-type` belongs in `headers`. No stream: it could not be sent again. */
  body?: string | Buffer | undefined;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
  /** Calls with a token that has these scopes of those granted, and no other. */
  scope?: string | undefined;
  /** Calls with a token for this audience instead of the sign-in's. */
  audience?: string | undefined;
}

/**
 * Calls one API with the session's access token. Paths are relative to the API's address.
 *
 * Each method resolves to a 2xx answer and rejects with an `ApiError` for any other. When the API
 * refuses the token (401), it is renewed and the request sent once more; likewise for a nonce (`dpop`).
 *
 * @throws ApiError; OidcError `ERR_API_URL`; what `ctx.oidc.accessToken()` rejects with; TypeError
 *   for options that can't be sent
 * @example
 * const { body } = await ctx.oidc.api.get('orders', { searchParams: { page: 2 } });
 * await ctx.oidc.api.post('orders', { json: { item: 7 } });
 */
export interface Api {
  get(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  post(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  put(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  patch(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  delete(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
}

/**
 * Supplies access tokens. When there is no other for a token that the API refused (`insteadOf`), it
 * returns that very token.
 */
export type ApiTokenSource = (wanted: {
  scope?: string | undefined;
  audience?: string | undefined;
  insteadOf?: string;
}) => Promise<string>;

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The client of one API, before it is bound to the tokens of a session. */
export class ApiClient {
  readonly #baseURL: string;
  readonly #http: HttpClient;
  readonly #now: () => number;

  /** @param options with `now` in milliseconds since 1970 */
  constructor({ baseURL, http, now }: { baseURL: string; http: HttpClient; now: () => number }) {
    this.#baseURL = baseURL;
    this.#http = http;
    this.#now = now;
  }

  /** @param proofs those of the session, if its tokens are bound to a key */
  bind(tokens: ApiTokenSource, proofs?: Proofs): Api {
    const source = { tokens, proofs };
    return {
      get: (path, options) => this.#call(source, 'GET', path, options),
      post: (path, options) => this.#call(source, 'POST', path, options),
      put: (path, options) => this.#call(source, 'PUT', path, options),
      patch: (path, options) => this.#call(source, 'PATCH', path, options),
      delete: (path, options) => this.#call(source, 'DELETE', path, options),
    };
  }

  /** Sends a request again only when the API refused its token and there is another, or for a nonce. */
  async #call(
    { tokens, proofs }: { tokens: ApiTokenSource; proofs: Proofs | undefined },
    method: Method,
    path: string,
    { searchParams, headers, signal, scope, audience, ...payload }: ApiRequestOptions = {},
  ): Promise<ApiResponse> {
    const url = resolveApiURL(this.#baseURL, path);
    for (const [name, value] of definedEntries(searchParams)) url.searchParams.set(name, value);
    const request = { method, signal, ...contentOf(method, payload, callerHeaders(headers)) };
    const wanted = { scope, audience: audience || undefined };
    const name = `${method} ${url.origin}${url.pathname}`;

    const send = async (accessToken: string): Promise<HttpAnswer> => {
      try {
        return await sendWithToken(this.#http, url, request, { accessToken, proofs });
      } catch (error) {
        const summary = failureCode(error);
        throw new ApiError('ERR_API_UNAVAILABLE', { detail: `${name}: ${summary}`, summary });
      }
    };

    const judge = (answer: HttpAnswer, sent: string[]) =>
      judgeApiResponse(toResponse(answer, sent), name, Math.floor(this.#now() / 1000), !!proofs);
    const token = await tokens(wanted);
    const answer = await send(token);
    if (!refusesToken(answer, !!proofs)) return judge(answer, [token]);
    const another = await tokens({ ...wanted, insteadOf: token });
    return judge(another === token ? answer : await send(another), [token, another]);
  }
}

function contentOf(
  method: Method,
  { json, form, body }: Pick<ApiRequestOptions, 'json' | 'form' | 'body'>,
  headers: Record<string, string>,
): { headers: Record<string, string>; body?: string | Buffer } {
  const given = [json, form, body].filter((value) => value !== undefined);
  if (given.length > 1) throw new TypeError('give one of json, form and body');
  if (given.length > 0 && method === 'GET') throw new TypeError('a GET has no body');
  if (json !== undefined) {
    return {
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(json),
    };
  }
  if (form !== undefined) {
    return {
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(definedEntries(form)).toString(),
    };
  }
  if (body === undefined) return { headers };
  if (typeof body !== 'string' && !Buffer.isBuffer(body)) {
    throw new TypeError('body must be a string or a Buffer; a stream could not be sent again');
  }
  return { headers, body };
}

function definedEntries(values: Record<string, unknown> = {}): [name: string, value: string][] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
}

/** Headers that name the caller or frame the message (RFC 9112 §6): a caller cannot set them. */
const RESERVED_HEADERS = [
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'dpop',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

function callerHeaders(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .map(([name, value]) => [name.toLowerCase(), value])
      .filter(([name = '']) => !RESERVED_HEADERS.includes(name)),
  );
}

/** Reads an answer. The API's page about an error may show the request: no token stays in it. */
function toResponse({ status, headers, body }: HttpAnswer, tokens: readonly string[]): ApiResponse {
  const type = headers['content-type'];
  if (status < 300) return { status, headers, body: parseBody(type, body) };
  const withoutTokens = (text: string) =>
    withoutProofs(tokens.reduce((rest, token) => rest.replaceAll(token, '[access token]'), text));
  const clean = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(withoutTokens) : withoutTokens(String(value)),
  ]);
  return {
    status,
    headers: Object.fromEntries(clean) as IncomingHttpHeaders,
    body: parseBody(type, withoutTokens(body)),
  };
}

function parseBody(type: string | undefined, body: string): unknown {
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type ?? '')) return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
