import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { checkRevocation, type IsRevoked } from '../../src/token/access-token-verifier.ts';
import type { AccessTokenClaims } from '../../src/token/jwt-access-token.ts';
import { type Api, startApi } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const claims: AccessTokenClaims = {
  iss: 'https://tenant.example.com/',
  sub: 'alice',
  aud: audience,
  exp: 2_000,
  iat: 1_000,
  jti: 'j1',
};
const unavailable = { status: 503, code: 'ERR_REVOCATION_UNAVAILABLE' };

describe('checkRevocation', () => {
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
    ['by sub, before a moment', ({ sub, iat }) => sub === 'alice' && (iat ?? 0) < 1_001],
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
    const checked = checkRevocation(claims, () => {
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
  await checkRevocation(claims, async () => false);
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
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
  const token = (more: object = {}) => issuer.token({ sub: 'alice', aud: audience, ...more });

  test('one token by its jti, others of the same user not', async () => {
    const revoked = new Set([`${issuer.issuer} j1`]);
    const api = await start(({ iss, jti }) => revoked.has(`${iss} ${jti}`));
    const answer = await api.get(token({ jti: 'j1' }));
    expect(answer).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(answer.challenge).toContain('the access token has been revoked');
    expect((await api.get(token({ jti: 'j2' }))).status).toBe(200);
    expect((await api.get(token())).status).toBe(200);
  });

  test('all tokens of a user before a moment', async () => {
    const moment = Math.floor(Date.now() / 1000) - 60;
    const notBefore = new Map([['alice', moment]]);
    const api = await start(({ sub, iat = 0 }) => iat < (notBefore.get(sub) ?? 0));
    expect((await api.get(token({ iat: moment - 1 }))).status).toBe(401);
    expect((await api.get(token({ iat: moment }))).status).toBe(200);
    expect((await api.get(token({ sub: 'bob', iat: moment - 1 }))).status).toBe(200);
  });

  test('it is asked on every request, of a token long known too', async () => {
    proves('RFC 6750 §5.1 replay');
    const asked: unknown[] = [];
    const api = await start(({ jti }) => asked.push(jti) > 3);
    const value = token({ jti: 'j1' });
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
    const known = token({ jti: 'known' });
    expect((await api.get(known)).status).toBe(200);
    well = false;
    for (const value of [known, token({ jti: 'fresh' })]) {
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
    expect((await api.get(token())).status).toBe(503);
    expect((await api.get()).status).toBe(200);
  });
});
