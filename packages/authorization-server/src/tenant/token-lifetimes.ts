import type { Application } from './tenant.ts';

const DAY = 24 * 60 * 60;
export const NEVER = 100 * 365 * DAY;

export const epochTime = (): number => Math.floor(Date.now() / 1000);

/**
 * How many seconds a refresh token is good for from `now` on: until its absolute end, which counts
 * from the login and which rotation does not put off, or until it has lain idle for too long.
 */
export function refreshTokenSeconds(
  application: Application | undefined,
  /** When the first token of the family was issued, in epoch seconds. */
  loginAt: number | undefined,
  now = epochTime(),
): number {
  const { absolute, idle } = limitsOf(application);
  return Math.max(1, Math.min(idle, (loginAt ?? now) + absolute - now));
}

/** A grant outlives each of its refresh tokens. */
export function grantSeconds(application: Application | undefined): number {
  return limitsOf(application).absolute + DAY;
}

export function limitsOf(application: Application | undefined): { absolute: number; idle: number } {
  if (application === undefined) return { absolute: 30 * DAY, idle: NEVER };
  const settings = application.refresh_token;
  const ends = settings.expiration_type === 'expiring';
  return {
    absolute: ends && !settings.infinite_token_lifetime ? settings.token_lifetime : NEVER,
    idle:
      ends && !settings.infinite_idle_token_lifetime
        ? (settings.idle_token_lifetime ?? NEVER)
        : NEVER,
  };
}
