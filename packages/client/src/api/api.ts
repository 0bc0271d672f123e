import type { IncomingHttpHeaders } from 'node:http';
import { refuseUpgrade } from '@koa-oauth/issuer';
import type { Method } from 'got';
import { foreignText, OidcError } from '../errors.ts';
import { type ApiExchangeContext, createApiExchange } from './api-exchange.ts';
import { ApiError, type ApiResponse, judgeApiResponse } from './api-response.ts';
import { resolveApiURL } from './api-url.ts';

/** What a call to the API sends beside its path. */
export interface ApiRequestOptions {
  searchParams?: Record<string, string | number | boolean | undefined>;
  /** Sent as `application/json`. One of `json`, `form` and `body` at most; a GET has none. */
  json?: unknown;
  /** Sent as `application/x-www-form-urlencoded`. */
  form?: Record<string, string | number | boolean | undefined>;
  /** Sent as it is; its `content-type` is for you to give. No stream: it could not be sent again. */
  body?: string | Buffer;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Calls with a token that has these scopes of those granted, and no other. */
  scope?: string;
  /** Calls with a token for this audience in place of the sign-in's. */
  audience?: string;
}

/**
 * Calls one API with the session's access token. Paths are relative to the API's address.
 *
 * Each method resolves to a 2xx answer and rejects with an `ApiError` for any other. When the API
 * refuses the token (401), it is renewed and the request sent once more.
 *
 * @throws ApiError; OidcError `ERR_API_URL`; what `ctx.oidc.accessToken()` rejects with; TypeError
 *   for options that can't be sent
 */
export interface Api {
  get(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  post(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  put(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  patch(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  delete(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
}

/**
 * Supplies access tokens. Asked for one in place of a token that the API refused, it answers that
 * very token when no other can be had.
 */
export type TokenSource = (wanted: {
  scope?: string;
  audience?: string;
  insteadOf?: string;
}) => Promise<string>;

interface ApiOptions {
  baseURL: string;
  /** Milliseconds for each exchange. */
  timeout: number;
  /** Bytes of an answer's body. */
  maxResponseSize: number;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** @returns a function that binds the client to whatever supplies access tokens */
export function createApi(options: ApiOptions): (tokens: TokenSource) => Api {
  const { baseURL, maxResponseSize, now } = options;
  const exchange = createApiExchange(options);

  return function bindApi(tokens) {
    async function call(
      method: Method,
      path: string,
      { searchParams, headers, signal, scope, audience, ...payload }: ApiRequestOptions = {},
    ): Promise<ApiResponse> {
      const url = resolveApiURL(baseURL, path);
      for (const [name, value] of Object.entries(searchParams ?? {})) {
        if (value !== undefined) url.searchParams.set(name, String(value));
      }
      const content = contentOf(method, payload);
      const wanted = { ...(scope ? { scope } : {}), ...(audience ? { audience } : {}) };
      const accessToken = await tokens(wanted);
      const used = [accessToken];
      let withoutToken: unknown;

      const context: ApiExchangeContext = {
        accessToken,
        async anotherToken(insteadOf) {
          try {
            const another = await tokens({ ...wanted, insteadOf });
            used.push(another);
            return another;
          } catch (error) {
            withoutToken = error;
            throw error;
          }
        },
      };
      const request = exchange(url, {
        method,
        headers: harmless(headers),
        context,
        ...content,
        ...(signal ? { signal } : {}),
      });
      request.on('request', refuseUpgrade);
      request.on('downloadProgress', ({ transferred }) => {
        if (transferred > maxResponseSize) request.cancel();
      });
      try {
        const answer = await request;
        return judgeApiResponse(readable(answer, used), Math.floor(now() / 1000));
      } catch (error) {
        if (error instanceof OidcError) throw error;
        if (withoutToken !== undefined) throw withoutToken;
        const { cause } = error as Error;
        if (cause instanceof OidcError) throw cause;
        const detail = `${method} ${url.origin}${url.pathname}: ${describe(error)}`;
        throw new ApiError('ERR_API_UNAVAILABLE', { detail });
      }
    }

    return {
      get: (path, request) => call('GET', path, request),
      post: (path, request) => call('POST', path, request),
      put: (path, request) => call('PUT', path, request),
      patch: (path, request) => call('PATCH', path, request),
      delete: (path, request) => call('DELETE', path, request),
    };
  };
}

type Payload = Pick<ApiRequestOptions, 'json' | 'form' | 'body'>;

function contentOf(method: Method, { json, form, body }: Payload): Payload {
  const given = Object.entries({ json, form, body }).filter(([, value]) => value !== undefined);
  if (given.length > 1) throw new TypeError('give one of json, form and body');
  if (given.length > 0 && method === 'GET') throw new TypeError('a GET has no body');
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) {
    throw new TypeError('body must be a string or a Buffer; a stream could not be sent again');
  }
  return Object.fromEntries(given);
}

/** What names the caller, or how a message is framed (RFC 9112 §6), is not for a caller to set. */
const OURS = [
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

function harmless(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !OURS.includes(name.toLowerCase())),
  );
}

interface Answer {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** An API's page about an error may show the request that led to it. */
function readable({ statusCode, headers, body }: Answer, tokens: readonly string[]): ApiResponse {
  const withoutTokens = (text: string) =>
    tokens.reduce((rest, token) => rest.replaceAll(token, '[access token]'), text);
  const isError = statusCode >= 300;
  const text = isError ? withoutTokens(String(body)) : String(body);
  const ownHeaders = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(withoutTokens) : withoutTokens(String(value)),
  ]);
  return {
    status: statusCode,
    headers: isError ? Object.fromEntries(ownHeaders) : headers,
    body: parseBody(headers['content-type'], text),
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

function describe(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return foreignText(String(code ?? name), 60);
}
