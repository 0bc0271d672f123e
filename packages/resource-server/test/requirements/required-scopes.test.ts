import { describe, expect, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import { proves } from '../../../../test/support/proves.ts';
import { InsufficientScopeError } from '../../src/errors.ts';
import {
  requiredPermissions,
  requiredScopes,
  scopeIncludesAny,
} from '../../src/requirements/required-scopes.ts';
import { type AccessTokenClaims, readScopes } from '../../src/token/jwt-access-token.ts';

const rules = {
  issuerBaseURL: '',
  audience: [],
  algorithms: [],
  profile: 'any',
  clockTolerance: 0,
} as const;

/** Runs a guard over a token's claims; answers whether the route behind it was reached. */
async function reaches(guard: ReturnType<typeof requiredScopes>, payload?: object) {
  let reached = false;
  const scopes = payload && readScopes(payload as AccessTokenClaims, rules);
  const state = payload ? { auth: { payload, scopes } } : {};
  await guard({ state } as unknown as Context, async () => {
    reached = true;
  });
  return reached;
}

describe('requiredScopes', () => {
  test.each<[string | string[], string]>([
    ['read:contacts', 'read:contacts'],
    ['read:contacts', 'openid read:contacts email'],
    ['a b', 'b a'],
    [['a', 'b'], 'a b c'],
  ])('%p is granted by %p', async (needed, scope) => {
    expect(await reaches(requiredScopes(needed), { scope })).toBe(true);
  });

  test.each<[string | string[], string | undefined]>([
    ['read:contacts', undefined],
    ['read:contacts', ''],
    ['read:contacts', 'read:contacts:all'],
    ['read:contacts:all', 'read:contacts'],
    ['read:contacts', 'READ:contacts'],
    ['read:contacts', 'unread:contacts'],
    ['a b', 'a'],
    [['a', 'b'], 'b'],
    ['__proto__', 'a'],
    ['constructor', 'a'],
    ['length', 'a'],
  ])('%p is not granted by %p: insufficient_scope', async (needed, scope) => {
    proves('RFC 6750 §5.3 scope');
    const refused = reaches(requiredScopes(needed), { scope });
    await expect(refused).rejects.toBeInstanceOf(InsufficientScopeError);
    const list = typeof needed === 'string' ? needed.split(' ') : needed;
    await expect(refused).rejects.toMatchObject({ scopes: list, status: 403 });
  });
});

describe('scopeIncludesAny', () => {
  test.each([
    ['a b', 'b', true],
    ['a b', 'a', true],
    ['a b', 'ab', false],
    ['a b', '', false],
  ])('one of %p in %p: %s', async (needed, scope, expected) => {
    const reached = reaches(scopeIncludesAny(needed), { scope });
    if (expected) expect(await reached).toBe(true);
    else await expect(reached).rejects.toMatchObject({ challenge: { scope: needed } });
  });
});

describe('requiredPermissions', () => {
  test.each<[string | string[], unknown]>([
    ['read:contacts', ['read:contacts']],
    ['a b', ['b', 'c', 'a']],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    ['a', [null, 5, {}, 'a']],
  ])('%p is held with %p', async (needed, permissions) => {
    expect(await reaches(requiredPermissions(needed), { permissions })).toBe(true);
  });

  test.each<[string | string[], unknown]>([
    ['a', undefined],
    ['a', null],
    ['a', []],
    ['a', 'a'],
    ['a', 'a b'],
    ['a', ['ab']],
    ['a', ['A']],
    ['a', [['a']]],
    ['a', { 0: 'a', length: 1 }],
    ['a', { includes: true }],
    ['a b', ['a']],
    ['a b', ['a b']],
    ['length', []],
    ['__proto__', []],
  ])('%p is not held with %p: insufficient_scope (RFC 6750 §3.1)', async (needed, permissions) => {
    const refused = reaches(requiredPermissions(needed), { permissions });
    const scopes = typeof needed === 'string' ? needed.split(' ') : needed;
    await expect(refused).rejects.toBeInstanceOf(InsufficientScopeError);
    await expect(refused).rejects.toMatchObject({ status: 403, scopes });
  });

  test('what the scope says counts for nothing, and the other way round', async () => {
    proves('RFC 9068 §5 scope');
    await expect(reaches(requiredPermissions('a'), { scope: 'a' })).rejects.toThrow();
    await expect(reaches(requiredScopes('a'), { permissions: ['a'] })).rejects.toThrow();
  });
});

describe.each([
  ['requiredScopes', requiredScopes],
  ['scopeIncludesAny', scopeIncludesAny],
  ['requiredPermissions', requiredPermissions],
])('%s', (_, guard) => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['an empty string', ''],
    ['spaces', '  '],
    ['an empty list', []],
    ['an empty name', ['']],
    ['two names in one', ['a b']],
    ['a number', [5]],
    ['undefined in the list', [undefined]],
    ['a quote', ['a"b']],
    ['an object', { length: 1 }],
    ['an empty object', {}],
    ['null', null],
  ])('made of %s says so at once', (_name, scopes) => {
    expect(() => guard(scopes as string)).toThrow(InvalidOptions);
    expect(() => guard(scopes as string)).toThrow(new RegExp(`^${guard.name}: `));
  });

  test('without auth every request is rejected', async () => {
    await expect(reaches(guard('a'))).rejects.toMatchObject({ code: 'ERR_MISSING_TOKEN' });
  });

  test('a list changed afterwards changes nothing', async () => {
    const scopes = ['a'];
    const made = guard(scopes);
    scopes[0] = 'b';
    expect(await reaches(made, { scope: 'a', permissions: ['a'] })).toBe(true);
    await expect(reaches(made, { scope: 'b', permissions: ['b'] })).rejects.toBeInstanceOf(
      InsufficientScopeError,
    );
  });

  test('bears its own name', () => {
    expect(guard('a').name).toBe(_);
  });
});
