import { expect, test } from '@jest/globals';
import {
  foreignScope,
  isSameScope,
  missingScopes,
  scopeParameter,
  scopesOf,
  unionOfScopes,
} from '../../src/oauth/scope.ts';

test('a scope is a set (RFC 6749 §3.3)', () => {
  expect(scopesOf(' read  write read ')).toEqual(new Set(['read', 'write']));
  expect(scopesOf('')).toEqual(new Set());
  expect(isSameScope('read write', 'write read read')).toBe(true);
  expect(isSameScope('read', 'read write')).toBe(false);
  expect(isSameScope('read write', 'read')).toBe(false);
});

test('missing scopes are listed in the given order; a part of a name is no match', () => {
  expect(missingScopes('b a', '')).toEqual(['b', 'a']);
  expect(missingScopes('read:all read', 'read read:')).toEqual(['read:all']);
  expect(missingScopes('', 'read')).toEqual([]);
});

test.each([
  ['read write', 'read write'],
  [['read', 'write', 'read'], 'read write'],
  [['read write', 'delete'], 'read write delete'],
  [[], ''],
  ['  ', ''],
])('%j is the parameter %j', (scope, parameter) => {
  expect(scopeParameter(scope)).toBe(parameter);
});

test.each(['a"b', 'a\\b', 'a\tb', 'a\r\nb', 'é', ['a', 'b\u0000'], [5], [null], 5, null, {}])(
  '%j is none',
  (scope) => {
    expect(() => scopeParameter(scope as string)).toThrow(TypeError);
  },
);

test('a union has each scope once, in the order of its first appearance', () => {
  expect(unionOfScopes('b a', undefined, 'c a', '')).toBe('b a c');
  expect(unionOfScopes()).toBe('');
});

test('of what somebody else wrote, what can be a scope is left', () => {
  expect(foreignScope('read "x" wr\\ite  a:b \u0000 é …')).toBe('read a:b');
});
