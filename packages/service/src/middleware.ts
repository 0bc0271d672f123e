import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Context, Middleware } from 'koa';
import helmet from 'koa-helmet';

/** Logger that `requestLog` writes to: a pino logger, or any object with these two methods. */
export interface RequestLogger {
  info(line: object, text: string): void;
  error(line: object, text: string): void;
}

/** Logger that `logBrokenAnswers` writes to: a pino logger, or any object with these two methods. */
export interface BrokenAnswerLogger {
  debug(line: object, text: string): void;
  error(line: object, text: string): void;
}

/** Options of `requestLog`. */
export interface RequestLogOptions {
  readonly logger: RequestLogger;
  /** True: the trace id of the caller (`traceparent`) becomes the request's id. Default false. */
  readonly continueTrace?: boolean | undefined;
}

// W3C Trace Context §3.2.2: version, trace id, parent id, flags. Zeros are no id, `ff` is no version, and
// only a version after 00 may have more fields.
const TRACEPARENT =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const MAX_LOGGED_PATH_LENGTH = 200;
/** A segment that is long enough to be a token. */
const LONG_SEGMENT = /[^/]{65,}/g;

/**
 * Gives each request an id and logs one line per answer. The id is in `ctx.state.requestId` and in
 * `X-Request-Id`. The line has the path, but no query, header or body. It also has the members of
 * `ctx.state.failure`, which the middleware that answers errors sets.
 *
 * Use it first, so that every answer has an id and a line.
 *
 * @example
 * app.use(requestLog({ logger: pino(), continueTrace: true }));
 * app.use(async (ctx, next) => {
 *   try {
 *     await next();
 *   } catch (error) {
 *     ctx.status = error.status ?? 500;
 *     ctx.state.failure = { code: error.code };
 *   }
 * });
 */
export function requestLog({ logger, continueTrace = false }: RequestLogOptions): Middleware {
  return async function requestLog(ctx, next) {
    const start = performance.now();
    const traceId = continueTrace ? TRACEPARENT.exec(ctx.get('traceparent'))?.[1] : undefined;
    const requestId = traceId ?? randomUUID();
    ctx.state.requestId = requestId;
    ctx.set('X-Request-Id', requestId);
    await next();
    const ms = Math.round((performance.now() - start) * 10) / 10;
    const { method, status, state } = ctx;
    const path = pathOf(ctx)?.replace(LONG_SEGMENT, '…').slice(0, MAX_LOGGED_PATH_LENGTH);
    const line = { requestId, method, path, status, ms, ...state.failure };
    logger[status >= 500 ? 'error' : 'info'](line, 'answered');
  };
}

// Codes of Node for a connection that the peer cut or a request that it broke.
const PEER_FAULT =
  /^(?:E(?:CONNRESET|CONNABORTED|PIPE|TIMEDOUT)|ERR_STREAM_PREMATURE_CLOSE|HPE_.*)$/;

/**
 * Makes the listener for `error` events of a Koa app, which come after the answer has begun. A peer that
 * cuts its connection or sends no HTTP gets a line at `debug` without the error: strangers can cause
 * any number of them, and the error can hold the request. Any other error gets a line at `error`.
 *
 * @example
 * const app = new Koa();
 * app.on('error', logBrokenAnswers(pino({ serializers: { err: describeError } })));
 */
export function logBrokenAnswers(logger: BrokenAnswerLogger): (error: Error) => void {
  return function logBrokenAnswers(error) {
    const { code, headerSent } = error as { code?: unknown; headerSent?: unknown };
    if (headerSent === true && typeof code === 'string' && PEER_FAULT.test(code)) {
      logger.debug({ code }, 'the connection broke off');
    } else logger.error({ err: error }, 'unexpected error');
  };
}

/**
 * Returns the path of a request. Returns undefined for a request target without a path (`*`) and for one
 * that is not a URL (`http://[/`): `ctx.path` of Koa is null or throws.
 *
 * @example
 * app.use(async (ctx, next) => {
 *   if (pathOf(ctx)?.startsWith('/assets/')) ctx.set('Cache-Control', 'max-age=3600');
 *   await next();
 * });
 */
