import got from 'got';
import { ATTEMPTS, type AttemptName } from './broken-tokens.ts';

/** What the API answered to a call that was meant to fail. */
export interface ApiAnswer {
  readonly status: number;
  readonly challenge: string | undefined;
  readonly body: string;
}

const TIMEOUT = 5000;
const MAX_SHOWN = 2000;

/**
 * Calls `GET /contacts` with a wrong token, or none.
 *
 * @returns undefined when there is no answer, or the call can't be made of these tokens
 */
export async function tryApi(
  apiBaseURL: string,
  name: AttemptName,
  tokens: { accessToken: string; idToken: string },
): Promise<ApiAnswer | undefined> {
  const wrong = ATTEMPTS[name].make(tokens);
  if (!wrong) return undefined;
  try {
    const { statusCode, headers, body } = await got(`${apiBaseURL.replace(/\/$/, '')}/contacts`, {
      headers: { accept: 'application/json', ...wrong.headers },
      ...('query' in wrong && { searchParams: wrong.query }),
      followRedirect: false,
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: { request: TIMEOUT },
      enableUnixSockets: false,
    });
    const challenge = headers['www-authenticate'];
    return { status: statusCode, challenge, body: body.slice(0, MAX_SHOWN) };
  } catch {
    return undefined;
  }
}
