import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { InvalidTokenError } from '@koa-oauth/resource-server';
import { Redis } from 'ioredis';
import type { Middleware } from 'koa';
import { proves } from '../../../../test/support/proves.ts';
import { RateLimits } from '../../src/http/rate-limits.ts';
import { type Engine, engines, type TestDatabase } from '../support/databases.ts';
import { bearer, type RunningApp, startApp } from '../support/running-app.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

async function start(options: Parameters<typeof startApp>[0]): Promise<RunningApp> {
  const running = await startApp(options);
  open.push(running);
  return running;
}

describe('requests of one subject', () => {
  test('are counted, shown in RateLimit, and over the limit answered 429 (RFC 6585 §4)', async () => {
    const { api, token } = await start({ perSubject: 2 });
    const get = (claims = {}) => api('contacts', bearer(token('read:contacts', claims)));
    for (const remaining of [1, 0]) {
      const { statusCode, headers } = await get();
      expect(statusCode).toBe(200);
      expect(headers['ratelimit-policy']).toBe('"subject";q=2;w=60');
      expect(headers.ratelimit).toMatch(new RegExp(`^"subject";r=${remaining};t=(60|59|58)$`));
    }
    const { statusCode, headers, body } = await get();
    expect(statusCode).toBe(429);
    expect(Number(headers['retry-after'])).toBeGreaterThan(50);
    expect(headers['content-type']).toBe('application/problem+json');
    expect(headers.ratelimit).toMatch(/^"subject";r=0;/);
    expect(headers['www-authenticate']).toBeUndefined();
    expect(body).toMatchObject({ code: 'ERR_TOO_MANY_REQUESTS' });
    // A new token of the same subject does not help; another subject has its own count.
    expect((await get({ jti: 'x' })).statusCode).toBe(429);
    expect((await get({ sub: 'auth0|bob' })).statusCode).toBe(200);
  });

  test('a request with a refused token counts for no subject', async () => {
    const { api, token } = await start({ perSubject: 1 });
    for (let i = 0; i < 3; i += 1)
      await api('contacts', bearer(token('read:contacts', { exp: 1 })));
    expect((await api('contacts', bearer(token('read:contacts')))).statusCode).toBe(200);
  });
});

describe('refused tokens from one address', () => {
  test('over the limit are answered 429; a good token from there still gets 200', async () => {
    const { api, token } = await start({ refusedPerAddress: 3 });
    const wrong = () => api('me', bearer(token('', { exp: 1 })));
    for (let i = 0; i < 3; i += 1) expect((await wrong()).statusCode).toBe(401);
    const { statusCode, headers } = await wrong();
    expect(statusCode).toBe(429);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect((await api('me', bearer(token('')))).statusCode).toBe(200);
  });

  test('other refusals are not counted', async () => {
    const { api, token } = await start({ refusedPerAddress: 1 });
    for (let i = 0; i < 3; i += 1) {
      expect((await api('me')).statusCode).toBe(401);
      expect((await api('contacts', bearer(token('')))).statusCode).toBe(403);
      expect((await api('me', bearer('a b'))).statusCode).toBe(400);
    }
  });

  test.each([
    [true, 401],
    [false, 429],
  ])('X-Forwarded-For is believed only with TRUST_PROXY=true (%p)', async (trustProxy, status) => {
    proves('RFC 9700 §4.13');
    const { api, token } = await start({ refusedPerAddress: 1, trustProxy });
    const from = (address: string) =>
      api('me', {
        headers: { ...bearer(token('', { exp: 1 })).headers, 'x-forwarded-for': address },
      });
    await from('198.51.100.9, 192.0.2.1');
    const { statusCode } = await from('198.51.100.9, 192.0.2.2');
    expect(statusCode).toBe(status);
    // An address that the caller wrote before it changes nothing.
    expect((await from('203.0.113.5, 192.0.2.1')).statusCode).toBe(429);
  });

  test.each([
    ['192.0.2.1:1', '192.0.2.1:2', '203.0.113.5 , 192.0.2.1', '::FFFF:192.0.2.1'],
    ['2001:db8::1', '[2001:DB8::2]:443', '2001:db8:0:0:3::', '203.0.113.5,2001:db8::4%1'],
    ['unknown', '_a', 'x'],
  ])('%s and other ways to write it are one address', async (first, ...others) => {
    const { api, token } = await start({ refusedPerAddress: 1, trustProxy: true });
    const { headers } = bearer(token('', { exp: 1 }));
    const from = (address: string) =>
      api('me', { headers: { ...headers, 'x-forwarded-for': address } });
    expect((await from(first)).statusCode).toBe(401);
    for (const address of others) expect((await from(address)).statusCode).toBe(429);
    expect((await from('198.51.100.7')).statusCode).toBe(401);
  });
});

