import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createIssuer } from '@koa-oauth/issuer';
import { startTestIssuer, type TestAlgorithm, type TestIssuer } from '@koa-oauth/issuer/testing';
import { passTimeouts } from '../../../test/support/pass-timeouts.ts';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { type Api, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const keys = [testKey({ kid: 'one' }), testKey({ kid: 'two' }, 1)];
const METADATA = '/.well-known/openid-configuration';
const JWKS = '/.well-known/jwks.json';
const MINUTE = 60_000;

let server: TestIssuer;
let api: Api;
/** The clock of the issuer's keys; that of the tokens runs by itself. */
let clock: number;

beforeEach(async () => {
  server = await startTestIssuer({ keys: [keys[0]!] });
  clock = 1_000_000_000_000;
  api = await startApi({ issuer: issuer(), audience });
});
afterEach(() => Promise.all([api.close(), server.close()]));

const issuer = () =>
  createIssuer({
    issuerBaseURL: server.issuer,
    monotonicNow: () => clock,
    maxStale: 60 * MINUTE,
  });
const token = (header: Record<string, unknown> = {}, key = keys[0]!) =>
  server.token({ sub: 'alice', aud: audience }, header, key);
const count = (path: string) => server.requests.filter((each) => each === path).length;
const unavailable = { status: 503, retryAfter: '2', challenge: null };

test('a cold burst of 200 requests fetches the keys once', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, () => api.get(token())));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(server.requests).toEqual([METADATA, JWKS]);
});

test('400 made-up kids make one fetch per cooldown, and good tokens stay 200', async () => {
  proves('RFC 8725 §3.10');
  await api.get(token());
  for (const fetches of [2, 3]) {
    for (let batch = 0; batch < 4; batch += 1) {
      const answers = await Promise.all([
        ...Array.from({ length: 50 }, (_, i) => api.get(token({ kid: `made-up-${batch}-${i}` }))),
        api.get(token()),
      ]);
      expect(answers.pop()?.status).toBe(200);
      expect(new Set(answers.map(({ status, error }) => `${status} ${error}`))).toEqual(
        new Set(['401 invalid_token']),
      );
    }
    expect(count(JWKS)).toBe(fetches);
    clock += 10_000;
  }
});

test('a rotation: the first request with the new key is 200', async () => {
  expect((await api.get(token())).status).toBe(200);
  server.rotate({ key: keys[1]! });
  expect((await api.get(token({}, keys[1]))).status).toBe(200);
  expect((await api.get(token())).status).toBe(200);
  expect(count(JWKS)).toBe(2);
});

describe('key sets as serializers write them', () => {
  const [first, second] = [testKey({ kid: 'sig' }), testKey({ kid: 'sig' }, 1)];
  const ed25519 = testKey({ kid: 'ed', alg: 'EdDSA' });
  const jwk = ({ publicKey, kid }: typeof first) => ({
    ...publicKey.export({ format: 'jwk' }),
    kid,
  });
  const absent = { alg: null, use: null, key_ops: null, x5c: null, x5t: null };
  const noPrivateParts = { d: null, p: null, q: null, dp: null, dq: null, qi: null, k: null };

  test.each<[string, object[], TestAlgorithm, typeof first, object?]>([
    ['no alg, RS384', [jwk(first)], 'RS384', first],
    ['no alg, the one listed', [jwk(first)], 'PS256', first, { algorithms: ['PS256'] }],
    ['EdDSA, Ed25519', [{ ...jwk(ed25519), alg: 'EdDSA' }], 'Ed25519', ed25519],
    ['Ed25519, EdDSA', [{ ...jwk(ed25519), alg: 'Ed25519' }], 'EdDSA', ed25519],
    ['two of one name, the second', [jwk(first), jwk(second)], 'RS256', second],
    ['null members', [{ ...jwk(first), ...absent, ...noPrivateParts }], 'RS256', first],
    ['a private key in the set', [{ ...jwk(first), d: 'AQAB' }, jwk(second)], 'RS256', second],
  ])('%s: 200', async (_, otherKeys, alg, { kid, privateKey, publicKey }, options = {}) => {
    const other = await startTestIssuer({ keys: [], otherKeys });
    const served = await startApi({ issuerBaseURL: other.issuer, audience, ...options });
    const value = other.token(
      { sub: 'alice', aud: audience },
      {},
      { kid, alg, privateKey, publicKey },
    );
    // A cached token is found with the key that verified it.
    for (let i = 0; i < 3; i += 1) expect((await served.get(value)).status).toBe(200);
    await Promise.all([served.close(), other.close()]);
  });

  test.each<[string, object[], TestAlgorithm, typeof first, object?]>([
    ['an alg the API does not list', [jwk(first)], 'RS384', first, { algorithms: ['PS256'] }],
    ['an alg the key does not name', [{ ...jwk(first), alg: 'RS256' }], 'PS256', first],
    ['neither key of the name', [jwk(first), jwk(first)], 'RS256', second],
    ['a private key alone', [{ ...jwk(first), d: 'AQAB' }, jwk(ed25519)], 'RS256', first],
  ])('%s: 401', async (_, otherKeys, alg, { kid, privateKey, publicKey }, options = {}) => {
    const other = await startTestIssuer({ keys: [], otherKeys });
    const served = await startApi({ issuerBaseURL: other.issuer, audience, ...options });
    const value = other.token(
      { sub: 'alice', aud: audience },
      {},
      { kid, alg, privateKey, publicKey },
    );
    expect(await served.get(value)).toMatchObject({ status: 401, error: 'invalid_token' });
    await Promise.all([served.close(), other.close()]);
  });
});

