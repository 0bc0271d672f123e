import { IssuerUnavailable } from './errors.ts';
import type { HttpClient } from './http-client.ts';

export interface FetchedJson {
  readonly status: number;
  readonly body: unknown;
  /** `max-age` of `Cache-Control` in milliseconds (RFC 9111 §5.2.2.1); 0 for `no-store`. */
  readonly maxAge: number | undefined;
}

/**
 * Fetches a JSON document.
 *
 * @returns the parsed body of a 200; any other status with `body` undefined
 * @throws IssuerUnavailable when there is no answer, or one that is too slow, too large or no JSON
 */
export async function fetchJson(url: string, http: HttpClient): Promise<FetchedJson> {
  const { status, headers, body } = await http(url).catch((cause: Error) => {
    throw new IssuerUnavailable(cause.message, { cause });
  });
  const maxAge = parseMaxAge(headers['cache-control']);
  if (status !== 200) return { status, body: undefined, maxAge };
  try {
    return { status, body: JSON.parse(body), maxAge };
  } catch (cause) {
    throw new IssuerUnavailable(`GET ${url}: the body is not JSON`, { cause });
  }
}

function parseMaxAge(header: string | undefined): number | undefined {
  if (!header) return undefined;
  if (/(?:^|[\s,])no-(?:store|cache)(?:[\s,=]|$)/i.test(header)) return 0;
  const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
