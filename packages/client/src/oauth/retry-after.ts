import type { IncomingHttpHeaders } from 'node:http';

const MOST = 300;
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * How long a server wants to be left alone: `Retry-After` in seconds or as a date (RFC 9110
 * §10.2.3), else Auth0's `X-RateLimit-Reset` in seconds since 1970.
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
  return Math.min(MOST, Math.max(1, Math.ceil(seconds)));
}
