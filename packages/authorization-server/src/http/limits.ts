import { createRequire } from 'node:module';
import { callerAddress } from '@koa-oauth/service';
import type { Context, Middleware, Next } from 'koa';
import type * as Limiters from 'rate-limiter-flexible';
import { endpointOf, ROUTES } from '../endpoints.ts';
import type { Tenant } from '../tenant/tenant.ts';
import { refuse } from './body.ts';

// The index of the package loads the limiters of all databases, which takes longer than all pages here.
const load = createRequire(import.meta.url);
const RateLimiterMemory: typeof Limiters.RateLimiterMemory = load(
  'rate-limiter-flexible/lib/RateLimiterMemory.js',
);
const RateLimiterRes: typeof Limiters.RateLimiterRes = load(
  'rate-limiter-flexible/lib/RateLimiterRes.js',
);

export interface Limits {
  readonly attempts: LoginAttempts;
  readonly userCodes: LoginAttempts;
  readonly tokenRequests: Middleware | undefined;
}

export function createLimits({ attack_protection, rate_limits }: Tenant): Limits {
  const { token } = rate_limits;
  return {
    attempts: new LoginAttempts(attack_protection.brute_force_protection),
    userCodes: new LoginAttempts({ enabled: true, max_attempts: MAX_WRONG_USER_CODES }),
    tokenRequests: token === undefined ? undefined : tokenRateLimit(token),
  };
}

type TokenRateLimit = NonNullable<Tenant['rate_limits']['token']>;
type BruteForceProtection = Tenant['attack_protection']['brute_force_protection'];

const FORGET_AFTER_SECONDS = 60;
const MAX_COUNTS = 10_000;
const MAX_WRONG_USER_CODES = 10;

/** Counts failures by account and address, as Auth0's brute-force protection counts failed sign-ins. */
export class LoginAttempts {
  readonly #enabled: boolean;
  readonly #limiter: Limiters.RateLimiterMemory;
  /** Bounds the limiter's memory. The first key is the least recently used. */
  readonly #keys = new Set<string>();

  constructor({ enabled, max_attempts: points }: BruteForceProtection) {
    this.#enabled = enabled;
    this.#limiter = new RateLimiterMemory({ points, duration: FORGET_AFTER_SECONDS });
  }

  /**
   * Counts an attempt before its password is checked, so that simultaneous attempts gain nothing.
   * Returns the seconds to wait after too many.
   */
  async count(account: string, address: string): Promise<number | undefined> {
    if (!this.#enabled) return undefined;
    const key = keyOf(account, address);
    const { allowed, consumedPoints, msLeft } = await consume(this.#limiter, key);
    if (!allowed) return Math.ceil(msLeft / 1000);
    // The minute starts again with each attempt that is counted.
    await this.#limiter.set(key, consumedPoints, FORGET_AFTER_SECONDS);
    this.#keys.delete(key);
    this.#keys.add(key);
    const [oldest] = this.#keys;
    if (this.#keys.size > MAX_COUNTS && oldest !== undefined) await this.#forget(oldest);
    return undefined;
  }

  /** Removes the count of an account after a right password. */
  forget(account: string, address: string): Promise<void> {
    return this.#forget(keyOf(account, address));
  }

  /** Removes one attempt, which was no failure; the others still count. */
  async removeAttempt(account: string, address: string): Promise<void> {
    await this.#limiter.reward(keyOf(account, address), 1);
  }

  async #forget(key: string): Promise<void> {
    this.#keys.delete(key);
    await this.#limiter.delete(key);
  }
}

function keyOf(account: string, address: string): string {
  return JSON.stringify([account.toLowerCase().slice(0, 320), callerAddress(address)]);
}

/** Limits the token requests of all clients together, as Auth0 limits a tenant's. */
export function tokenRateLimit({ limit, window }: TokenRateLimit): Middleware {
  const limiter = new RateLimiterMemory({ points: limit, duration: window });
  return async function tokenRateLimit(ctx: Context, next: Next) {
    if (ctx.method !== 'POST' || endpointOf(ctx) !== ROUTES.token) return next();
    // The window ends at a full second, which `Reset` can name.
    const customDuration = window - (Date.now() % 1000) / 1000;
    const { allowed, remainingPoints, msLeft } = await consume(limiter, '', { customDuration });
    ctx.set({
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': String(remainingPoints),
      'X-RateLimit-Reset': String(Math.round((Date.now() + msLeft) / 1000)),
    });
    if (allowed) return next();
    refuseTooMany(ctx, Math.ceil(msLeft / 1000));
  };
}

/** Answers with Auth0's refusal. @param retryAfter seconds. */
export function refuseTooMany(ctx: Context, retryAfter: number): void {
  ctx.set('Retry-After', String(retryAfter));
  const headers = 'X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers';
  refuse(ctx, 429, 'too_many_requests', `Too many requests. Check the ${headers}.`);
}

/** Consumes one point. The time that the limiter reports is too long after the wall clock was set back. */
async function consume(
  limiter: Limiters.RateLimiterMemory,
  key: string,
  options: { readonly customDuration?: number } = {},
) {
  const [allowed, state] = await limiter.consume(key, 1, options).then(
    (consumed) => [true, consumed] as const,
    (refused: unknown) => [false, refused] as const,
  );
  if (!(state instanceof RateLimiterRes)) throw state;
  const { consumedPoints, remainingPoints, msBeforeNext } = state;
  const msLeft = Math.min(Math.max(msBeforeNext, 1), limiter.duration * 1000);
  return { allowed, consumedPoints, remainingPoints, msLeft };
}
