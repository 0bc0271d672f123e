import { expect, jest, test } from '@jest/globals';
import { MemoryState } from '../../src/state/memory.ts';

test('each state is separate, and empty after it is closed', () => {
  const state = new MemoryState();
  const other = new MemoryState();
  state.write('Session', 'a', { x: 1 }, 10, { uid: 'u' });
  expect(other.read('Session', 'a')).toBeUndefined();
  expect(other.readByUid('Session', 'u')).toBeUndefined();
  state.close();
  expect(state.read('Session', 'a')).toBeUndefined();
  other.close();
});

test('a record ends in time, although the clock is set back meanwhile', () => {
  jest.useFakeTimers();
  try {
    const state = new MemoryState();
    state.write('Interaction', 'a', {}, 3600);
    jest.setSystemTime(Date.now() - 7_200_000);
    jest.advanceTimersByTime(3_599_000);
    expect(state.read('Interaction', 'a')).toBeDefined();
    jest.advanceTimersByTime(1000);
    expect(state.read('Interaction', 'a')).toBeUndefined();
    state.close();
  } finally {
    jest.useRealTimers();
  }
});
