import got from 'got';
import { ATTEMPTS, type AttemptName } from './broken-tokens.ts';

/** What the API answered to a call that was meant to fail. */
export interface ApiAnswer {
  readonly status: number;
  readonly challenge: string | undefined;
  readonly body: string;
}

const TIMEOUT = 5000;
const MAX_BYTES = 64 * 1024;
const MAX_SHOWN = 2000;

/**
 * Calls `GET /contacts` with a wrong token, or none.
 *
 * @param timeout milliseconds for the whole exchange
 * @returns undefined when there is no answer, or the call can't be made of these tokens
 */
export async function tryApi(
  apiBaseURL: string,
  name: AttemptName,
  tokens: { accessToken: string; idToken: string },
  timeout = TIMEOUT,
): Promise<ApiAnswer | undefined> {
  const wrong = ATTEMPTS[name].make(tokens);
  if (!wrong) return undefined;
  try {
    const request = got(`${apiBaseURL.replace(/\/$/, '')}/contacts`, {
      headers: { accept: 'application/json', ...wrong.headers },
      ...('query' in wrong && { searchParams: wrong.query }),
      followRedirect: false,
      throwHttpErrors: false,
      retry: { limit: 0 },
      // Not `timeout`, which an answer of 101 would outlast.
      signal: AbortSignal.timeout(timeout),
      decompress: false,
      enableUnixSockets: false,
    });
    request.on('downloadProgress', ({ transferred }) => {
      if (transferred > MAX_BYTES) request.cancel();
    });
    const { statusCode, headers, body } = await request;
    const challenge = headers['www-authenticate'];
    return { status: statusCode, challenge, body: body.slice(0, MAX_SHOWN) };
  } catch {
    return undefined;
  }
}
