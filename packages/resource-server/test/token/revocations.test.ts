import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { codePoint } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { REDIS_URL } from '../../../../test/support/redis.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { type ExpiringSet, memorySet } from '../../src/stores/expiring-set.ts';
import { redisSet } from '../../src/stores/redis.ts';
import type { AccessTokenClaims } from '../../src/token/jwt-access-token.ts';
import {
  checkRevocation,
  type IsRevoked,
  type RevocationsOptions,
  revocations,
} from '../../src/token/revocations.ts';
import { type Api, startApi } from '../support/protected-api.ts';
import { dropSets, noRedis, prefix, SHARED_SETS } from '../support/stores.ts';

const NOW = 1_800_000_000;
const HOUR = 3600;
const ISS = 'https://tenant.example.com/';
const audience = 'https://api.example.com';
const token = (more: object = {}): AccessTokenClaims => {
  const claims = { iss: ISS, sub: 'alice', jti: 'j1', sid: 's1', iat: NOW, exp: NOW + HOUR };
  return { aud: audience, ...claims, ...more };
};

let now = NOW * 1000;
const make = (options: RevocationsOptions = {}) => revocations({ now: () => now, ...options });

describe('a token is revoked', () => {
  test('by its jti, and no other token is', async () => {
    const revoked = make();
    expect(await revoked.isRevoked(token())).toBe(false);
    await revoked.revoke(token());
    expect(await revoked.isRevoked(token())).toBe(true);
    for (const other of [{ jti: 'j2' }, { jti: undefined }, { iss: 'https://b.example/' }]) {
      expect(await revoked.isRevoked(token(other))).toBe(false);
    }
  });

  test('by the sid of its session, also a later token, and no other session of the user', async () => {
    const revoked = make();
    await revoked.revokeSession({ iss: ISS, sid: 's1' });
    const later = { jti: 'j2', iat: NOW + 900, exp: NOW + 900 + HOUR };
    expect(await revoked.isRevoked(token())).toBe(true);
    expect(await revoked.isRevoked(token(later))).toBe(true);
    for (const other of [{ sid: 's2' }, { sid: undefined }, { iss: 'https://b.example/' }]) {
      expect(await revoked.isRevoked(token(other))).toBe(false);
    }
  });

  test('by its user, if it was issued before the moment; the latest moment counts', async () => {
    const revoked = make();
    await revoked.revokeUser({ iss: ISS, sub: 'alice', before: NOW + 1 });
    await revoked.revokeUser({ iss: ISS, sub: 'alice', before: NOW - 100 });
    expect(await revoked.isRevoked(token())).toBe(true);
    expect(await revoked.isRevoked(token({ iat: NOW + 0.9 }))).toBe(true);
    expect(await revoked.isRevoked(token({ iat: NOW + 1 }))).toBe(false);
    expect(await revoked.isRevoked(token({ iat: undefined }))).toBe(true);
    for (const other of [{ sub: 'bob' }, { iss: 'https://b.example/' }]) {
      expect(await revoked.isRevoked(token(other))).toBe(false);
    }
  });

  test('by a session in a custom claim, where "sid" is absent', async () => {
    const revoked = make({ sessionClaim: 'https://api.example.com/sid' });
    const custom = (sid?: string) => token({ sid, 'https://api.example.com/sid': 's7' });
    await revoked.revokeSession({ iss: ISS, sid: 's7' });
    expect(await revoked.isRevoked(custom())).toBe(true);
    expect(await revoked.isRevoked(custom('s1'))).toBe(false);
    expect(await make().isRevoked(custom())).toBe(false);
  });

  test('never because a name of another kind or another issuer is alike', async () => {
    const name = fc.oneof(
      fc.string({ unit: codePoint, minLength: 1, maxLength: 4 }),
      fc.constantFrom('a', '["', '",'),
    );
    const words = fc.record({ iss: name, sub: name, jti: name, sid: name });
    await fc.assert(
      fc.asyncProperty(
        words,
        words,
        fc.constantFrom('jti', 'sid', 'sub'),
        async (one, other, kind) => {
          const revoked = make();
          const { iss } = one;
          if (kind === 'jti') await revoked.revoke({ iss, jti: one.jti, exp: NOW + HOUR });
          else if (kind === 'sid') await revoked.revokeSession({ iss, sid: one.sid });
          else await revoked.revokeUser({ iss, sub: one.sub, before: NOW + 1 });
          expect(await revoked.isRevoked(token(one))).toBe(true);
          const same = other.iss === iss && other[kind as 'sub'] === one[kind as 'sub'];
          expect(await revoked.isRevoked(token(other))).toBe(same);
        },
      ),
    );
  });
});

