import { Redis } from 'ioredis';

export const REDIS_URL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379';

/** Reason for a skipped test of Redis; undefined when it runs. */
export async function whyNoRedis(): Promise<string | undefined> {
  const redis = new Redis(REDIS_URL, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return undefined;
  } catch {
    return `no Redis at ${new URL(REDIS_URL).host}, or none that TEST_REDIS_URL names`;
  } finally {
    redis.disconnect();
  }
}
