import { hash } from 'node:crypto';
import type { Auth } from '@koa-oauth/resource-server';
import { callerAddress } from '@koa-oauth/service';
import { Redis } from 'ioredis';
import type { Context, Middleware } from 'koa';
import pg from 'pg';
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import { ApiError } from '../errors.ts';

const WINDOW_SECONDS = 60;
const REDIS_TIMEOUT_MS = 100;
const REDIS_CONNECT_TIMEOUT_MS = 5000;
const POSTGRES_TIMEOUT_MS = 500;
const POSTGRES_TABLE = 'contacts_rate_limits';
// Processes that start at once create it one after another. One query is one transaction.
const CREATE_TABLE = `
  SELECT pg_advisory_xact_lock(7240118235);
  CREATE TABLE IF NOT EXISTS ${POSTGRES_TABLE}
    (key text PRIMARY KEY, points integer NOT NULL DEFAULT 0, expire bigint)`;

export interface RateLimitOptions {
  /** Maximum requests per minute of one subject. */
  readonly perSubject: number;
  /** Maximum refused tokens, and refused bodies, per minute from one address. */
  readonly refusedPerAddress: number;
  /** `memory:` for a count per process, `redis://…` or `postgres://…` for one count of all processes. */
  readonly storeURL: string;
  readonly onStoreChange?: (isReachable: boolean) => void;
}

/** Codes of refused tokens and proofs. */
const REFUSALS: unknown[] = ['ERR_INVALID_TOKEN', 'ERR_INVALID_DPOP_PROOF', 'ERR_LOGOUT_TOKEN'];

type Rules = ConstructorParameters<typeof RateLimiterMemory>[0];

/** One count of all processes. */
interface SharedCounts {
  limiter(rules: Rules, insuranceLimiter: RateLimiterAbstract): RateLimiterAbstract;
  close(): unknown;
}

/** Counts requests per minute. While the store is unreachable, each process counts by itself. */
export class RateLimits {
  readonly #shared: SharedCounts | undefined;
  readonly #subjects: RateLimiterAbstract;
  readonly #addresses: RateLimiterAbstract;

  constructor(options: RateLimitOptions) {
    const { perSubject, refusedPerAddress, storeURL, onStoreChange } = options;
    if (!storeURL.startsWith('memory:')) {
      const connect = storeURL.startsWith('postgres') ? connectPostgres : connectRedis;
      this.#shared = connect(storeURL, reportChanges(onStoreChange));
    }
    this.#subjects = this.#limiter('contacts-subject', perSubject);
    this.#addresses = this.#limiter('contacts-refused', refusedPerAddress);
  }

  /** Counts the requests of each subject. Comes after `auth`, which verifies the subject. */
  limitSubjects(): Middleware {
    const subjects = this.#subjects;
    const policy = `"subject";q=${subjects.points};w=${WINDOW_SECONDS}`;
    return async function limitSubjects(ctx, next) {
      const { iss, sub } = (ctx.state.auth as Auth).payload;
      const { allowed, remaining, seconds } = await consume(
        subjects,
        hash('sha256', `${iss} ${sub}`, 'base64url'),
      );
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
        if (isCostly || REFUSALS.includes(code)) await count();
        throw error;
      }
      if (isUnread(ctx, ctx.status)) await count();
    };
  }

  async close(): Promise<void> {
    await this.#shared?.close();
  }

  #limiter(keyPrefix: string, points: number): RateLimiterAbstract {
    const rules = { keyPrefix, points, duration: WINDOW_SECONDS };
    const memory = new RateLimiterMemory(rules);
    return this.#shared?.limiter(rules, memory) ?? memory;
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

/** Returns the function that reports when the store becomes reachable or unreachable. */
function reportChanges(onChange: RateLimitOptions['onStoreChange']) {
  let wasReachable: boolean | undefined;
  return function report(isReachable: boolean): void {
    if (wasReachable !== isReachable) onChange?.(isReachable);
    wasReachable = isReachable;
  };
}

type Report = ReturnType<typeof reportChanges>;

function connectRedis(url: string, report: Report): SharedCounts {
  // A request waits at most this long for Redis; then it is counted in memory.
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: REDIS_TIMEOUT_MS,
    connectTimeout: REDIS_CONNECT_TIMEOUT_MS,
  });
  // An `error` event without a listener ends the process. The client reconnects by itself.
  redis.on('error', () => {});
  redis.on('ready', () => report(true));
  redis.on('close', () => report(false));
  return {
    limiter: (rules, insuranceLimiter) =>
      new RateLimiterRedis({ ...rules, insuranceLimiter, storeClient: redis }),
    close: () => redis.disconnect(),
  };
}

function connectPostgres(url: string, report: Report): SharedCounts {
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: POSTGRES_TIMEOUT_MS,
    query_timeout: POSTGRES_TIMEOUT_MS,
    allowExitOnIdle: true,
  });
  pool.on('error', () => {});
  let table: Promise<unknown> | undefined;
  // The server may be down at the start, so the first query creates the table, not the limiter.
  const query = async (statement: pg.QueryConfig) => {
    try {
      table ??= pool.query(CREATE_TABLE);
      await table;
      const result = await pool.query(statement);
      report(true);
      return result;
    } catch (error) {
      table = undefined;
      report(false);
      throw error;
    }
  };
  return {
    limiter: (rules, insuranceLimiter) =>
      new RateLimiterPostgres({
        ...rules,
        insuranceLimiter,
        storeClient: { query },
        storeType: 'pool',
        tableName: POSTGRES_TABLE,
        tableCreated: true,
      }),
    close: () => pool.end(),
  };
}
