import type { Auth } from '@koa-oauth/resource-server';
import { Redis } from 'ioredis';
import type { Middleware } from 'koa';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { TooManyRequests } from './errors.ts';

const WINDOW = 60;

export interface RateLimitOptions {
  /** Requests a minute of one subject. */
  readonly perSubject: number;
  /** Refused tokens a minute from one address. */
  readonly refusedPerAddress: number;
  /** `memory:`, counted by each process for itself, or `redis://…`, counted by all together. */
  readonly storeURL: string;
  /** Told when Redis goes, and when it is back. */
  readonly onStoreChange?: (state: string) => void;
}

export interface RateLimits {
  /** Counts what a subject asks for; stands behind the token's verification. */
  readonly perSubject: Middleware;
  /**
   * Counts refused tokens, and past the limit answers 429 in place of 401. A good token is never
   * refused for others that come from its address.
   */
  readonly refusedPerAddress: Middleware;
  close(): Promise<void>;
}

/** Makes the limits. While Redis is away, each process counts for itself. */
export function rateLimits({
  perSubject,
  refusedPerAddress,
  storeURL,
  onStoreChange = () => {},
}: RateLimitOptions): RateLimits {
  const redis = storeURL.startsWith('memory:') ? undefined : connect(storeURL, onStoreChange);
  const limiter = (keyPrefix: string, points: number): RateLimiterAbstract => {
    const memory = new RateLimiterMemory({ keyPrefix, points, duration: WINDOW });
    if (!redis) return memory;
    const rules = { keyPrefix, points, duration: WINDOW, insuranceLimiter: memory };
    return new RateLimiterRedis({ ...rules, storeClient: redis });
  };
  const subjects = limiter('contacts-subject', perSubject);
  const addresses = limiter('contacts-refused', refusedPerAddress);
  const policy = `"subject";q=${perSubject};w=${WINDOW}`;

  return {
    async perSubject(ctx, next) {
      const { iss, sub } = (ctx.state.auth as Auth).payload;
      const { allowed, remaining, seconds } = await consume(subjects, `${iss} ${sub}`);
      const headers = {
        'RateLimit-Policy': policy,
        RateLimit: `"subject";r=${remaining};t=${seconds}`,
      };
      if (!allowed) throw new TooManyRequests(seconds, headers);
      ctx.set(headers);
      await next();
    },

    async refusedPerAddress(ctx, next) {
      try {
        await next();
      } catch (error) {
        if ((error as { code?: unknown } | null)?.code !== 'ERR_INVALID_TOKEN') throw error;
        const { allowed, seconds } = await consume(addresses, ctx.ip);
        throw allowed ? error : new TooManyRequests(seconds);
      }
    },

    async close() {
      redis?.disconnect();
    },
  };
}

async function consume(
  limiter: RateLimiterAbstract,
  key: string,
): Promise<{ allowed: boolean; remaining: number; seconds: number }> {
  const [allowed, state] = await limiter.consume(key).then(
    (consumed) => [true, consumed] as const,
    (refused: unknown) => [false, refused] as const,
  );
  if (!(state instanceof RateLimiterRes)) throw state;
  const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1000));
  return { allowed, remaining: state.remainingPoints, seconds };
}

function connect(url: string, onChange: (state: string) => void): Redis {
  // A request waits for Redis a tenth of a second at most; then it is counted in memory.
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 100,
    connectTimeout: 5000,
  });
  // Unheard, the event would end the process; the connection is tried again by itself.
  redis.on('error', () => {});
  let here: boolean | undefined;
  const tell = (isHere: boolean, state: string) => {
    if (here !== isHere) onChange(state);
    here = isHere;
  };
  redis.on('ready', () => tell(true, 'reached'));
  redis.on('close', () => tell(false, 'away; each process counts for itself'));
  return redis;
}
