import type { Context, Middleware, Next } from 'koa';
import type { Logger } from 'pino';
import { endpointOf } from '../endpoints.ts';
import { revokedToken } from './revoked-token.ts';

/** Logs, with Auth0's `type`, what the engine has no event for. */
export function logAnswers(log: Logger): Middleware {
  return async function answersLogged(ctx: Context, next: Next) {
    await next();
    const endpoint = endpointOf(ctx);
    // The pages have log lines of their own.
    if (ctx.status === 429 && !endpoint?.startsWith('/u/')) {
      log.warn({ type: 'api_limit', endpoint }, 'refused: too many requests');
    }
    const token = revokedToken(ctx);
    if (token === undefined) return;
    const { clientId: client, accountId: user } = token;
    log.info({ type: 'srrt', client, user }, 'refresh token revoked');
  };
}
