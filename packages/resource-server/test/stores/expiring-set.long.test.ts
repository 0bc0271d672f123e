import { execFile } from 'node:child_process';
import { setTimeout as after } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import { Redis } from 'ioredis';
import pg from 'pg';
import { proves } from '../../../../test/support/proves.ts';
import { REDIS_URL } from '../../../../test/support/redis.ts';
import { type ExpiringSet, memorySet } from '../../src/stores/expiring-set.ts';
import { postgresSet } from '../../src/stores/postgres.ts';
import { redisSet } from '../../src/stores/redis.ts';
import {
  dropSets,
  noPostgres,
  noRedis,
  POSTGRES_URL,
  prefix,
  rowsOf,
  SHARED_SETS,
  type SharedSets,
  table,
} from '../support/stores.ts';

const dist = (file: string) => new URL(`../../dist/stores/${file}`, import.meta.url).href;

interface Engine extends SharedSets {
  /** Expression that opens the set in another process. */
  readonly elsewhere?: string;
}

const [redis, postgres] = SHARED_SETS;
const engines: Engine[] = [
  { name: 'memory', missing: undefined, open: () => memorySet() },
  {
    ...redis,
    elsewhere: `(await import('${dist('redis.js')}')).redisSet(${JSON.stringify({ url: REDIS_URL, prefix })})`,
  },
  {
    ...postgres,
    elsewhere: `(await import('${dist('postgres.js')}')).postgresSet(${JSON.stringify({ url: POSTGRES_URL, table })})`,
  },
];

const opened: ExpiringSet[] = [];
const keep = (set: ExpiringSet): ExpiringSet => {
  opened.push(set);
  return set;
};
afterEach(() => Promise.all(opened.splice(0).map((set) => set.close())));
afterAll(dropSets);

const soon = () => Date.now() / 1000 + 100;
let serial = 0;
const newKey = () => {
  serial += 1;
  return `key ${process.pid} ${serial}`;
};

