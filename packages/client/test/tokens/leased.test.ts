import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Session, Sessions } from '../../src/session/session.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { Lease } from '../../src/tokens/leased.ts';

const session = { id: 'a' } as Session;
const warnings: unknown[] = [];
const wait = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

let store: SessionStore;

beforeEach(async () => {
  jest.useFakeTimers();
  warnings.length = 0;
  store = memoryStore();
  const expiresAt = Date.now() / 1000 + 100;
  await store.create('a', { sealed: '', about: '', expiresAt, terms: [] });
});
afterEach(async () => {
  await store.close();
  jest.useRealTimers();
});

const take = (milliseconds: number) =>
  Lease.acquire(
    {
      sessions: {
        acquireLease: ({ id }: Session, duration: number) => store.acquire(id, duration),
        extendLease: ({ id }: Session, fence: number, duration: number) =>
          store.extend(id, fence, duration),
        releaseLease: ({ id }: Session, fence: number) => store.release(id, fence),
      } as unknown as Sessions,
      warn: (warning) => warnings.push(warning),
    },
    session,
    milliseconds,
  );

test('one has it at a time, for as long as is needed, and gives it back', async () => {
  const lease = await take(300);
  await wait(500);
  expect(await take(300)).toBeUndefined();
  await lease?.release();
  const next = await take(300);
  expect(next?.fence).toBeGreaterThan(lease?.fence ?? 0);
  await next?.release();
});

test('once ended it is not renewed', async () => {
  const lease = await take(60);
  await lease?.release();
  const fence = await store.acquire('a', 1);
  await wait(40);
  expect(await store.acquire('a', 1)).toBeGreaterThan(fence ?? 0);
});

test('is regained while it is held, and when it was lost and is free, under a new fence', async () => {
  const lease = await take(10_000);
  const { fence = 0 } = lease ?? {};
  expect(await lease?.regain()).toBe(true);
  expect(lease?.fence).toBe(fence);

  await store.release('a', fence);
  expect(await lease?.regain()).toBe(true);
  expect(lease?.fence).toBeGreaterThan(fence);

  await store.release('a', lease?.fence ?? 0);
  await store.acquire('a', 10_000);
  expect(await lease?.regain()).toBe(false);
  await lease?.release();
  expect(await store.acquire('a', 1)).toBeUndefined();
});

test('a store that is down is reported, and stops no request', async () => {
  const lease = await take(300);
  const { extend } = store;
  store.extend = () => Promise.reject(new Error('away'));
  await wait(150);
  store.extend = extend;
  await wait(300);
  expect(await take(300)).toBeUndefined();
  store.release = () => Promise.reject(new Error('away'));
  await lease?.release();
  expect(warnings.length).toBeGreaterThanOrEqual(2);
});
