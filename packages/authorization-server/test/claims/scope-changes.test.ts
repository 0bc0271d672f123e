import { expect, test } from '@jest/globals';
import { addScope, changeScope, isScope, removeScope } from '../../src/claims/scope-changes.ts';

test.each([
  ['nothing', undefined, 'a b'],
  ['added', addScope(undefined, 'c'), 'a b c'],
  ['added twice, or there already', addScope(addScope(undefined, 'a'), 'a'), 'a b'],
  ['removed', removeScope(undefined, 'a'), 'b'],
  ['added, then removed', removeScope(addScope(undefined, 'c'), 'c'), 'a b'],
  ['removed, then added', addScope(removeScope(undefined, 'a'), 'a'), 'a b'],
  ['replaced', { only: ['x', 'y'], added: [], removed: [] }, 'x y'],
  [
    'replaced, then changed',
    removeScope(addScope({ only: ['x'], added: [], removed: [] }, 'y'), 'x'),
    'y',
  ],
  ['all removed', removeScope(removeScope(undefined, 'a'), 'b'), undefined],
])('%s', (_name, changes, expected) => {
  expect(changeScope('a b', changes)).toBe(expected);
});

test('a scope may be added to none', () => {
  expect(changeScope(undefined, addScope(undefined, 'a'))).toBe('a');
});

test.each([
  ['read:contacts', true],
  ['', false],
  ['a b', false],
  ['a"b', false],
  ['a\\b', false],
  ['ä', false],
  [1, false],
  [undefined, false],
])('isScope(%p) is %p (RFC 6749 §3.3)', (scope, expected) => {
  expect(isScope(scope)).toBe(expected);
});