for (const { name, missing, open, elsewhere } of engines) {
  const run = missing ? test.skip : test;
  describe(missing ? `a set in ${name}: ${missing}` : `a set in ${name}`, () => {
    run('a key is new once, and there until it expires', async () => {
      const set = keep(open());
      const key = newKey();
      expect(await set.has(key)).toBe(false);
      expect(await set.add(key, soon())).toBe(true);
      expect(await set.has(key)).toBe(true);
      expect(await set.add(key, soon())).toBe(false);
      expect(await set.add(`${key}.`, soon())).toBe(true);
    });

    run('an expired key is new again', async () => {
      const set = keep(open());
      const key = newKey();
      await set.add(key, Date.now() / 1000 + 1.2);
      expect(await set.add(key, soon())).toBe(false);
      await after(1300);
      expect(await set.has(key)).toBe(false);
      expect(await set.add(key, soon())).toBe(true);
      expect(await set.add(key, soon())).toBe(false);
    });

    run('a key with a time that has passed is there for a second', async () => {
      const set = keep(open());
      const key = newKey();
      for (const [at, until] of [0, -5, Date.now() / 1000 - 100].entries()) {
        expect(await set.add(`${key}.${at}`, until)).toBe(true);
        expect(await set.add(`${key}.${at}`, until)).toBe(false);
      }
    });

    run('one of many callers at once adds a key', async () => {
      const sets = [keep(open())];
      if (elsewhere) sets.push(keep(open()));
      const key = newKey();
      const calls = Array.from({ length: 100 }, (_, i) =>
        (sets[i % sets.length] as ExpiringSet).add(key, soon()),
      );
      expect((await Promise.all(calls)).filter(Boolean)).toHaveLength(1);
    });

    run.each([
      ['empty', ''],
      ['long', 'x'.repeat(100_000)],
      ['long, and differing at the end', `${'x'.repeat(99_999)}y`],
      ['with all kinds of characters', '\'"\\;--\u0000\r\n€😀\ud800 %$'],
      ['like the hash of another', '#47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'],
      ['like the secret', '!secret'],
      ['like a name of JavaScript', '__proto__'],
    ])('a key that is %s is a key like any other', async (_, key) => {
      const set = keep(open());
      expect(await set.add(key, Date.now() / 1000 + 1)).toBe(true);
      expect(await set.has(key)).toBe(true);
      expect(await set.add(key, soon())).toBe(false);
    });

    run('a time without end is limited, and one that is no time is an error', async () => {
      const set = keep(open());
      const key = newKey();
      expect(await set.add(key, Number.POSITIVE_INFINITY)).toBe(true);
      expect(await set.has(key)).toBe(true);
      for (const until of [Number.NaN, 'soon', null, undefined]) {
        await expect(async () => set.add(newKey(), until as number)).rejects.toThrow(TypeError);
      }
    });

    run('of the numbers and times of a key the highest stay, in any order', async () => {
      const set = keep(open());
      const [first, second, third] = [newKey(), newKey(), newKey()];
      expect(await set.getNumbers([first])).toEqual([undefined]);
      await set.setIfGreater(first, 1_800_000_000.5, soon());
      await set.setIfGreater(second, 2, soon());
      expect(await set.getNumbers([second, third, first, second])).toEqual([
        2,
        undefined,
        1_800_000_000.5,
        2,
      ]);
      await set.setIfGreater(first, 1, Date.now() / 1000 + 1);
      await set.setIfGreater(second, 253_402_300_799, Date.now() / 1000 + 1);
      await after(1200);
      expect(await set.getNumbers([first, second])).toEqual([1_800_000_000.5, 253_402_300_799]);
      expect(await set.add(first, soon())).toBe(false);
      expect(await set.has(first)).toBe(true);
    });

    run('a number expires, and a later one is not compared with it', async () => {
      const set = keep(open());
      const [key, extended] = [newKey(), newKey()];
      await set.setIfGreater(key, 9, 0);
      await set.setIfGreater(extended, 9, 0);
      await set.setIfGreater(extended, 8, soon());
      expect(await set.getNumbers([key, extended])).toEqual([9, 9]);
      await after(1200);
      expect(await set.getNumbers([key, extended])).toEqual([undefined, 9]);
      await set.setIfGreater(key, 1, soon());
      expect(await set.getNumbers([key])).toEqual([1]);
    });

    run('a key that was added without a number has none, until it is raised', async () => {
      const set = keep(open());
      const key = newKey();
      await set.add(key, soon());
      expect(await set.getNumbers([key])).toEqual([undefined]);
      await set.setIfGreater(key, 5, soon());
      expect(await set.getNumbers([key])).toEqual([5]);
    });

    run('of many callers at once the highest number stays', async () => {
      const sets = [keep(open()), ...(elsewhere ? [keep(open())] : [])];
      const key = newKey();
      const numbers = Array.from({ length: 100 }, (_, i) => (i * 37) % 101);
      await Promise.all(
        numbers.map((number, i) =>
          (sets[i % sets.length] as ExpiringSet).setIfGreater(key, number, soon()),
        ),
      );
      // In memory each set is its own.
      expect(await (sets[0] as ExpiringSet).getNumbers([key])).toEqual([Math.max(...numbers)]);
    });

    run('the shared secret stays, and is long', async () => {
      const set = keep(open());
      const secret = await set.sharedSecret();
      expect(secret).toMatch(/^[\w-]{43}$/);
      expect(await set.sharedSecret()).toBe(secret);
      const others = await Promise.all(
        Array.from({ length: 10 }, () => keep(elsewhere ? open() : set).sharedSecret()),
      );
      expect(new Set(others)).toEqual(new Set([secret]));
    });

    if (elsewhere) {
      run('of three processes at once, one adds each key, and all have one secret', async () => {
        proves('RFC 9449 §11.1');
        const start = newKey();
        const script = `
          const set = ${elsewhere};
          let added = 0;
          for (let i = 0; i < 200; i += 1)
            if (await set.add('${start} ' + i, ${soon()})) added += 1;
          console.log(JSON.stringify({ added, secret: await set.sharedSecret() }));
          await set.close();
        `;
        const outputs = await Promise.all(
          [0, 1, 2].map(() =>
            promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]),
          ),
        );
        const results = outputs.map(({ stdout }) => JSON.parse(stdout));
        expect(results.reduce((sum, { added }) => sum + added, 0)).toBe(200);
        expect(new Set(results.map(({ secret }) => secret)).size).toBe(1);
      });
    }
  });
}

