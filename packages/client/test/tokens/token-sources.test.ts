import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { AccessToken, Session, Sessions } from '../../src/session/session.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { BackOff } from '../../src/tokens/back-off.ts';
import type { SuppliedToken, TokenRequest, TokenSource } from '../../src/tokens/kept-tokens.ts';
import { Lease, oneAtATime } from '../../src/tokens/leased.ts';

describe('one at a time', () => {
  const tick = () => new Promise((resolve) => setTimeout(resolve, 2));

  let events: string[];
  let runs: number;
  let source: TokenSource;

  beforeEach(() => {
    events = [];
    runs = 0;
    source = oneAtATime(async ({ session, wanted: { scope } }) => {
      events.push(`${session.id}${scope} begins`);
      await tick();
      events.push(`${session.id}${scope} ends`);
      if (scope === 'no') throw new Error('no');
      runs += 1;
      return { session, accessToken: { value: `${session.id}${scope} ${runs}` } as AccessToken };
    });
  });

  const request = (id: string, scope: string): TokenRequest => ({
    session: { id } as Session,
    wanted: { scope, audience: undefined, insteadOf: undefined },
    deadline: Number.POSITIVE_INFINITY,
  });
  const tokenOf = ({ accessToken }: SuppliedToken) => accessToken.value;

  test('requests of one session run in turn, those of others at the same time', async () => {
    const all = [source(request('a', '1')), source(request('a', '2')), source(request('b', '1'))];
    expect((await Promise.all(all)).map(tokenOf)).toEqual(['a1 1', 'a2 3', 'b1 2']);
    expect(events.filter((event) => event.startsWith('a'))).toEqual([
      'a1 begins',
      'a1 ends',
      'a2 begins',
      'a2 ends',
    ]);
    expect(events.slice(0, 2)).toEqual(['a1 begins', 'b1 begins']);
  });

  test('the same token is asked for once while a request waits or runs, and again after that', async () => {
    const ask = async (scope: string) => tokenOf(await source(request('a', scope)));
    const all = [ask('x y'), ask('z'), ask('y x'), ask('z')];
    expect(await Promise.all(all)).toEqual(['ax y 1', 'az 2', 'ax y 1', 'az 2']);
    expect(await ask('x y')).toBe('ax y 3');
  });

  test('a request that fails fails for all who share it, and stops no other', async () => {
    const [one, other, next] = await Promise.allSettled([
      source(request('a', 'no')),
      source(request('a', 'no')),
      source(request('a', 'yes')),
    ]);
    expect([one.status, other.status]).toEqual(['rejected', 'rejected']);
    expect(next).toMatchObject({
      status: 'fulfilled',
      value: { accessToken: { value: 'ayes 1' } },
    });
    expect(events.filter((event) => event === 'ano begins')).toHaveLength(1);
  });
});

