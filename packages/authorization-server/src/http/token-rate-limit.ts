import type { Context, Middleware, Next } from 'koa';
import { ROUTES } from '../endpoints.ts';

interface TokenRateLimitOptions {
  /** Requests within one window, of all clients together. */
  readonly limit: number;
  /** Seconds. */
  readonly window: number;
}

/**
 * Limits the token endpoint as Auth0 limits a tenant's, with its headers and its refusal; `Reset`
 * is in epoch seconds.
 *
 * @param now epoch milliseconds.
 */
export function tokenRateLimit(
  { limit, window }: TokenRateLimitOptions,
  now: () => number = Date.now,
): Middleware {
  let used = 0;
  let resetAt = 0;
  return async function tokenRateLimited(ctx: Context, next: Next) {
    // The engine's router minds neither case nor a slash at the end.
    const path = ctx.path.toLowerCase().replace(/\/+$/, '');
    if (ctx.method !== 'POST' || path !== ROUTES.token) return next();
    const seconds = Math.floor(now() / 1000);
    if (seconds >= resetAt) {
      used = 0;
      resetAt = seconds + window;
    }
    const refused = used >= limit;
    if (!refused) used += 1;
    ctx.set({
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': String(limit - used),
      'X-RateLimit-Reset': String(resetAt),
    });
    if (!refused) return next();
    refuseTooMany(ctx, resetAt - seconds);
  };
}

/** Auth0's refusal. @param retryAfter seconds. */
export function refuseTooMany(ctx: Context, retryAfter: number): void {
  ctx.set('Retry-After', String(retryAfter));
  ctx.status = 429;
  ctx.body = {
    error: 'too_many_requests',
    error_description:
      'Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.',
  };
}
