import { STATUS_CODES } from 'node:http';
import type { Context, Middleware } from 'koa';
import type { FieldError } from '../errors.ts';

interface Failure {
  readonly status?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly expose?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly FieldError[];
  readonly detail?: unknown;
  readonly reason?: unknown;
}

/**
 * The one place that answers errors: as `application/problem+json` (RFC 9457), with the status and
 * headers the error carries. What an error says is shown only where the error allows it; anything
 * unforeseen is a bare 500. The rest is left in `ctx.state.failure`, for the log.
 */
export function problemDetails(): Middleware {
  return async function problemDetails(ctx, next) {
    try {
      await next();
      if (ctx.status >= 400 && ctx.body == null) respond(ctx, { status: ctx.status });
    } catch (error) {
      const failure = (typeof error === 'object' && error !== null ? error : {}) as Failure;
      const { expose, code, reason, detail } = failure;
      // An error that was not made for showing is ours, and says more than a caller may read: the
      // `detail` of a database holds the row that it is about.
      const shown = expose === true;
      respond(ctx, shown ? failure : { status: 500 });
      ctx.state.failure = shown ? { code, reason, detail } : { code, err: error };
    }
  };
}

function respond(ctx: Context, { status: given, code, message, headers, errors }: Failure): void {
  const status =
    typeof given === 'number' && given >= 400 && given <= 599 && STATUS_CODES[given] ? given : 500;
  ctx.status = status;
  if (headers) ctx.set({ ...headers });
  ctx.body = JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: message,
    code,
    errors,
    requestId: ctx.state.requestId,
  });
  ctx.type = 'application/problem+json';
  ctx.set('Cache-Control', 'no-store');
}