describe('back-off', () => {
  const down = new Error('down');

  let now: number;
  let chance: number;
  let backOff: BackOff;

  const failed = (key: string, retryAfter?: number, generation: unknown = 'old') =>
    backOff.failed(key, Object.assign(down, { retryAfter }), generation);

  beforeEach(() => {
    now = 1_700_000_000_000;
    chance = 0;
    backOff = new BackOff({ monotonicNow: () => now, random: () => chance });
  });

  test('each failure doubles the pause, up to a minute; the next may be made when it is over', () => {
    const pauses = [1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => {
      expect(failed('a')).toEqual({ seconds, error: down });
      expect(backOff.pauseOf('a')).toEqual({ seconds, error: down });
      now += seconds * 1000 - 1;
      expect(backOff.pauseOf('a')?.seconds).toBe(1);
      now += 1;
      return backOff.pauseOf('a');
    });
    expect(pauses.every((pause) => pause === undefined)).toBe(true);
  });

  test('chance takes up to half of it away', () => {
    chance = 0.999;
    for (const seconds of [1, 2, 3, 5]) {
      expect(failed('a').seconds).toBe(seconds);
    }
  });

  test('a success resets the pause; keys do not affect each other', () => {
    failed('a');
    failed('a');
    failed('b');
    backOff.succeeded('a');
    expect(backOff.pauseOf('a')).toBeUndefined();
    expect(backOff.pauseOf('b')).toBeDefined();
    expect(failed('a').seconds).toBe(1);
  });

  test('failures before a success elsewhere count no more', () => {
    failed('a');
    failed('a');
    now += 5000;
    expect(failed('a', undefined, 'new').seconds).toBe(1);
    expect(failed('a', undefined, 'new').seconds).toBe(2);
  });

  test('what the server names goes for all', () => {
    expect(failed('a', 20).seconds).toBe(20);
    expect(backOff.pauseOf('b')).toEqual({ seconds: 20, error: down });
    backOff.succeeded('b');
    now += 19_001;
    expect(backOff.pauseOf('b')?.seconds).toBe(1);
    now += 999;
    expect(backOff.pauseOf('b')).toBeUndefined();
  });

  describe('a longer time that the server names', () => {
    const half = () => {
      now += 30_000;
    };

    test('pauses all for half a minute, then one caller may see whether it is over', () => {
      expect(failed('a', 300).seconds).toBe(30);
      expect(backOff.pauseOf('b')?.seconds).toBe(30);
      half();
      for (let i = 0; i < 3; i += 1) expect(backOff.pauseOf('b')).toBeUndefined();
      expect(backOff.pauseOf('a')?.seconds).toBe(10);
      backOff.succeeded('b');
      expect(backOff.pauseOf('a')).toBeUndefined();
    });

    test('goes on when the server refuses that caller too', () => {
      failed('a', 300);
      half();
      expect(backOff.pauseOf('b')).toBeUndefined();
      expect(failed('b', 270).seconds).toBe(30);
      for (const key of ['a', 'b']) expect(backOff.pauseOf(key)?.seconds).toBe(30);
    });

    test('lets another caller see when the first one got no answer', () => {
      failed('a', 300);
      half();
      expect(backOff.pauseOf('b')).toBeUndefined();
      failed('b');
      expect(backOff.pauseOf('c')?.seconds).toBe(10);
      now += 10_000;
      expect(backOff.pauseOf('c')).toBeUndefined();
      expect(backOff.pauseOf('a')?.seconds).toBe(10);
    });

    test('is over for all when it has passed', () => {
      failed('a', 31);
      now += 31_000;
      for (const key of ['a', 'b', 'c']) expect(backOff.pauseOf(key)).toBeUndefined();
    });

    test('is not ended by a request that was under way', () => {
      failed('a', 300);
      backOff.succeeded('b');
      expect(backOff.pauseOf('a')?.seconds).toBe(30);
    });

    test('gives the try to no caller that has a pause of its own', () => {
      failed('a', 300);
      now += 29_500;
      failed('b');
      now += 500;
      expect(backOff.pauseOf('b')?.seconds).toBe(1);
      expect(backOff.pauseOf('c')).toBeUndefined();
    });
  });

  test('remembers ten thousand at most, the newest', () => {
    for (let i = 0; i < 10_001; i += 1) failed(String(i));
    expect(backOff.pauseOf('0')).toBeUndefined();
    expect(backOff.pauseOf('1')).toBeDefined();
    expect(backOff.pauseOf('10000')).toBeDefined();
  });
});

describe('leases', () => {
  const session = { id: 'a' } as Session;
  const warnings: unknown[] = [];
  const wait = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

  let store: SessionStore;

  beforeEach(async () => {
    jest.useFakeTimers();
    warnings.length = 0;
    store = memoryStore();
    const startedAt = Date.now() / 1000;
    const times = { startedAt, expiresAt: startedAt + 100 };
    await store.create('a', { sealed: '', about: '', ...times, terms: [] });
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
});
