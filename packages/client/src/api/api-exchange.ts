import got, { type Got } from 'got';
import { OidcError } from '../errors.ts';
import { refusesToken } from './api-response.ts';
import { isInside, resolveApiURL } from './api-url.ts';

/** What a request has in got's `context`: never among its headers before it leaves. */
export interface ApiExchangeContext {
  accessToken: string;
  /** @returns another token than this one, or the same when no other can be had */
  anotherToken(refused: string): Promise<string>;
  [name: string]: unknown;
}

interface ApiExchangeOptions {
  baseURL: string;
  /** Milliseconds for each exchange. */
  timeout: number;
}

/**
 * A got instance that can send its token nowhere but below an API's address: it follows no
 * redirect, and sends a request a second time only when the API refused the token and there is
 * another.
 */
export function createApiExchange({ baseURL, timeout }: ApiExchangeOptions): Got {
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
    // Said here, the environment can't switch it off.
    https: { rejectUnauthorized: true, minVersion: 'TLSv1.2' },
    hooks: {
      beforeRequest: [
        // Runs for whatever is about to leave, a retry included; so the token is added here.
        (request) => {
          if (!(request.url instanceof URL) || !isInside(fence, request.url)) {
            throw new OidcError('ERR_API_URL', { detail: "the request left the API's address" });
          }
          const { accessToken } = request.context as ApiExchangeContext;
          request.headers.authorization = `Bearer ${accessToken}`;
        },
      ],
      afterResponse: [
        // got leaves this hook out of the retry, so there is one.
        async (response, retryWithMergedOptions) => {
          const { statusCode: status, headers, request } = response;
          if (!refusesToken({ status, headers })) return response;
          const { accessToken: refused, anotherToken } = request.options
            .context as ApiExchangeContext;
          const accessToken = await anotherToken(refused);
          if (accessToken === refused) return response;
          return retryWithMergedOptions({ context: { accessToken } });
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
