import { describe, expect, jest, test } from '@jest/globals';
import { z } from 'zod';
import { proves } from '../../../../test/support/proves.ts';
import { readCustomClaims, type StandardSchema } from '../../src/token/custom-claims.ts';

const namespace = 'https://contacts.example.com/';
const schema = z.object({ org_id: z.string().min(1).optional(), roles: z.array(z.string()) });

/** A Standard Schema made by hand, from its one function. */
function standard<Output>(
  validate: StandardSchema<Output>['~standard']['validate'],
): StandardSchema<Output> {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

describe('a schema of zod', () => {
  test('gives the claims out typed, without their prefix', async () => {
    proves('RFC 9068 §2.2.3.1');
    const payload = {
      sub: 'alice',
      roles: ['not these'],
      [`${namespace}org_id`]: 'acme',
      [`${namespace}roles`]: ['admin'],
    };
    const claims = await readCustomClaims(payload, { namespace, schema });
    const typed: { org_id?: string; roles: string[] } = claims;
    expect(typed).toEqual({ org_id: 'acme', roles: ['admin'] });
    // @ts-expect-error the schema knows no such claim
    expect(claims.other).toBeUndefined();
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['is missing', {}, 'roles'],
    ['bears no prefix', { roles: ['admin'] }, 'roles'],
    ['has the wrong type', { [`${namespace}roles`]: 'admin' }, 'roles'],
    ['is empty', { [`${namespace}roles`]: [], [`${namespace}org_id`]: '' }, 'org_id'],
    ['bears a prefix in other case', { [`${namespace.toUpperCase()}roles`]: ['a'] }, 'roles'],
    ['is further in', { claims: { [`${namespace}roles`]: ['a'] } }, 'roles'],
  ])('a claim that %s: 403, and the name in the detail alone', async (_, payload, name) => {
    const read = readCustomClaims(payload, { namespace, schema });
    await expect(read).rejects.toMatchObject({ code: 'ERR_CLAIM_MISMATCH' });
    await expect(read).rejects.toMatchObject({
      status: 403,
      challenge: {},
      message: 'a custom claim of the access token does not fit',
      detail: `the schema refused "${name}"`,
    });
  });

  test('what the schema makes of the claims is what comes out', async () => {
    const transforming = z.object({ n: z.string().transform(Number) });
    const payload = { [`${namespace}n`]: '42' };
    expect(await readCustomClaims(payload, { namespace, schema: transforming })).toEqual({ n: 42 });
  });
});

describe('any Standard Schema', () => {
  test('one that answers later is waited for', async () => {
    const later = standard(async (value) => ({ value: value as { a: number } }));
    const claims = await readCustomClaims({ [`${namespace}a`]: 1 }, { namespace, schema: later });
    expect(claims.a).toBe(1);
  });

  test.each<[string, readonly unknown[] | undefined, string]>([
    ['a name', ['roles', 0], '"roles"'],
    ['an object that holds the name', [{ key: 'roles' }], '"roles"'],
    ['a symbol', [Symbol('s')], 'the claims'],
    ['an object without text', [Object.create(null)], 'the claims'],
    ['null', [null], 'the claims'],
    ['a name with control characters', ['a\n\u001b[31m'], 'the claims'],
    ['a person', ['alice@example.com'], 'the claims'],
    ['nothing', undefined, 'the claims'],
    ['an empty list', [], 'the claims'],
  ])('issues whose path is %s', async (_, path, detail) => {
    // Messages of some schemas quote the value.
    const message = 'got alice@example.com\n\u001b[31m';
    const refusing = standard(() => ({ issues: [{ message, path }] }));
    await expect(readCustomClaims({}, { namespace, schema: refusing })).rejects.toMatchObject({
      status: 403,
      detail: `the schema refused ${detail}`,
    });
  });

  test('an empty list of issues refuses too', async () => {
    const refusing = standard(() => ({ issues: [] }));
    const read = readCustomClaims({}, { namespace, schema: refusing });
    await expect(read).rejects.toMatchObject({ code: 'ERR_CLAIM_MISMATCH' });
  });

  test('a thousand issues make a short detail', async () => {
    const issues = Array.from({ length: 1000 }, () => ({ message: 'x'.repeat(50) }));
    const read = readCustomClaims({}, { namespace, schema: standard(() => ({ issues })) });
    await expect(read).rejects.toMatchObject({ detail: expect.stringMatching(/^.{1,500}$/) });
  });

  test('one that does not answer: 503 after two seconds', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    const read = readCustomClaims({}, { namespace, schema: standard(() => new Promise(() => {})) });
    const refused = expect(read).rejects.toMatchObject({
      status: 503,
      code: 'ERR_CLAIMS_UNAVAILABLE',
      detail: 'the schema did not answer within 2 seconds',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    jest.useRealTimers();
  });

  test.each<[string, StandardSchema['~standard']['validate']]>([
    [
      'throws',
      () => {
        throw new RangeError('broken');
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('broken'))],
  ])('one that %s rejects the request: the fault is not in the token', async (_, validate) => {
    const read = readCustomClaims({}, { namespace, schema: standard(validate) });
    await expect(read).rejects.toThrow(RangeError);
  });
});

test('names of the prototype are claims like others, and change nothing', async () => {
  const payload = JSON.parse(`{"${namespace}__proto__":{"admin":true},"${namespace}":1}`);
  const seen = await readCustomClaims(payload as Record<string, unknown>, {
    namespace,
    schema: standard((value) => ({ value: value as Record<string, unknown> })),
  });
  expect(seen.admin).toBeUndefined();
  expect(Object.getPrototypeOf(seen)).toBe(Object.prototype);
  expect(Object.keys(seen)).toEqual(['__proto__', '']);
  const { admin } = await readCustomClaims(payload as Record<string, unknown>, {
    namespace,
    schema: z.object({ admin: z.boolean().optional() }),
  });
  expect(admin).toBeUndefined();
});