const redisURL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = new Redis(redisURL, { lazyConnect: true, retryStrategy: () => null });
redis.on('error', () => {});
const noRedis = await redis.connect().then(
  () => undefined,
  () => `no Redis at ${new URL(redisURL).host}, or none that TEST_REDIS_URL names`,
);
redis.disconnect();
const postgres = (await engines())[1] as Engine;
let database: TestDatabase | undefined;
afterAll(() => database?.drop());

const stores: [name: string, missing: string | undefined, url: () => Promise<string>][] = [
  ['Redis', noRedis, async () => redisURL],
  [
    'PostgreSQL',
    postgres.missing,
    async () => {
      database = await postgres.create();
      return database.url;
    },
  ],
];

describe.each(stores)('in %s', (_, missing, makeURL) => {
  const run = missing ? test.skip : test;
  // Redis remembers for a minute: the next run must find nothing of this one.
  const subject = `auth0|${randomUUID()}`;
  const address = `2001:db8:${randomUUID().slice(9, 18).replace('-', ':')}::1`;
  const contextOf = (sub: string) => ({
    state: { auth: { payload: { iss: 'i', sub } } },
    set() {},
    ip: address,
    req: { complete: true },
  });
  const pass = (middleware: Middleware, next = async () => {}) =>
    middleware(contextOf(subject) as never, next);

  /** Until it reaches the store, each process counts by itself. */
  async function reachingLimits(perSubject: number, storeURL: string): Promise<RateLimits> {
    let isReachable = false;
    const onStoreChange = (change: boolean) => {
      isReachable = change;
    };
    const refusedPerAddress = perSubject;
    const limits = new RateLimits({ perSubject, refusedPerAddress, storeURL, onStoreChange });
    open.push(limits);
    while (!isReachable) {
      // PostgreSQL is connected by a request.
      await limits.limitSubjects()(contextOf(randomUUID()) as never, async () => {});
      await setTimeout(10);
    }
    return limits;
  }

  run(`all processes share one count${missing ? `: ${missing}` : ''}`, async () => {
    const storeURL = await makeURL();
    const one = await reachingLimits(2, storeURL);
    const other = await reachingLimits(2, storeURL);
    await pass(one.limitSubjects());
    await pass(other.limitSubjects());
    await expect(pass(one.limitSubjects())).rejects.toMatchObject({ status: 429 });
    await expect(pass(other.limitSubjects())).rejects.toMatchObject({ status: 429 });
    const refuse = async () => {
      throw new InvalidTokenError('expired');
    };
    await expect(pass(one.limitRefused(), refuse)).rejects.toMatchObject({ status: 401 });
    await expect(pass(other.limitRefused(), refuse)).rejects.toMatchObject({ status: 401 });
    await expect(pass(one.limitRefused(), refuse)).rejects.toMatchObject({ status: 429 });
  });
});

test.each(['redis://127.0.0.1:1', 'postgres://user@127.0.0.1:1/test'])(
  'while %s is unreachable each process counts by itself, and no request waits',
  async (storeURL) => {
    const limits = new RateLimits({ perSubject: 1, refusedPerAddress: 1, storeURL });
    open.push(limits);
    const context = { state: { auth: { payload: { iss: 'i', sub: 's' } } }, set() {} };
    const pass = () => limits.limitSubjects()(context as never, async () => {});
    await pass();
    await expect(pass()).rejects.toMatchObject({ status: 429 });
  },
);
