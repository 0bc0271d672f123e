import got, { type OptionsOfBufferResponseBody } from 'got';
import { IssuerUnavailable } from './errors.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';

export interface FetchedJson {
  readonly status: number;
  readonly body: unknown;
  /** `max-age` of `Cache-Control` in milliseconds (RFC 9111 §5.2.2.1); 0 for `no-store`. */
  readonly maxAge: number | undefined;
}

export interface FetchLimits {
  /** Milliseconds for the whole exchange, body included. */
  timeout: number;
  /** Bytes of the body. */
  maxBytes: number;
}

/**
 * One GET of a JSON document. Follows no redirect, retries nothing, decompresses nothing, and
 * bounds both the time of the whole exchange and the size of the body.
 *
 * @returns the parsed body of a 200; any other status with `body` undefined
 * @throws IssuerUnavailable when there is no answer, or one that is too slow, too large or no JSON
 */
export async function fetchJson(
  url: string,
  { timeout, maxBytes }: FetchLimits,
): Promise<FetchedJson> {
  const request = got(url, options(timeout));
  request.on('request', refuseUpgrade);
  let tooLarge = false;
  request.on('downloadProgress', ({ transferred }) => {
    if (transferred > maxBytes && !tooLarge) {
      tooLarge = true;
      request.cancel();
    }
  });

  let response: Awaited<typeof request>;
  try {
    response = await request;
  } catch (cause) {
    const reason = tooLarge ? `sent more than ${maxBytes} bytes` : describe(cause);
    throw new IssuerUnavailable(`GET ${url}: ${reason}`, { cause });
  }

  const maxAge = parseMaxAge(response.headers['cache-control']);
  if (response.statusCode !== 200) return { status: response.statusCode, body: undefined, maxAge };
  try {
    return { status: 200, body: JSON.parse(response.body.toString('utf8')), maxAge };
  } catch (cause) {
    throw new IssuerUnavailable(`GET ${url}: the body is not JSON`, { cause });
  }
}

function options(timeout: number): OptionsOfBufferResponseBody {
  return {
    responseType: 'buffer',
    headers: { accept: 'application/json', 'user-agent': 'koa-oauth' },
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { request: timeout },
    // A few compressed kilobytes could unfold into gigabytes.
    decompress: false,
    enableUnixSockets: false,
  };
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? 'failed';
}

function parseMaxAge(header: string | undefined): number | undefined {
  if (!header) return undefined;
  if (/(?:^|[\s,])no-(?:store|cache)(?:[\s,=]|$)/i.test(header)) return 0;
  const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