describe('a set in memory', () => {
  test('forgets what has expired, and nothing else', async () => {
    let now = 1_800_000_000_000;
    const set = keep(memorySet({ maxEntries: 10, now: () => now }));
    const at = (seconds: number) => now / 1000 + seconds;
    for (let i = 0; i < 5; i += 1) await set.add(`short ${i}`, at(2));
    for (let i = 0; i < 5; i += 1) await set.add(`long ${i}`, at(100));
    expect(() => set.add('one more', at(2))).toThrow('full');
    now += 1900;
    expect(await set.has('short 0')).toBe(true);
    now += 200;
    for (let i = 0; i < 5; i += 1) expect(await set.add(`short ${i}`, at(50))).toBe(true);
    expect(() => set.add('one more', at(2))).toThrow('full');
    now += 40_000;
    for (let i = 0; i < 5; i += 1) expect(await set.add(`short ${i}`, at(50))).toBe(false);
    for (let i = 0; i < 5; i += 1) expect(await set.has(`long ${i}`)).toBe(true);
  });

  test('forgets numbers with their keys, and a key that is raised again and again takes one place', () => {
    let now = 1_800_000_000_000;
    const set = keep(memorySet({ maxEntries: 3, now: () => now }));
    for (let i = 0; i < 1000; i += 1) {
      set.setIfGreater('same', i, now / 1000 + 10);
      set.setIfGreater(`short ${i}`, 1, now / 1000 + 1);
      now += 2000;
    }
    expect(set.getNumbers(['same', 'short 999'])).toEqual([999, undefined]);
    set.setIfGreater('a', 1, now / 1000 + 10);
    set.setIfGreater('b', 1, now / 1000 + 10);
    expect(() => set.setIfGreater('c', 1, now / 1000 + 10)).toThrow('full');
    set.setIfGreater('same', 2000, now / 1000 + 20);
    now += 10_000;
    expect(set.getNumbers(['same', 'a', 'b'])).toEqual([2000, undefined, undefined]);
    set.setIfGreater('c', 1, now / 1000 + 10);
    set.setIfGreater('d', 1, now / 1000 + 10);
    expect(() => set.setIfGreater('e', 1, now / 1000 + 10)).toThrow('full');
  });

  test('a full one is an error: no key is forgotten before its time', () => {
    const set = keep(memorySet({ maxEntries: 1 }));
    expect(set.add('a', soon())).toBe(true);
    expect(() => set.add('b', soon())).toThrow('full');
    expect(set.add('a', soon())).toBe(false);
  });

  test.each([0, -1, 1.5, Number.NaN, '5', null])('refuses maxEntries %j', (maxEntries) => {
    expect(() => memorySet({ maxEntries: maxEntries as number })).toThrow(InvalidOptions);
  });
});

describe('a store that is away', () => {
  test.each([
    ['Redis', () => redisSet({ url: 'redis://user:PASSWORD@127.0.0.1:1' })],
    ['PostgreSQL', () => postgresSet({ url: 'postgres://user:PASSWORD@127.0.0.1:1/test' })],
  ])('%s: each call rejects, without the password', async (_, make) => {
    const set = keep(make());
    const numbers = [set.setIfGreater('a', 1, soon()), set.getNumbers(['a'])];
    for (const call of [set.add('a', soon()), set.has('a'), set.sharedSecret(), ...numbers]) {
      const error = await Promise.resolve(call).catch((reason: Error) => reason);
      expect(error).toBeInstanceOf(Error);
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('PASSWORD');
    }
  });

  test.each([undefined, '', 'http://user:PASSWORD@host', '/PASSWORD'])(
    'the url %j is refused, and not repeated',
    (url) => {
      for (const make of [() => redisSet({ url }), () => postgresSet({ url })]) {
        expect(make).toThrow(InvalidOptions);
        expect(make).not.toThrow(/PASSWORD/);
      }
    },
  );

  test.each(['', 'A', 'a-', 'a"; DROP TABLE x; --', 'a'.repeat(42)])(
    'the table %j is refused',
    (name) => {
      expect(() => postgresSet({ url: POSTGRES_URL, table: name })).toThrow(InvalidOptions);
    },
  );
});

(noPostgres ? describe.skip : describe)(`PostgreSQL${noPostgres ? `: ${noPostgres}` : ''}`, () => {
  test('deletes what has expired, in the background', async () => {
    const set = keep(postgresSet({ url: POSTGRES_URL, table }));
    await set.add('purged 1', 0);
    await set.add('purged 2', 0);
    await after(1100);
    await keep(postgresSet({ url: POSTGRES_URL, table })).getNumbers([newKey()]);
    while ((await rowsOf("key LIKE 'purged%'")) > 0) await after(20);
  });

  test('a pool of one’s own is used, and left open', async () => {
    const pool = new pg.Pool({ connectionString: POSTGRES_URL });
    const set = postgresSet({ pool, table });
    expect(await set.add(newKey(), soon())).toBe(true);
    await set.close();
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await pool.end();
  });
});

(noRedis ? describe.skip : describe)(`Redis${noRedis ? `: ${noRedis}` : ''}`, () => {
  test('a key expires in Redis itself', async () => {
    const client = new Redis(REDIS_URL);
    await keep(redisSet({ url: REDIS_URL, prefix })).add('expiring', Date.now() / 1000 + 90);
    const ttl = await client.pttl(`${prefix}expiring`);
    expect(ttl).toBeGreaterThan(85_000);
    expect(ttl).toBeLessThanOrEqual(90_001);
    client.disconnect();
  });

  test('a client of one’s own is used, and left open', async () => {
    const client = new Redis(REDIS_URL);
    const set = redisSet({ client, prefix });
    expect(await set.add(newKey(), soon())).toBe(true);
    await set.close();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });
});
