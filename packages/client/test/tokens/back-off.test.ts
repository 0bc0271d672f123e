import { beforeEach, expect, test } from '@jest/globals';
import { type BackOff, createBackOff } from '../../src/tokens/back-off.ts';

const down = new Error('down');

let now: number;
let chance: number;
let backOff: BackOff;

beforeEach(() => {
  now = 1_700_000_000_000;
  chance = 0;
  backOff = createBackOff({ now: () => now, random: () => chance });
});

test('each failure doubles the pause, up to a minute; the next may be made when it is over', () => {
  const pauses = [1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => {
    expect(backOff.failed('a', down, undefined)).toEqual({ seconds, error: down });
    expect(backOff.pause('a')).toEqual({ seconds, error: down });
    now += seconds * 1000 - 1;
    expect(backOff.pause('a')?.seconds).toBe(1);
    now += 1;
    return backOff.pause('a');
  });
  expect(pauses.every((pause) => pause === undefined)).toBe(true);
});

test('chance takes up to half of it away', () => {
  chance = 0.999;
  for (const seconds of [1, 2, 3, 5]) {
    expect(backOff.failed('a', down, undefined).seconds).toBe(seconds);
  }
});

test('a success begins anew; one key says nothing of another', () => {
  backOff.failed('a', down, undefined);
  backOff.failed('a', down, undefined);
  backOff.failed('b', down, undefined);
  backOff.succeeded('a');
  expect(backOff.pause('a')).toBeUndefined();
  expect(backOff.pause('b')).toBeDefined();
  expect(backOff.failed('a', down, undefined).seconds).toBe(1);
});

test('failures before a success elsewhere count no more', () => {
  backOff.failed('a', down, undefined);
  backOff.failed('a', down, undefined);
  now += 5000;
  const succeededAt = now / 1000;
  expect(backOff.failed('a', down, undefined, succeededAt).seconds).toBe(1);
  expect(backOff.failed('a', down, undefined, succeededAt).seconds).toBe(2);
});

test('what the server names goes for all', () => {
  expect(backOff.failed('a', down, 20).seconds).toBe(20);
  expect(backOff.pause('b')).toEqual({ seconds: 20, error: down });
  backOff.succeeded('b');
  now += 19_001;
  expect(backOff.pause('b')?.seconds).toBe(1);
  now += 999;
  expect(backOff.pause('b')).toBeUndefined();
});

test('remembers ten thousand at most, the newest', () => {
  for (let i = 0; i < 10_001; i += 1) backOff.failed(String(i), down, undefined);
  expect(backOff.pause('0')).toBeUndefined();
  expect(backOff.pause('1')).toBeDefined();
  expect(backOff.pause('10000')).toBeDefined();
});
