import type { Auth } from '@koa-oauth/resource-server';
import { callerAddress } from '@koa-oauth/service';
import { Redis } from 'ioredis';
import type { Context, Middleware } from 'koa';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { ApiError } from '../errors.ts';

const WINDOW_SECONDS = 60;
const REDIS_TIMEOUT_MS = 100;
const REDIS_CONNECT_TIMEOUT_MS = 5000;

export interface RateLimitOptions {
  /** Maximum requests per minute of one subject. */
  readonly perSubject: number;
  /** Maximum refused tokens, and refused bodies, per minute from one address. */
  readonly refusedPerAddress: number;
  /** `memory:` for a count per process, `redis://…` for one count of all processes. */
  readonly storeURL: string;
  readonly onStoreChange?: (isReachable: boolean) => void;
}

/** Counts requests per minute. While Redis is unreachable, each process counts by itself. */
export class RateLimits {
  readonly #redis: Redis | undefined;
  readonly #subjects: RateLimiterAbstract;
  readonly #addresses: RateLimiterAbstract;

  constructor(options: RateLimitOptions) {
    const { perSubject, refusedPerAddress, storeURL, onStoreChange } = options;
    this.#redis = storeURL.startsWith('memory:') ? undefined : connect(storeURL, onStoreChange);
    this.#subjects = this.#limiter('contacts-subject', perSubject);
    this.#addresses = this.#limiter('contacts-refused', refusedPerAddress);
  }

  /** Counts the requests of each subject. Comes after `auth`, which verifies the subject. */
  limitSubjects(): Middleware {
    const subjects = this.#subjects;
    const policy = `"subject";q=${subjects.points};w=${WINDOW_SECONDS}`;
    return async function limitSubjects(ctx, next) {
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
   * Counts refused tokens per address, and refusals of a body that is too large or that is still being
   * sent: both cost more than other refusals. Over the limit the answer is 429 instead. A good request
   * is never refused because of bad ones from the same address.
   */
  limitRefused(): Middleware {
    const addresses = this.#addresses;
    return async function limitRefused(ctx, next) {
      const count = async () => {
        const { allowed, seconds } = await consume(addresses, callerAddress(ctx.ip));
        if (!allowed) throw tooManyRequests(seconds);
      };
      try {
        await next();
      } catch (error) {
        const { code, status = 500 } = (error ?? {}) as { code?: unknown; status?: number };
        const isCostly = status === 413 || isUnread(ctx, status);
        if (code === 'ERR_INVALID_TOKEN' || isCostly) await count();
        throw error;
      }
      if (isUnread(ctx, ctx.status)) await count();
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

/** Reports whether a request is refused before its body has arrived. */
function isUnread({ req }: Pick<Context, 'req'>, status: number): boolean {
  return status >= 400 && status < 500 && !req.complete;
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
  let allowed = true;
  const state = await limiter.consume(key).catch((thrown: unknown) => {
    // Over the limit the state is thrown; anything else is an error.
    if (!(thrown instanceof RateLimiterRes)) throw thrown;
    allowed = false;
    return thrown;
  });
  const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1000));
  return { allowed, remaining: state.remainingPoints, seconds };
}

function connect(url: string, onChange: RateLimitOptions['onStoreChange']): Redis {
  // A request waits at most this long for Redis; then it is counted in memory.
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: REDIS_TIMEOUT_MS,
    connectTimeout: REDIS_CONNECT_TIMEOUT_MS,
  });
  // An `error` event without a listener ends the process. The client reconnects by itself.
  redis.on('error', () => {});
  let wasReachable: boolean | undefined;
  const report = (isReachable: boolean) => {
    if (wasReachable !== isReachable) onChange?.(isReachable);
    wasReachable = isReachable;
  };
  redis.on('ready', () => report(true));
  redis.on('close', () => report(false));
  return redis;
}
