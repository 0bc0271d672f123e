import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Place } from './secret-search.ts';

/** Returns every file in a folder, also the write-ahead log of a database. */
export async function filesIn(dir: string): Promise<Place[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => ({
        name: `the file ${entry.name}`,
        text: await readFile(join(entry.parentPath, entry.name), 'latin1'),
      })),
  );
}

/** Returns every key under a prefix, with its content. */
export async function keysIn(redis: Redis, prefix: string): Promise<Place[]> {
  const places: Place[] = [];
  for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
    for (const key of keys as string[]) {
      places.push({ name: `the Redis ${key.slice(0, prefix.length + 8)}…`, text: key });
      places.push({ name: 'a value in Redis', text: JSON.stringify(await contentOf(redis, key)) });
    }
  }
  return places;
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return redis.hgetall(key);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, '0', '-1');
    case 'none':
      return undefined;
    default:
      throw new Error(`the key ${key} is a ${type}, which is not supported here`);
  }
}
