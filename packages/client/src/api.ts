import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import got, { type Got, type Method } from 'got';
import { isInside, resolveApiURL } from './api-url.ts';
import { parseBearerChallenge } from './challenge.ts';
import {
  errorCode,
  foreignText,
  OidcError,
  type OidcErrorCode,
  type OidcErrorOptions,
} from './errors.ts';

export interface ApiRequestOptions {
  searchParams?: Record<string, string | number | boolean | undefined>;
  /** Sent as `application/json`. */
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Parsed if it is JSON, else its text. Written by others: to be judged before it is used. */
  readonly body: unknown;
}

/**
 * Calls one API with the session's access token. Paths are relative to the API's address.
 *
 * Each method resolves to a 2xx answer and rejects with an `ApiError` for any other.
 */
export interface Api {
  get(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  post(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  put(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  patch(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
  delete(path: string, options?: ApiRequestOptions): Promise<ApiResponse>;
}

/**
 * The API did not do as asked: `ERR_API_UNAVAILABLE`, `ERR_API_TOKEN_REFUSED` (401),
 * `ERR_INSUFFICIENT_SCOPE` (403, RFC 6750 §3.1) or `ERR_API_REFUSED`. Neither it nor what it holds
 * has anything of the request.
 */
export class ApiError extends OidcError {
  override readonly name = 'ApiError';
  /** The API's answer; undefined when there was none. */
  readonly response: ApiResponse | undefined;
  /** With `ERR_INSUFFICIENT_SCOPE`: what the API says the request needs. */
  readonly scope: string | undefined;

  constructor(
    code: OidcErrorCode,
    options: OidcErrorOptions & { response?: ApiResponse; scope?: string | undefined },
  ) {
    super(code, options);
    this.response = options.response;
    this.scope = options.scope;
  }
}

interface ApiOptions {
  baseURL: string;
  /** Milliseconds for a whole exchange. */
  timeout: number;
  /** Bytes of an answer's body. */
  maxResponseSize: number;
}

/** @returns a function that binds the client to whatever supplies an access token */
export function createApi(options: ApiOptions): (accessToken: () => Promise<string>) => Api {
  const client = createClient(options);
  const { baseURL, maxResponseSize } = options;

  return function bindApi(accessToken) {
    async function call(
      method: Method,
      path: string,
      { searchParams, json, headers, signal }: ApiRequestOptions = {},
    ): Promise<ApiResponse> {
      const url = resolveApiURL(baseURL, path);
      for (const [name, value] of Object.entries(searchParams ?? {})) {
        if (value !== undefined) url.searchParams.set(name, String(value));
      }
      const request = client(url, {
        method,
        headers: harmless(headers),
        context: { accessToken: await accessToken() },
        ...(json === undefined ? {} : { json }),
        ...(signal ? { signal } : {}),
      });
      request.on('downloadProgress', ({ transferred }) => {
        if (transferred > maxResponseSize) request.cancel();
      });
      let answer: Awaited<typeof request>;
      try {
        answer = await request;
      } catch (error) {
        if (error instanceof OidcError) throw error;
        throw unavailable(`${method} ${url.origin}${url.pathname}: ${describe(error)}`);
      }
      return judgeApiResponse({
        status: answer.statusCode,
        headers: answer.headers,
        body: parseBody(answer.headers['content-type'], answer.body as string),
      });
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

/** @returns a 2xx answer. @throws ApiError for any other */
function judgeApiResponse(response: ApiResponse): ApiResponse {
  const { status, headers } = response;
  if (status >= 200 && status < 300) return response;
  const detail = `it answered ${status}`;
  if (status === 502 || status === 503 || status === 504) throw unavailable(detail, response);
  const challenge = parseBearerChallenge(headers['www-authenticate']);
  const error = errorCode(challenge?.error);
  const why = error ? `${detail} ${error}` : detail;
  if (status === 401) throw new ApiError('ERR_API_TOKEN_REFUSED', { detail: why, response });
  if (status === 403 && error === 'insufficient_scope') {
    const scope = challenge?.scope && foreignText(challenge.scope);
    throw new ApiError('ERR_INSUFFICIENT_SCOPE', { detail: why, response, scope });
  }
  const ownStatus = status >= 400 && status < 500 && STATUS_CODES[status] ? status : 502;
  throw new ApiError('ERR_API_REFUSED', { detail: why, response, status: ownStatus });
}

function createClient({ baseURL, timeout }: ApiOptions): Got {
  const fence = resolveApiURL(baseURL, '');
  return got.extend({
    mutableDefaults: false,
    responseType: 'text',
    headers: { accept: 'application/json' },
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { request: timeout },
    // A few compressed kilobytes could unfold into gigabytes.
    decompress: false,
    enableUnixSockets: false,
    hooks: {
      beforeRequest: [
        // Runs for whatever is about to leave, a retry included; so the token is added here.
        (request) => {
          const { accessToken } = request.context;
          if (!(request.url instanceof URL) || !isInside(fence, request.url)) {
            throw new OidcError('ERR_API_URL', { detail: "the request left the API's address" });
          }
          request.headers.authorization = `Bearer ${String(accessToken)}`;
        },
      ],
      beforeError: [
        (error) => {
          delete error.options.headers.authorization;
          error.options.context = {};
          return error;
        },
      ],
    },
  });
}

const NOT_THE_CALLERS = ['authorization', 'cookie', 'host', 'proxy-authorization'];

function harmless(headers: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !NOT_THE_CALLERS.includes(name.toLowerCase())),
  );
}

function parseBody(type: string | undefined, body: string): unknown {
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type ?? '')) return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

function unavailable(detail: string, response?: ApiResponse): ApiError {
  return new ApiError('ERR_API_UNAVAILABLE', { detail, ...(response ? { response } : {}) });
}

function describe(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return foreignText(String(code ?? name), 60);
}
