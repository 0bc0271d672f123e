import type { Auth } from '@koa-oauth/resource-server';
import { Redis } from 'ioredis';
import type { Middleware } from 'koa';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { ApiError } from '../errors.ts';

const WINDOW_SECONDS = 60;

export interface RateLimitOptions {
  /** Requests a minute of one subject. */
  readonly perSubject: number;
  /** Refused tokens a minute from one address. */
  readonly refusedPerAddress: number;
  /** `memory:`, counted by each process for itself, or `redis://…`, counted by all together. */
  readonly storeURL: string;
  /** Is called when Redis is away, and when it is back. */
  readonly onStoreChange?: (state: string) => void;
}

/** Counts requests by minutes. While Redis is away, each process counts for itself. */
export class RateLimits {
  readonly #redis: Redis | undefined;
  readonly #subjects: RateLimiterAbstract;
  readonly #addresses: RateLimiterAbstract;

  constructor(options: RateLimitOptions) {
    const { perSubject, refusedPerAddress, storeURL, onStoreChange = () => {} } = options;
    this.#redis = storeURL.startsWith('memory:') ? undefined : connect(storeURL, onStoreChange);
    this.#subjects = this.#limiter('contacts-subject', perSubject);
    this.#addresses = this.#limiter('contacts-refused', refusedPerAddress);
  }

  /** Counts what a subject asks for; stands after the token's verification. */
  perSubject(): Middleware {
    const subjects = this.#subjects;
    const policy = `"subject";q=${subjects.points};w=${WINDOW_SECONDS}`;
    return async function perSubject(ctx, next) {
      const { iss, sub } = (ctx.state.auth as Auth).payload;
      const { allowed, remaining, seconds } = await consume(subjects, `${iss} ${sub}`);
      const headers = {
        'RateLimit-Policy': policy,
        RateLimit: `"subject";r=${remaining};t=${seconds}`,
      };
      if (!allowed) throw tooManyRequests(seconds, headers);
      ctx.set(headers);
      await next();
    };
  }

  /**
   * Counts refused tokens, and past the limit answers 429 instead of 401. A good token is never
   * refused for others that come from its address.
   */
  refusedPerAddress(): Middleware {
    const addresses = this.#addresses;
    return async function refusedPerAddress(ctx, next) {
      try {
        await next();
      } catch (error) {
        if ((error as { code?: unknown } | null)?.code !== 'ERR_INVALID_TOKEN') throw error;
        const { allowed, seconds } = await consume(addresses, ctx.ip);
        throw allowed ? error : tooManyRequests(seconds);
      }
    };
  }

  close(): void {
    this.#redis?.disconnect();
  }

  #limiter(keyPrefix: string, points: number): RateLimiterAbstract {
    const rules = { keyPrefix, points, duration: WINDOW_SECONDS };
    const memory = new RateLimiterMemory(rules);
    if (!this.#redis) return memory;
    return new RateLimiterRedis({ ...rules, insuranceLimiter: memory, storeClient: this.#redis });
  }
}

// RFC 6585 §4.
function tooManyRequests(seconds: number, headers: Readonly<Record<string, string>> = {}) {
  return new ApiError('ERR_TOO_MANY_REQUESTS', {
    headers: { ...headers, 'Retry-After': String(seconds) },
  });
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
  // Without a listener the event would end the process; the client tries again by itself.
  redis.on('error', () => {});
  let here: boolean | undefined;
  const report = (isHere: boolean, state: string) => {
    if (here !== isHere) onChange(state);
    here = isHere;
  };
  redis.on('ready', () => report(true, 'reached'));
  redis.on('close', () => report(false, 'away; each process counts for itself'));
  return redis;
}
