import { describe, expect, test } from '@jest/globals';
import type { Context, Middleware } from 'koa';
import { OidcError } from '../src/errors.ts';
import { type ClaimValue, claimCheck, claimEquals, claimIncludes } from '../src/requires-auth.ts';

const CLAIMS = {
  iss: 'https://issuer.example/',
  sub: 'user-1',
  aud: 'client-1',
  iat: 1,
  exp: 2,
  role: 'admin',
  level: 3,
  verified: true,
  manager: null,
  groups: ['sales', 'support'],
  words: 'read write',
  nested: { admin: true },
};

/** @returns 'in', or the code of what was thrown */
async function visit(middleware: Middleware, claims: object | undefined = CLAIMS) {
  const oidc = {
    idTokenClaims: claims,
    require() {
      if (!claims) throw new OidcError('ERR_LOGIN_REQUIRED');
    },
    stepUp: () => undefined,
  };
  let answer = '';
  const ctx = { oidc, method: 'GET', get: () => '' } as unknown as Context;
  try {
    await middleware(ctx as Parameters<Middleware>[0], async () => {
      answer = 'in';
    });
  } catch (error) {
    const { code, status } = error as OidcError;
    answer = `${status} ${code}`;
  }
  return answer;
}

const REFUSED = '403 ERR_INSUFFICIENT_CLAIMS';

describe('claimEquals', () => {
  test.each<[string, ClaimValue, string]>([
    ['role', 'admin', 'in'],
    ['level', 3, 'in'],
    ['verified', true, 'in'],
    ['manager', null, 'in'],
    ['role', 'adm', REFUSED],
    ['level', '3', REFUSED],
    ['verified', 'true', REFUSED],
    ['missing', null, REFUSED],
    ['toString', null, REFUSED],
    ['groups', 'sales', REFUSED],
  ])('%s, %j: %s', async (claim, value, expected) => {
    expect(await visit(claimEquals(claim, value))).toBe(expected);
  });
});

describe('claimIncludes', () => {
  test.each<[string, ClaimValue[], string]>([
    ['groups', ['sales'], 'in'],
    ['groups', ['support', 'sales'], 'in'],
    ['words', ['write'], 'in'],
    ['groups', ['sales', 'admin'], REFUSED],
    ['groups', ['sale'], REFUSED],
    ['words', ['rea'], REFUSED],
    ['level', [3], REFUSED],
    ['nested', ['admin'], REFUSED],
    ['missing', ['sales'], REFUSED],
    ['constructor', ['sales'], REFUSED],
  ])('%s, %j: %s', async (claim, values, expected) => {
    expect(await visit(claimIncludes(claim, ...values))).toBe(expected);
  });
});

describe('claimCheck', () => {
  test.each<[string, () => unknown, string]>([
    ['true', () => true, 'in'],
    ['a promise of true', async () => true, 'in'],
    ['false', () => false, REFUSED],
    ['a promise of false', async () => false, REFUSED],
    ['something that is not true', () => 'yes', REFUSED],
    ['nothing', () => undefined, REFUSED],
  ])('a function that answers %s', async (_name, answer, expected) => {
    expect(await visit(claimCheck(answer as () => boolean))).toBe(expected);
  });

  test('the function sees the request and the claims', async () => {
    const check = (claims: object, ctx: Context) => ctx.method === 'GET' && claims === CLAIMS;
    expect(await visit(claimCheck(check))).toBe('in');
  });

  test('what it throws is thrown', async () => {
    const check = claimCheck(() => {
      throw new OidcError('ERR_CROSS_SITE');
    });
    expect(await visit(check)).toBe('403 ERR_CROSS_SITE');
  });
});

test('a request without a user is asked to sign in, whatever the check', async () => {
  let asked = false;
  const check = claimCheck(() => {
    asked = true;
    return true;
  });
  for (const middleware of [check, claimEquals('a', 1), claimIncludes('a', 1)]) {
    const ctx = { oidc: { require: notSignedIn, stepUp: () => undefined } } as unknown as Context;
    const visited = middleware(ctx as Parameters<Middleware>[0], async () => {});
    await expect(visited).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED', status: 401 });
  }
  expect(asked).toBe(false);
});

function notSignedIn(): never {
  throw new OidcError('ERR_LOGIN_REQUIRED');
}

test.each<[string, () => unknown]>([
  ['no function', () => claimCheck('x' as never)],
  ['no claim', () => claimEquals('', 1)],
  ['an object to compare with', () => claimEquals('a', {} as never)],
  ['undefined to compare with', () => claimEquals('a', undefined as never)],
  ['no value', () => claimIncludes('a')],
  ['a list as a value', () => claimIncludes('a', ['b'] as never)],
])('%s stops the start', (_name, make) => {
  expect(make).toThrow('it needs');
});