test('a key taken out of the set is refused after the next fetch', async () => {
  proves('RFC 9068 §4 validation');
  const old = token();
  expect((await api.get(old)).status).toBe(200);
  server.rotate({ key: keys[1]!, dropOld: true });
  clock += 10 * MINUTE;
  expect(await api.get(old)).toMatchObject({ status: 401, error: 'invalid_token' });
  expect(api.errors.at(-1)).toMatchObject({ reason: 'key' });
  expect((await api.get(token({}, keys[1]))).status).toBe(200);
});

describe('the issuer is down', () => {
  test('cached keys serve until the stale window ends, then the answer is 503 until it is back', async () => {
    let serial = 0;
    const fresh = () => server.token({ sub: 'alice', aud: audience, jti: `${serial++}` });
    const known = token();
    await api.get(known);
    server.goDown();
    for (const minutes of [0, 9.9, 5, 50]) {
      clock += minutes * MINUTE;
      expect((await api.get(known)).status).toBe(200);
      expect((await api.get(fresh())).status).toBe(200);
    }
    clock += 6 * MINUTE;
    expect(await api.get(known)).toMatchObject(unavailable);
    expect(await api.get(fresh())).toMatchObject(unavailable);
    server.comeBack();
    clock += 3000;
    expect((await api.get(token())).status).toBe(200);
  });

  test('without keys, good and bad tokens get 503 with Retry-After and no challenge; then 200', async () => {
    server.goDown();
    const answers = await Promise.all(Array.from({ length: 50 }, () => api.get(token())));
    for (const answer of answers) {
      expect(answer).toMatchObject(unavailable);
      expect(answer.body).toBe(
        'the authorization server cannot be reached right now (ERR_ISSUER_UNAVAILABLE)',
      );
    }
    expect(server.requests).toEqual([METADATA]);
    expect(new Set(api.errors).size).toBe(50);
    // A wrong request is rejected without the issuer.
    expect((await api.get()).status).toBe(401);
    expect((await api.get('a b')).status).toBe(400);
    expect((await api.get('abc')).status).toBe(401);
    server.comeBack();
    clock += 2000;
    expect((await api.get(token())).status).toBe(200);
  });

  test('cold and asked all the while, by the clock of the process: 200 within 3 s of its return', async () => {
    const start = performance.now();
    let passed = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => start + passed);
    const live = await startApi({ issuerBaseURL: server.issuer, audience });
    const value = token();
    const askFor = async (milliseconds: number) => {
      const end = passed + milliseconds;
      let status = 0;
      while (status !== 200 && passed < end) {
        status = (await live.get(value)).status;
        passed += 50;
      }
      return status;
    };
    server.goDown();
    // Long enough for the pauses between tries to grow to their longest.
    expect(await askFor(4500)).toBe(503);
    expect(server.requests.length).toBeLessThan(8);
    server.comeBack();
    expect(await askFor(3000)).toBe(200);
    await live.close();
  });

  test('optional authentication does not ignore a token', async () => {
    const optional = await startApi({ issuer: issuer(), audience, authRequired: false });
    server.goDown();
    expect(await optional.get(token())).toMatchObject(unavailable);
    expect((await optional.get()).status).toBe(200);
    await optional.close();
  });

  test('an unknown key cannot be judged then: 503; the known one is 200', async () => {
    await api.get(token());
    server.goDown();
    server.rotate({ key: keys[1]! });
    expect(await api.get(token({}, keys[1]))).toMatchObject(unavailable);
    expect((await api.get(token())).status).toBe(200);
    server.comeBack();
    clock += 250;
    expect((await api.get(token({}, keys[1]))).status).toBe(200);
  });
});

