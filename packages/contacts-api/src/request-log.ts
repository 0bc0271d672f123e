import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import { pathOf } from './request-target.ts';

// W3C Trace Context §3.2.2: version, trace id, parent id, flags.
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Gives each request an id, the trace id of its `traceparent` or one made here, and logs one line
 * when it is answered. The line holds the path, never the query or a header: nothing that a caller
 * may have put a token into.
 */
export function requestLog({ logger }: { logger: Logger }): Middleware {
  return async function requestLog(ctx, next) {
    const start = performance.now();
    ctx.state.requestId = TRACEPARENT.exec(ctx.get('traceparent'))?.[1] ?? randomUUID();
    ctx.set('X-Request-Id', ctx.state.requestId);
    await next();
    const ms = Math.round((performance.now() - start) * 10) / 10;
    const { method, status, state } = ctx;
    // Somebody may put a token even there.
    const path = pathOf(ctx)
      ?.replace(/[^/]{65,}/g, '…')
      .slice(0, 200);
    const level = status >= 500 ? 'error' : 'info';
    const { requestId, failure } = state;
    logger[level]({ requestId, method, path, status, ms, ...failure }, 'answered');
  };
}
