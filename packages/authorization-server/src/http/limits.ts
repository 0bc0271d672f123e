import type { Middleware } from 'koa';
import type { Tenant } from '../tenant/tenant.ts';
import { createLoginAttempts, type LoginAttempts } from './login-attempts.ts';
import { tokenRateLimit } from './token-rate-limit.ts';

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
