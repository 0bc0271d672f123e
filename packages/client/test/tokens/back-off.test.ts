import { beforeEach, expect, test } from '@jest/globals';
import { BackOff } from '../../src/tokens/back-off.ts';

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

test('remembers ten thousand at most, the newest', () => {
  for (let i = 0; i < 10_001; i += 1) failed(String(i));
  expect(backOff.pauseOf('0')).toBeUndefined();
  expect(backOff.pauseOf('1')).toBeDefined();
  expect(backOff.pauseOf('10000')).toBeDefined();
});