export function pathOf(ctx: Pick<Context, 'path'>): string | undefined {
  try {
    return ctx.path ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the text by which a caller is counted: one for each caller, in whatever form a proxy writes
 * its address. A port and a zone are left out. An IPv6 address is its /64, because one caller usually
 * has all of that; an IPv4 address written as IPv6 is the IPv4 address (RFC 4291 §2.5.5.2). All texts
 * that are no address are one caller.
 *
 * @example
 * callerAddress('203.0.113.9:50000'); // '203.0.113.9'
 * callerAddress('[2001:DB8::1]:443'); // '2001:db8:0:0::/64'
 * await limiter.consume(callerAddress(ctx.ip));
 */
export function callerAddress(text: string): string {
  const written = text.trim().replace(/^"(.*)"$/, '$1');
  const [, inBrackets, beforePort] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(written) ?? [];
  const address = (inBrackets ?? beforePort ?? written).replace(/%.*/, '');
  if (isIP(address) === 4) return address;
  if (isIP(address) !== 6) return 'unknown';
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const start = head.split(':').filter(Boolean);
  const end = tail.split(':').filter(Boolean);
  const groups = [...start, ...Array(8 - start.length - end.length).fill('0'), ...end];
  if (/^(?:0:){5}ffff:/.test(groups.join(':'))) {
    const bytes = groups.slice(6).flatMap((group) => {
      const number = Number.parseInt(group, 16);
      return [number >> 8, number & 0xff];
    });
    return bytes.join('.');
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}

// RFC 3986 §3.2.2, §3.2.3. It is empty for a target without a host.
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\w.~:%-]+\])(?::\d*)?$/;

/** Reports whether a request has one `Host` that is a host. HTTP/1.0 and HTTP/2 need none. */
function hasValidHost({ rawHeaders, headers, httpVersion }: IncomingMessage): boolean {
  const isHost = (_: string, i: number) => i % 2 === 1 && /^host$/i.test(rawHeaders[i - 1] ?? '');
  // Adapters of serverless platforms leave rawHeaders empty.
  const [host = headers.host, ...others] = rawHeaders.filter(isHost);
  if (host === undefined) return httpVersion !== '1.1';
  return others.length === 0 && HOST.test(host);
}

/**
 * Rejects a request whose target is not a URL, or that has no, two or a wrong `Host` (RFC 9112 §3.2), with
 * 400 and `ERR_MALFORMED_TARGET`. Every middleware after it may read `ctx.path`.
 *
 * @example
 * app.use(requestLog({ logger }));
 * app.use(rejectMalformedTarget());
 * app.use(router.routes());
 */
export function rejectMalformedTarget(): Middleware {
  return async function rejectMalformedTarget(ctx, next) {
    if (pathOf(ctx) === undefined || !hasValidHost(ctx.req)) {
      ctx.throw(400, 'the request target or Host is not valid', { code: 'ERR_MALFORMED_TARGET' });
    }
    await next();
  };
}

/** Options of `securityHeaders`. */
export interface SecurityHeadersOptions {
  /** Directives of the Content-Security-Policy, added to a policy that allows nothing. */
  readonly directives?: Readonly<Record<string, string[]>>;
  /** Default `no-referrer`. */
  readonly referrerPolicy?: 'no-referrer' | 'same-origin';
  /** True: browsers must use https from now on. */
  readonly strictTransportSecurity: boolean;
  /** True: only pages of this origin may embed the answer. Default true. */
  readonly crossOriginResourcePolicy?: boolean;
}

const DENY_ALL = { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"] };

/**
 * Sets the headers that prevent an answer from being framed, sniffed, cached, or run as a page. A
 * route whose answer may be cached sets its own `Cache-Control`.
 *
 * @example
 * app.use(
 *   securityHeaders({
 *     strictTransportSecurity: baseURL.startsWith('https:'),
 *     directives: { styleSrc: ["'self'"], imgSrc: ['data:'] },
 *   }),
 * );
 */
export function securityHeaders({
  directives = {},
  referrerPolicy = 'no-referrer',
  strictTransportSecurity,
  crossOriginResourcePolicy = true,
}: SecurityHeadersOptions): Middleware {
  const setHeaders = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { ...DENY_ALL, ...directives } },
    crossOriginResourcePolicy,
    strictTransportSecurity,
    xFrameOptions: { action: 'deny' },
    referrerPolicy: { policy: referrerPolicy },
  });
  return async function securityHeaders(ctx, next) {
    ctx.set('Cache-Control', 'no-store');
    await setHeaders(ctx, next);
  };
}
