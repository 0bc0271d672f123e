import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import { pathOf } from './request-target.ts';

/**
 * Gives each request an id and logs one line when it is answered. The line holds the path, never
 * the query (a callback's holds the code), a header, or who asked.
 */
export function requestLog({ logger }: { logger: Logger }): Middleware {
  return async function requestLog(ctx, next) {
    const start = performance.now();
    const requestId = randomUUID();
    ctx.state.requestId = requestId;
    ctx.set('X-Request-Id', requestId);
    await next();
    const ms = Math.round((performance.now() - start) * 10) / 10;
    const { method, status, state } = ctx;
    const path = pathOf(ctx)?.slice(0, 200);
    const line = { requestId, method, path, status, ms, ...state.failure };
    logger[status >= 500 ? 'error' : 'info'](line, 'answered');
  };
}
