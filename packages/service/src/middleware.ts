import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import helmet from 'koa-helmet';

/** What `requestLog` writes to: a pino logger, or anything with these two levels. */
export interface RequestLogger {
  info(line: object, text: string): void;
  error(line: object, text: string): void;
}

/** Options of `requestLog`. */
export interface RequestLogOptions {
  readonly logger: RequestLogger;
  /** Whether a trace id of the caller (`traceparent`) becomes the id of the request. Default false. */
  readonly continueTrace?: boolean;
}

// W3C Trace Context §3.2.2: version, trace id, parent id, flags.
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Gives each request an id, as `ctx.state.requestId` and `X-Request-Id`, and logs one line when it is
 * answered, together with `ctx.state.failure`. The line holds the path, never the query (that of a
 * callback holds the code) or a header. It stands first.
 *
 * @example
 * app.use(requestLog({ logger: pino() }));
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
    // A caller may put a token even there.
    const path = pathOf(ctx)
      ?.replace(/[^/]{65,}/g, '…')
      .slice(0, 200);
    const line = { requestId, method, path, status, ms, ...state.failure };
    logger[status >= 500 ? 'error' : 'info'](line, 'answered');
  };
}

/** Returns the path of a request; undefined when its target is no URL (`http://[/`), for which Koa's own getter throws. */
export function pathOf(ctx: Pick<Context, 'path'>): string | undefined {
  try {
    return ctx.path ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Rejects a request whose target is no URL (RFC 9112 §3.2) with 400 and `ERR_MALFORMED_TARGET`, so
 * that everything after it may read `ctx.path`.
 *
 * @example
 * app.use(rejectMalformedTarget());
 */
export function rejectMalformedTarget(): Middleware {
  return async function rejectMalformedTarget(ctx, next) {
    if (pathOf(ctx) === undefined) {
      ctx.throw(400, 'the request target is not a valid URL', { code: 'ERR_MALFORMED_TARGET' });
    }
    await next();
  };
}

/** Options of `securityHeaders`. */
export interface SecurityHeadersOptions {
  /** What the Content-Security-Policy allows; without one it allows nothing. */
  readonly directives?: Readonly<Record<string, string[]>>;
  readonly referrerPolicy?: 'no-referrer' | 'same-origin';
  /** Whether browsers must use https from now on. */
  readonly strictTransportSecurity: boolean;
  /** Whether only pages of this origin may embed what is answered. Default true. */
  readonly crossOriginResourcePolicy?: boolean;
}

const NOTHING = { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"] };

/**
 * Sets the headers that keep an answer from being framed, sniffed, cached, or run as a page. An
 * answer that may be cached says so itself.
 *
 * @example
 * app.use(securityHeaders({ strictTransportSecurity: true, directives: { styleSrc: ["'self'"] } }));
 */
export function securityHeaders({
  directives = {},
  referrerPolicy = 'no-referrer',
  strictTransportSecurity,
  crossOriginResourcePolicy = true,
}: SecurityHeadersOptions): Middleware {
  const setHeaders = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { ...NOTHING, ...directives } },
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
