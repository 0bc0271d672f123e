import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { REDIS_URL } from '../../../../test/support/redis.ts';

/** A prefix that no other run uses. */
export function newPrefix(): string {
  return `test-${randomBytes(6).toString('hex')}:`;
}

/** A client for tests, in addition to that of a store. The test ends it. */
export function redisClient(options: { keyPrefix?: string } = {}): Redis {
  return new Redis(REDIS_URL, options);
}

export async function keysOf(prefix: string): Promise<string[]> {
  const redis = redisClient();
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
    found.push(...(keys as string[]));
  }
  redis.disconnect();
  return found;
}

export async function dropKeys(prefix: string): Promise<void> {
  const keys = await keysOf(prefix);
  const redis = redisClient();
  if (keys.length > 0) await redis.del(...keys);
  redis.disconnect();
}
