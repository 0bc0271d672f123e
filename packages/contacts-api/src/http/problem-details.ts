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
 * Answers every error as `application/problem+json` (RFC 9457), with the error's own status and
 * headers. The message is shown only when the error sets `expose`; any other error is a bare 500. The
 * rest goes to `ctx.state.failure`, for the log.
 */
export function problemDetails(): Middleware {
  return async function problemDetails(ctx, next) {
    try {
      await next();
      if (ctx.status >= 400 && ctx.body == null) respond(ctx, { status: ctx.status });
    } catch (error) {
      const failure = (typeof error === 'object' && error !== null ? error : {}) as Failure;
      const { expose, code, reason, detail } = failure;
      // Any other error may hold secrets: the `detail` of a database holds the row.
      const isPublic = expose === true;
      respond(ctx, isPublic ? failure : { status: 500 });
      ctx.state.failure = isPublic ? { code, reason, detail } : { code, err: error };
    }
  };
}

function respond(ctx: Context, failure: Failure): void {
  const { code, message, headers, errors } = failure;
  const { status: given } = failure;
  const isError = typeof given === 'number' && given >= 400 && given in STATUS_CODES;
  const status = isError ? given : 500;
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
