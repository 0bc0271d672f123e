import { describe, expect, test } from '@jest/globals';
import { KeptFresh } from '../src/kept-fresh.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A source that can be down, slow and renewed, and a clock that is set by hand. */
function setUp({ maxAge, maxStale = HOUR }: { maxAge?: number; maxStale?: number } = {}) {
  const source = { value: 1, calls: 0, failure: undefined as unknown, gate: Promise.resolve() };
  const clock = { now: 1_000_000_000_000 };
  const kept = new KeptFresh({
    fetch: async () => {
      source.calls += 1;
      await source.gate;
      if (source.failure) throw source.failure;
      return { value: source.value, maxAge };
    },
    monotonicNow: () => clock.now,
    maxStale,
  });
  return { source, clock, kept };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('fetching', () => {
  test('nothing is fetched before it is needed', () => {
    const { source, kept } = setUp();
    expect(kept.held).toBeUndefined();
    expect(kept.unsettled).toBe(false);
    expect(source.calls).toBe(0);
  });

  test('one fetch in flight for all who wait', async () => {
    const { source, kept } = setUp();
    const values = await Promise.all(Array.from({ length: 200 }, () => kept.get()));
    expect(new Set(values)).toEqual(new Set([1]));
    expect(source.calls).toBe(1);
    expect(kept.fetches).toBe(1);
  });

  test('all who wait learn of one failure, and nothing of it is kept', async () => {
    const { source, clock, kept } = setUp();
    source.failure = new Error('down');
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => kept.get()));
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(source.calls).toBe(1);
    source.failure = undefined;
    clock.now += 3000;
    expect(await kept.get()).toBe(1);
  });

  test.each([
    ['said nothing', undefined, 10 * MINUTE],
    ['said an hour', HOUR, HOUR],
    ['said a week: an hour', 7 * 24 * HOUR, HOUR],
    ['said not to keep it: a minute', 0, MINUTE],
    ['said half an hour', HOUR / 2, HOUR / 2],
  ])('the source %s', async (_, maxAge, age) => {
    const { source, clock, kept } = setUp({ maxAge });
    await kept.get();
    source.value = 2;
    clock.now += age * 0.75 - 1;
    expect(await kept.get()).toBe(1);
    await settle();
    expect(source.calls).toBe(1);
    clock.now += age * 0.25 + 1;
    expect(await kept.get()).toBe(2);
    expect(source.calls).toBe(2);
  });

  test('before it expires it is fetched in the background, and no caller waits', async () => {
    const { source, clock, kept } = setUp();
    await kept.get();
    source.value = 2;
    source.gate = new Promise(() => {});
    clock.now += 9.5 * MINUTE;
    expect(await Promise.all([kept.get(), kept.get(), kept.get()])).toEqual([1, 1, 1]);
    expect(source.calls).toBe(2);
    expect(kept.unsettled).toBe(true);
  });

  test('the moment of the early fetch is drawn by chance', async () => {
    const early = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const { source, clock, kept } = setUp();
        await kept.get();
        clock.now += 0.825 * 10 * MINUTE;
        await kept.get();
        return source.calls;
      }),
    );
    expect(early.filter((calls) => calls === 1).length).toBeGreaterThan(10);
    expect(early.filter((calls) => calls === 2).length).toBeGreaterThan(10);
  });
});