describe('a token that a forgotten revocation could concern is never accepted', () => {
  test.each([
    ['lives longer than maxTokenLifetime', { exp: NOW + HOUR + 1 }],
    ['has no iat, and lives longer from now on', { iat: undefined, exp: NOW + HOUR + 1 }],
  ])('one that %s: isRevoked throws, which is a 503', (_, change) => {
    const revoked = make({ maxTokenLifetime: HOUR });
    expect(() => revoked.isRevoked(token(change))).toThrow('maxTokenLifetime');
    expect(revoked.isRevoked(token())).toBe(false);
    expect(revoked.isRevoked(token({ iat: undefined }))).toBe(false);
  });

  test.each<[string, unknown]>([
    ['no list', undefined],
    ['a list that is too short', []],
    ['a text', ['x', 'x', 'x']],
    ['not a number', [undefined, Number.NaN, undefined]],
  ])('a store that answers with %s: an error or revoked', async (_, answer) => {
    const store = broken({ getNumbers: () => answer as never });
    const asked = async () => make({ store }).isRevoked(token());
    expect(await asked().catch(() => true)).toBe(true);
  });

  test('a store that fails or never answers: a 503 of each method, without its secrets', async () => {
    const fail = () => Promise.reject(new Error('redis://user:secret@10.0.0.1 refused'));
    const revoked = make({ store: broken({ setIfGreater: fail, getNumbers: fail }) });
    for (const call of [
      revoked.revoke(token()),
      revoked.revokeSession({ iss: ISS, sid: 's1' }),
      revoked.revokeUser({ iss: ISS, sub: 'alice', before: NOW }),
    ]) {
      const error = await call.catch((reason) => reason);
      expect(error).toMatchObject({ status: 503, code: 'ERR_REVOCATION_UNAVAILABLE' });
      expect(error).toMatchObject({ headers: { 'Retry-After': '2' } });
      expect(`${error.message} ${error.detail}`).not.toContain('secret');
    }
    await expect(async () => revoked.isRevoked(token())).rejects.toThrow();
  });
});

const broken = (changes: Partial<ExpiringSet>): ExpiringSet => {
  const store = memorySet();
  return Object.assign(Object.create(store), {
    add: store.add.bind(store),
    setIfGreater: store.setIfGreater.bind(store),
    getNumbers: store.getNumbers.bind(store),
    ...changes,
  });
};

test.each<[string, (revoked: ReturnType<typeof make>) => Promise<void>]>([
  ['a jti that is missing', (revoked) => revoked.revoke(token({ jti: undefined }))],
  ['an exp that is missing', (revoked) => revoked.revoke(token({ exp: undefined }))],
  ['an empty sid', (revoked) => revoked.revokeSession({ iss: ISS, sid: '' })],
  ['no issuer', (revoked) => revoked.revokeSession({ sid: 's1' } as never)],
  [
    'a sub that is no text',
    (revoked) => revoked.revokeUser({ iss: ISS, sub: 1, before: NOW } as never),
  ],
  ['milliseconds', (revoked) => revoked.revokeUser({ iss: ISS, sub: 'a', before: NOW * 1000 })],
])('%s is a TypeError', async (_, call) => {
  await expect(call(make())).rejects.toThrow(TypeError);
});

test.each<[string, object]>([
  ['maxTokenLifetime', { maxTokenLifetime: 0 }],
  ['maxTokenLifetime', { maxTokenLifetime: '3600' }],
  ['maxTokenLifetime', { maxTokenLifetime: Number.POSITIVE_INFINITY }],
  ['store', { store: {} }],
  ['store', { store: null }],
  ['sessionClaim', { sessionClaim: '' }],
  ['now', { now: 1 }],
  ['unknown: storee', { storee: 1 }],
])('the option %s is refused in %j', (name, options) => {
  expect(() => revocations(options)).toThrow(InvalidOptions);
  expect(() => revocations(options)).toThrow(name);
});

