import type { Context, Middleware, Next } from 'koa';
import { ROUTES } from '../endpoints.ts';
import type { Tenant } from '../tenant/tenant.ts';

/** The tenant's limits with what they have counted so far. */
export interface Limits {
  readonly attempts: LoginAttempts;
  /** Undefined when the tenant limits no token requests. */
  readonly tokenRequests: Middleware | undefined;
}

export function createLimits({ attack_protection, rate_limits }: Tenant): Limits {
  const { token } = rate_limits;
  return {
    attempts: createLoginAttempts(attack_protection.brute_force_protection),
    tokenRequests: token === undefined ? undefined : tokenRateLimit(token),
  };
}

interface LoginAttemptsOptions {
  readonly enabled: boolean;
  /** Failures after which an account has to wait. */
  readonly max_attempts: number;
}

/** Counts failed sign-ins by account and address, as Auth0's brute-force protection does. */
export interface LoginAttempts {
  /**
   * Counts an attempt before its password is looked at, so that many at once gain nothing.
   *
   * @returns the seconds to wait when there were too many; undefined when it may go on.
   */
  begin(account: string, address: string): number | undefined;
  /** The password was right: what was counted is forgotten. */
  succeed(account: string, address: string): void;
}

const FORGOTTEN_AFTER = 60;
const MOST = 10_000;

/** @param now epoch milliseconds. */
export function createLoginAttempts(
  { enabled, max_attempts }: LoginAttemptsOptions,
  now: () => number = Date.now,
): LoginAttempts {
  const counts = new Map<string, { attempts: number; last: number }>();
  const keyOf = (account: string, address: string): string =>
    JSON.stringify([account.toLowerCase().slice(0, 320), address]);
  return {
    begin(account, address) {
      if (!enabled) return undefined;
      const key = keyOf(account, address);
      const { attempts, last } = counts.get(key) ?? { attempts: 0, last: 0 };
      const left = Math.ceil(last / 1000 + FORGOTTEN_AFTER - now() / 1000);
      if (left > 0 && attempts >= max_attempts) return left;
      // Put in again at the end: the first entry is always the one untouched for longest.
      counts.delete(key);
      counts.set(key, { attempts: left > 0 ? attempts + 1 : 1, last: now() });
      const [oldest] = counts.keys();
      if (counts.size > MOST && oldest !== undefined) counts.delete(oldest);
      return undefined;
    },
    succeed(account, address) {
      counts.delete(keyOf(account, address));
    },
  };
}

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