describe('a source that is down', () => {
  test('the value is used on, and not one moment longer than allowed', async () => {
    const { source, clock, kept } = setUp({ maxStale: HOUR });
    const start = clock.now;
    await kept.get();
    source.failure = new Error('down');
    for (const after of [9.9 * MINUTE, 10 * MINUTE, 40 * MINUTE, 70 * MINUTE - 1]) {
      clock.now = start + after;
      expect(await kept.get()).toBe(1);
      await settle();
    }
    expect(kept.held).toBe(1);
    clock.now = start + 70 * MINUTE;
    await expect(kept.get()).rejects.toBe(source.failure);
    expect(kept.held).toBeUndefined();
  });

  test('after it expired no caller waits for a source that is known to be down', async () => {
    const { source, clock, kept } = setUp();
    await kept.get();
    clock.now += 11 * MINUTE;
    source.failure = new Error('down');
    await kept.get();
    source.gate = new Promise(() => {});
    clock.now += MINUTE;
    expect(await kept.get()).toBe(1);
    expect(source.calls).toBe(3);
  });

  test('it is left alone for a growing while, 30 s at most, with a value held', async () => {
    const { source, clock, kept } = setUp();
    await kept.get();
    clock.now += 11 * MINUTE;
    source.failure = new Error('down');
    const start = clock.now;
    const asked: number[] = [];
    for (; clock.now < start + 5 * MINUTE; clock.now += 50) {
      const { calls } = source;
      await kept.get();
      await settle();
      if (source.calls > calls) asked.push(clock.now - start);
    }
    const pauses = asked.slice(1).map((at, i) => at - (asked[i] as number));
    expect(pauses.slice(0, 7)).toEqual([250, 500, 1000, 2000, 4000, 8000, 16000]);
    expect(new Set(pauses.slice(7))).toEqual(new Set([30_000]));
  });

  test('with nothing to serve it is asked every 2 s at least, so that its return is soon noticed', async () => {
    const { source, clock, kept } = setUp();
    source.failure = new Error('down');
    for (let i = 0; i < 200; i += 1) {
      await expect(kept.get()).rejects.toThrow('down');
      clock.now += 100;
    }
    // 20 s: 0, 0.25, 0.75, 1.75 s (rounded up to the tenth), then every 2 s.
    expect(source.calls).toBeLessThan(16);
    source.failure = undefined;
    clock.now += 2000;
    expect(await kept.get()).toBe(1);
  });

  test('it comes back: fresh again, and the back-off is forgotten', async () => {
    const { source, clock, kept } = setUp();
    await kept.get();
    clock.now += 11 * MINUTE;
    source.failure = new Error('down');
    await kept.get();
    expect(kept.unsettled).toBe(true);
    source.failure = undefined;
    source.value = 2;
    clock.now += 250;
    await kept.get();
    await settle();
    expect(await kept.get()).toBe(2);
    expect(kept.unsettled).toBe(false);
  });

  test('a failure in the background goes unnoticed by the process', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const { source, clock, kept } = setUp();
    await kept.get();
    source.failure = new Error('down');
    clock.now += 9.9 * MINUTE;
    await kept.get();
    await settle();
    await settle();
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});

test('refresh fetches now, joins a fetch under way, and respects the back-off', async () => {
  const { source, clock, kept } = setUp();
  await kept.get();
  source.value = 2;
  expect(await Promise.all([kept.refresh(), kept.refresh()])).toEqual([2, 2]);
  expect(source.calls).toBe(2);
  source.failure = new Error('down');
  await expect(kept.refresh()).rejects.toThrow('down');
  await expect(kept.refresh()).rejects.toThrow('down');
  expect(source.calls).toBe(3);
  clock.now += 250;
  await expect(kept.refresh()).rejects.toThrow('down');
  expect(source.calls).toBe(4);
  expect(await kept.get()).toBe(2);
});

describe('current: what can be had without waiting', () => {
  test('nothing before the first fetch, and that starts none', () => {
    const { source, kept } = setUp();
    expect(kept.current()).toBeUndefined();
    expect(source.calls).toBe(0);
  });

  test('the value; and when it is due the next fetch starts by itself', async () => {
    const { source, clock, kept } = setUp();
    await kept.get();
    expect(kept.current()).toBe(1);
    expect(source.calls).toBe(1);
    source.value = 2;
    clock.now += 9.5 * MINUTE;
    expect([kept.current(), kept.current()]).toEqual([1, 1]);
    await settle();
    expect(kept.current()).toBe(2);
    expect(source.calls).toBe(2);
  });

  test('nothing that has expired, unless its source is known to be down', async () => {
    const { source, clock, kept } = setUp({ maxStale: HOUR });
    await kept.get();
    source.failure = new Error('down');
    clock.now += 10 * MINUTE;
    expect(kept.current()).toBeUndefined();
    expect(await kept.get()).toBe(1);
    expect(kept.current()).toBe(1);
    clock.now += HOUR - 1;
    expect(kept.current()).toBe(1);
    clock.now += 1;
    expect(kept.current()).toBeUndefined();
  });
});

test('reports a fetched value, a failure and an expired value, once each', async () => {
  const told: unknown[] = [];
  let failure: Error | undefined;
  const clock = { now: 1_000_000_000_000 };
  const kept = new KeptFresh({
    fetch: async () => {
      if (failure) throw failure;
      return { value: 1 };
    },
    monotonicNow: () => clock.now,
    maxStale: HOUR,
    onFetched: (value) => told.push(value),
    onFailed: (error) => told.push(error),
    onStale: (ageMs) => told.push(ageMs),
  });
  await kept.get();
  failure = new Error('down');
  clock.now += 11 * MINUTE;
  for (let i = 0; i < 5; i += 1) await kept.get();
  expect(told).toEqual([1, failure, 11 * MINUTE]);
});