describe('the list', () => {
  test('in memory holds at most maxEntries; one more is a 503, and none is forgotten', async () => {
    now = NOW * 1000;
    const store = memorySet({ maxEntries: 100, now: () => now });
    const revoked = make({ store, maxTokenLifetime: HOUR });
    for (let i = 0; i < 100; i += 1) await revoked.revokeSession({ iss: ISS, sid: `s${i}` });
    await expect(revoked.revokeSession({ iss: ISS, sid: 'more' })).rejects.toMatchObject({
      status: 503,
    });
    for (let i = 0; i < 100; i += 1) await revoked.revokeSession({ iss: ISS, sid: `s${i}` });
    for (let i = 0; i < 100; i += 1) {
      expect(await revoked.isRevoked(token({ sid: `s${i}` }))).toBe(true);
    }
    now += (HOUR + 600) * 1000;
    expect(await revoked.isRevoked(token({ sid: 's99' }))).toBe(false);
    for (let i = 0; i < 100; i += 1) await revoked.revokeSession({ iss: ISS, sid: `t${i}` });
    now = NOW * 1000;
  });

  afterAll(dropSets);

  for (const { name, missing, open } of SHARED_SETS) {
    (missing ? describe.skip : describe)(`in ${name}${missing ? `: ${missing}` : ''}`, () => {
      test('is read by every process at once, in one request to the server', async () => {
        const [one, other] = [open(), open()];
        const [revoked, elsewhere] = [make({ store: one }), make({ store: other })];
        const claims = token({ jti: `${name} j`, sid: `${name} s` });
        expect(await elsewhere.isRevoked(claims)).toBe(false);
        await revoked.revokeSession({ iss: ISS, sid: `${name} s` });
        expect(await elsewhere.isRevoked(claims)).toBe(true);
        await Promise.all([one.close(), other.close()]);
      });
    });
  }
});

(noRedis ? test.skip : test)('Redis gets one command for each request', async () => {
  const client = new Redis(REDIS_URL);
  const commands: string[] = [];
  const store = redisSet({
    prefix,
    client: {
      call(command, ...rest) {
        commands.push(command);
        return client.call(command, ...rest);
      },
    },
  });
  const revoked = make({ store });
  expect(await revoked.isRevoked(token())).toBe(false);
  expect(commands).toEqual(['MGET']);
  client.disconnect();
});

const unavailable = { status: 503, code: 'ERR_REVOCATION_UNAVAILABLE' };

describe('checkRevocation', () => {
  const claims = token();

  test.each<[string, IsRevoked]>([
    ['at once', () => false],
    ['later', async () => false],
  ])('false, %s: it passes', async (_, isRevoked) => {
    await checkRevocation(claims, isRevoked);
  });

  test.each<[string, IsRevoked]>([
    ['at once', () => true],
    ['later', async () => true],
    ['by iss and jti', ({ iss, jti }) => iss === claims.iss && jti === 'j1'],
    ['by sub, before a moment', ({ sub, iat }) => sub === 'alice' && (iat ?? 0) < NOW + 1],
  ])('true, %s: revoked, as invalid_token (RFC 6750 §3.1)', async (_, isRevoked) => {
    await expect(checkRevocation(claims, isRevoked)).rejects.toMatchObject({
      status: 401,
      reason: 'revoked',
      challenge: { error: 'invalid_token' },
    });
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('redis://user:secret@10.0.0.1 refused');
      },
    ],
    ['throws nothing', () => Promise.reject(undefined)],
    ['rejects', () => Promise.reject(new Error('redis://user:secret@10.0.0.1 refused'))],
    ['answers undefined', () => undefined],
    ['answers null', async () => null],
    ['answers 0', () => 0],
    ['answers 1', () => 1],
    ['answers text', () => 'false'],
    ['answers an object', () => ({ revoked: false })],
  ])('a check that %s can tell nothing: 503, never 401 and never through', async (_, answer) => {
    const checked = checkRevocation(claims, answer as IsRevoked);
    await expect(checked).rejects.toMatchObject(unavailable);
    await expect(checked).rejects.toMatchObject({
      message: expect.not.stringContaining('secret'),
      detail: expect.not.stringContaining('secret'),
    });
  });
});