describe('metadata', () => {
  test('of another issuer: 503, never 401, and its keys are not asked for', async () => {
    server.fault = (_, response) =>
      response.end(JSON.stringify({ issuer: 'https://evil.example/', jwks_uri: server.issuer }));
    expect(await api.get(token())).toMatchObject(unavailable);
    expect(api.errors.at(-1)).toMatchObject({ code: 'ERR_INVALID_METADATA' });
    expect(count(JWKS)).toBe(0);
  });

  test('a setting without the slash serves tokens with it', async () => {
    const issuerBaseURL = server.issuer.slice(0, -1);
    const other = await startApi({ issuerBaseURL, audience });
    expect((await other.get(token())).status).toBe(200);
    const without = server.token({ iss: issuerBaseURL, sub: 'alice', aud: audience });
    expect(await other.get(without)).toMatchObject({ status: 401, error: 'invalid_token' });
    await other.close();
  });
});

describe('a key set that cannot be used: 503 cold, 200 warm', () => {
  test.each<[string, TestIssuer['fault']]>([
    ['stalled', () => {}],
    ['stalled in its body', (_, response) => response.writeHead(200).write('{"keys":[')],
    ['cut', (request) => request.socket.destroy()],
    ['garbage', (_, response) => response.end('<html>')],
    ['empty', (_, response) => response.end('{"keys":[]}')],
    ['a redirect', (_, response) => response.writeHead(302, { Location: METADATA }).end()],
    ['a 500', (_, response) => response.writeHead(500).end()],
    ['too large', (_, response) => response.end(Buffer.alloc(1024 * 1024, ' '))],
  ])('%s', async (name, fault) => {
    const warm = await startApi({ issuer: issuer(), audience });
    const coldIssuer = issuer();
    const cold = await startApi({ issuer: coldIssuer, audience });
    expect((await warm.get(token())).status).toBe(200);
    // The metadata is had before the keys fail.
    await coldIssuer.metadata();
    server.fault = fault;
    clock += 11 * MINUTE;
    if (name.startsWith('stalled')) passTimeouts(server);
    const [warmAnswer, coldAnswer] = await Promise.all([warm.get(token()), cold.get(token())]);
    expect(warmAnswer.status).toBe(200);
    expect(coldAnswer).toMatchObject(unavailable);
    jest.useRealTimers();
    server.fault = undefined;
    clock += 3000;
    expect((await cold.get(token())).status).toBe(200);
    await Promise.all([warm.close(), cold.close()]);
  });
});

test('two issuers with keys of one name do not mix (RFC 8725 §3.8)', async () => {
  proves('ASVS 10.3.3');
  const other = await startTestIssuer({ keys: [testKey({ kid: 'one' }, 2)] });
  const forOther = await startApi({ issuerBaseURL: other.issuer, audience });
  const ours = token();
  const theirs = other.token({ sub: 'alice', aud: audience });
  expect((await api.get(ours)).status).toBe(200);
  expect((await forOther.get(theirs)).status).toBe(200);
  expect((await api.get(theirs)).status).toBe(401);
  expect((await forOther.get(ours)).status).toBe(401);
  const crossed = other.token({ iss: server.issuer, sub: 'alice', aud: audience });
  expect((await api.get(crossed)).status).toBe(401);
  expect(api.errors.at(-1)).toMatchObject({ reason: 'signature' });
  await Promise.all([other.close(), forOther.close()]);
});

test('no rejection is left without a handler', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  server.goDown();
  await Promise.all(Array.from({ length: 20 }, () => api.get(token())));
  server.comeBack();
  clock += 3000;
  await api.get(token());
  server.goDown();
  clock += 9.9 * MINUTE;
  await Promise.all(Array.from({ length: 20 }, (_, i) => api.get(token({ kid: `${i}` }))));
  await api.get(token());
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});
