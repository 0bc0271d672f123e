import { describe, expect, test } from '@jest/globals';
import type { Context, Middleware } from 'koa';
import { proves } from '../../../../test/support/proves.ts';
import { claimCheck, claimEquals, claimIncludes } from '../../src/requirements/claim-check.ts';

async function reaches(guard: Middleware, payload?: object): Promise<boolean> {
  let reached = false;
  const state = payload ? { auth: { payload } } : {};
  await guard({ state } as unknown as Context, async () => {
    reached = true;
  });
  return reached;
}

const refused = { status: 403, code: 'ERR_CLAIM_MISMATCH', challenge: {} };

describe('claimCheck', () => {
  test('lets in what passes, and refuses with 403 what does not', async () => {
    const guard = claimCheck(({ sub }) => sub === 'alice', 'only for alice');
    expect(await reaches(guard, { sub: 'alice' })).toBe(true);
    await expect(reaches(guard, { sub: 'bob' })).rejects.toMatchObject({
      ...refused,
      message: 'only for alice',
    });
  });

  test('a check that takes its time is waited for', async () => {
    const guard = claimCheck(async ({ sub }) => sub === 'alice');
    expect(await reaches(guard, { sub: 'alice' })).toBe(true);
    await expect(reaches(guard, { sub: 'bob' })).rejects.toMatchObject({
      code: 'ERR_CLAIM_MISMATCH',
    });
  });

  test.each<unknown>(['yes', 1, {}, undefined, Promise.resolve('yes')])(
    'a check that returns %p, which is not true, rejects the request',
    async (answer) => {
      await expect(
        reaches(
          claimCheck(() => answer as boolean),
          {},
        ),
      ).rejects.toMatchObject(refused);
    },
  );

  test('a check sees the claims and the request', async () => {
    const claims = { sub: 'alice' };
    const guard = claimCheck(
      (seen, ctx) => seen === ctx.state.auth?.payload && seen.sub === 'alice',
    );
    expect(await reaches(guard, claims)).toBe(true);
  });

  test('what is no function stops the start', () => {
    expect(() => claimCheck('sub' as never)).toThrow('claimCheck: give a function');
  });

  test('a check that fails rejects the request with its error', async () => {
    const broken = new Error('broken');
    const throws = claimCheck(() => {
      throw broken;
    });
    await expect(reaches(throws, {})).rejects.toBe(broken);
    await expect(
      reaches(
        claimCheck(() => Promise.reject(broken)),
        {},
      ),
    ).rejects.toBe(broken);
  });

  test('a route may ask how strongly and how recently the user signed in (RFC 9068 §2.2.1)', async () => {
    proves('RFC 9068 §2.2.1', 'ASVS 10.3.4');
    const now = 1_000_000;
    const guard = claimCheck(
      ({ acr, auth_time }) => acr === 'mfa' && Number(auth_time) >= now - 300,
      'a recent sign-in with two factors is needed',
    );
    expect(await reaches(guard, { acr: 'mfa', auth_time: now - 300 })).toBe(true);
    const others = [{ acr: 'pwd', auth_time: now }, { acr: 'mfa', auth_time: now - 301 }, {}];
    for (const claims of others)
      await expect(reaches(guard, claims)).rejects.toMatchObject(refused);
  });

  test('without auth every request is rejected', async () => {
    await expect(reaches(claimCheck(() => true))).rejects.toMatchObject({
      code: 'ERR_MISSING_TOKEN',
    });
  });
});

const own = (json: string) => JSON.parse(json) as object;

test.each<[object, string | number | boolean | null, boolean]>([
  [{ c: 'x' }, 'x', true],
  [{ c: 'X' }, 'x', false],
  [{ c: 1 }, 1, true],
  [{ c: '1' }, 1, false],
  [{ c: true }, true, true],
  [{ c: 'true' }, true, false],
  [{ c: null }, null, true],
  [{}, null, false],
  [{ c: 0 }, false, false],
  [{ c: ['x'] }, 'x', false],
  [{ c: { toString: 'x' } }, 'x', false],
])('claimEquals: %p equals %p: %s', async (payload, expected, fits) => {
  const reached = reaches(claimEquals('c', expected), payload);
  if (fits) expect(await reached).toBe(true);
  else await expect(reached).rejects.toMatchObject(refused);
});

test.each<[object, (string | number | boolean)[], boolean]>([
  [{ c: ['a', 'b'] }, ['a'], true],
  [{ c: ['a', 'b'] }, ['b', 'a'], true],
  [{ c: ['a'] }, ['a', 'b'], false],
  [{ c: 'a b' }, ['b'], true],
  [{ c: 'ab' }, ['a'], false],
  [{ c: ['ab'] }, ['a'], false],
  [{ c: [1] }, [1], true],
  [{ c: ['1'] }, [1], false],
  [{ c: [['a']] }, ['a'], false],
  [{ c: { 0: 'a', length: 1 } }, ['a'], false],
  [{ c: { includes: true } }, ['a'], false],
  [{ c: null }, ['a'], false],
  [{ c: [] }, ['a'], false],
  [{}, ['a'], false],
])('claimIncludes: %p includes %p: %s', async (payload, expected, fits) => {
  const reached = reaches(claimIncludes('c', ...expected), payload);
  if (fits) expect(await reached).toBe(true);
  else await expect(reached).rejects.toMatchObject(refused);
});

test('without arguments, each guard says what it needs', () => {
  expect(claimCheck as () => unknown).toThrow('claimCheck: give a function');
  expect(claimEquals as () => unknown).toThrow("claimEquals('org_id', 'acme')");
  expect(() => claimEquals('org', undefined as never)).toThrow("claimEquals('org_id', 'acme')");
  expect(claimIncludes as () => unknown).toThrow("claimIncludes('org_id', 'acme')");
});

test('claimIncludes of nothing, as by an empty list in a setting, says so at once', () => {
  expect(() => claimIncludes('roles')).toThrow(TypeError);
  expect(() => claimIncludes('roles', ...[])).toThrow(TypeError);
});

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
  '%s is no claim unless the token has it',
  async (name) => {
    await expect(reaches(claimIncludes(name, 'a'), {})).rejects.toMatchObject(refused);
    await expect(reaches(claimEquals(name, 'a'), {})).rejects.toMatchObject(refused);
    expect(await reaches(claimEquals(name, 'a'), own(`{"${name}":"a"}`))).toBe(true);
  },
);