test('a check that does not answer: 503 after two seconds, and the late answer counts no more', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  for (const settle of ['resolve', 'reject'] as const) {
    const late: Partial<Record<typeof settle, (value: never) => void>> = {};
    const checked = checkRevocation(token(), () => {
      return new Promise<boolean>((resolve, reject) => Object.assign(late, { resolve, reject }));
    });
    const refused = expect(checked).rejects.toMatchObject({
      ...unavailable,
      detail: 'isRevoked did not answer within 2 seconds',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    late[settle]?.(new Error('late') as never);
  }
  // An answer that is there at once takes no timer.
  await checkRevocation(token(), async () => false);
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

test('an answer that arrived while the process was busy for two seconds counts', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  let answer = (_isRevoked: boolean): void => {};
  const checked = checkRevocation(token(), () => {
    return new Promise<boolean>((resolve) => {
      answer = resolve;
    });
  });
  await new Promise((resolve) => setImmediate(resolve));
  // After such a time, timers come before what has arrived.
  jest.advanceTimersByTime(2000);
  answer(false);
  jest.useRealTimers();
  await expect(checked).resolves.toBeUndefined();
});

describe('in an API', () => {
  let issuer: TestIssuer;
  const open: Api[] = [];
  beforeAll(async () => {
    issuer = await startTestIssuer({ keys: [testKey()] });
  });
  afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
  afterAll(() => issuer.close());

  async function start(isRevoked: IsRevoked, authRequired = true): Promise<Api> {
    const api = await startApi({ issuerBaseURL: issuer.issuer, audience, isRevoked, authRequired });
    open.push(api);
    return api;
  }
  const mint = (more: object = {}) => issuer.token({ sub: 'alice', aud: audience, ...more });

  test('one token by its jti, others of the same user not', async () => {
    const revoked = new Set([`${issuer.issuer} j1`]);
    const api = await start(({ iss, jti }) => revoked.has(`${iss} ${jti}`));
    const answer = await api.get(mint({ jti: 'j1' }));
    expect(answer).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(answer.challenge).toContain('the access token has been revoked');
    expect((await api.get(mint({ jti: 'j2' }))).status).toBe(200);
    expect((await api.get(mint())).status).toBe(200);
  });

  test('all tokens of a user before a moment', async () => {
    const moment = Math.floor(Date.now() / 1000) - 60;
    const notBefore = new Map([['alice', moment]]);
    const api = await start(({ sub, iat = 0 }) => iat < (notBefore.get(sub) ?? 0));
    expect((await api.get(mint({ iat: moment - 1 }))).status).toBe(401);
    expect((await api.get(mint({ iat: moment }))).status).toBe(200);
    expect((await api.get(mint({ sub: 'bob', iat: moment - 1 }))).status).toBe(200);
  });

  test('it is asked on every request, of a token long known too', async () => {
    proves('RFC 6750 §5.1 replay');
    const asked: unknown[] = [];
    const api = await start(({ jti }) => asked.push(jti) > 3);
    const value = mint({ jti: 'j1' });
    const answers = [];
    for (let i = 0; i < 4; i += 1) answers.push((await api.get(value)).status);
    expect(answers).toEqual([200, 200, 200, 401]);
    expect(asked).toEqual(['j1', 'j1', 'j1', 'j1']);
  });

  test('it is asked of no token but a genuine one', async () => {
    const asked: unknown[] = [];
    const api = await start((payload) => asked.push(payload) < 0);
    const hostile = issuer.hostileTokens({ aud: audience });
    for (const value of Object.values(hostile)) expect((await api.get(value)).status).toBe(401);
    expect(asked).toEqual([]);
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('down');
      },
    ],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['answers undefined', () => undefined],
  ])('while it %s: 503 with Retry-After and no challenge, known token or not', async (_, fail) => {
    let well = true;
    const api = await start((() => (well ? false : fail())) as IsRevoked);
    const known = mint({ jti: 'known' });
    expect((await api.get(known)).status).toBe(200);
    well = false;
    for (const value of [known, mint({ jti: 'fresh' })]) {
      expect(await api.get(value)).toMatchObject({
        status: 503,
        retryAfter: '2',
        challenge: null,
        body: 'it is not known right now whether the access token was revoked',
      });
    }
    expect(api.errors.at(-1)).toMatchObject(unavailable);
    well = true;
    expect((await api.get(known)).status).toBe(200);
  });

  test('optional authentication makes no exception', async () => {
    const api = await start(() => Promise.reject(new Error('down')), false);
    expect((await api.get(mint())).status).toBe(503);
    expect((await api.get()).status).toBe(200);
  });

  test('a cached token is revoked too, with a challenge; the others stay', async () => {
    proves('RFC 6750 §5.1 replay');
    const revoked = revocations();
    const api = await start(revoked.isRevoked);
    const [one, other] = [mint({ sid: 's1' }), mint({ sid: 's2' })];
    for (let i = 0; i < 3; i += 1) expect((await api.get(one)).status).toBe(200);
    await revoked.revokeSession({ iss: issuer.issuer, sid: 's1' });
    expect(await api.get(one)).toMatchObject({ status: 401, error: 'invalid_token' });
    expect((await api.get(mint({ sid: 's1' }))).status).toBe(401);
    expect((await api.get(other)).status).toBe(200);
  });
});
