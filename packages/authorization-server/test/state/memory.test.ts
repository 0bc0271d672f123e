import { expect, test } from '@jest/globals';
import { createMemoryState } from '../../src/state/memory.ts';

test('each state is one of its own, and empty once it is closed', () => {
  const state = createMemoryState(() => 1000);
  const other = createMemoryState(() => 1000);
  state.write('Session', 'a', { x: 1 }, 10, { uid: 'u' });
  expect(other.read('Session', 'a')).toBeUndefined();
  expect(other.readByUid('Session', 'u')).toBeUndefined();
  state.close();
  expect(state.read('Session', 'a')).toBeUndefined();
  other.close();
});
