import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  type TestKey,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import Koa, { type Middleware } from 'koa';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { auth } from '../../src/auth.ts';
import type { DpopOptions } from '../../src/dpop/dpop-options.ts';
import type { AuthEvent } from '../../src/events.ts';
import { type AuthOptions, checkOptions } from '../../src/options.ts';
import { requiredScopes } from '../../src/requirements/required-scopes.ts';
import { type ExpiringSet, memorySet } from '../../src/stores/expiring-set.ts';
import { revocations } from '../../src/token/revocations.ts';
import { verifySignature } from '../../src/token/signature.ts';
import { type Answer, type Api, sendRaw, serve, startApi } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const baseURL = 'https://api.example.com';
const key = testKey({ alg: 'ES256' });
const START = 1_800_000_000_000;

let issuer: TestIssuer;
let clock: number;
const now = () => clock;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()], now });
});
beforeEach(() => {
  clock = START;
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => issuer.close());

type Change = Record<string, unknown>;
const bearer = (claims: Change = {}) => issuer.token({ sub: 'alice', aud: audience, ...claims });
const bound = (claims: Change = {}, by: TestKey = key) =>
  bearer({ cnf: { jkt: thumbprintOf(by) }, ...claims });

async function start(
  dpop: Partial<DpopOptions> = {},
  options: Partial<AuthOptions<unknown>> = {},
  parts: { before?: Middleware[]; behind?: Middleware[] } = {},
): Promise<Api> {
  const api = await startApi(
    { issuerBaseURL: issuer.issuer, audience, now, dpop: { baseURL, ...dpop }, ...options },
    parts,
  );
  open.push(api);
  return api;
}

interface Sent {
  readonly token?: string;
  readonly path?: string;
  readonly method?: string;
  readonly url?: string;
  readonly nonce?: string | undefined;
  readonly claims?: Change;
}

/** Sends a request with a proof for it. */
function send(api: Api, { token = bound(), path = '', method = 'GET', ...rest }: Sent = {}) {
  const { url = `${baseURL}/${path}`, nonce, claims } = rest;
  const dpop = createProof({ key, method, url, token, nonce, now: clock / 1000 }, claims);
  return api.send({ Authorization: `DPoP ${token}`, DPoP: dpop }, path, { method });
}

const outcomeOf = ({ status, error }: Answer) =>
  error === undefined ? status : `${status} ${error}`;
const algs = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519';

describe('the answers (RFC 9449 §7.1, §7.2)', () => {
  test.each<[string, Partial<DpopOptions>, () => Sent & { scheme?: string }, string]>([
    ['a bound token with its proof', {}, () => ({}), '200'],
    ['the same where bound ones are required', { required: true }, () => ({}), '200'],
    ['an unbound token as bearer token', {}, () => ({ token: bearer(), scheme: 'Bearer' }), '200'],
    [
      'an unbound token where bound ones are required',
      { required: true },
      () => ({ token: bearer(), scheme: 'Bearer' }),
      '401 invalid_token',
    ],
    ['a bound token as bearer token', {}, () => ({ scheme: 'Bearer' }), '401 invalid_token'],
    ['an unbound token under DPoP', {}, () => ({ token: bearer() }), '401 invalid_token'],
    [
      'an expired token with a proof',
      {},
      () => ({ token: bound({ exp: 1 }) }),
      '401 invalid_token',
    ],
    ['the scheme in lower case', {}, () => ({ scheme: 'dpop' }), '200'],
    ['a token that is none', {}, () => ({ token: 'a b' }), '400 invalid_request'],
  ])('%s, %j: %4$s', async (_, dpop, make, expected) => {
    proves('RFC 9449 §7.2');
    const api = await start(dpop);
    const { token = bound(), scheme = 'DPoP' } = make();
    const proof = createProof({ key, method: 'GET', url: `${baseURL}/`, token, now: clock / 1000 });
    const answer = await api.send({ Authorization: `${scheme} ${token}`, DPoP: proof });
    expect(String(outcomeOf(answer))).toBe(expected);
  });

  test('without credentials, both schemes are named, or the required one alone', async () => {
    const both = await start({}, { realm: 'api' });
    expect((await both.get()).challenge).toBe(
      `Bearer realm="api", DPoP realm="api", algs="${algs}"`,
    );
    const one = await start({ required: true, algorithms: ['ES256', 'PS256'] }, { realm: 'api' });
    expect((await one.get()).challenge).toBe('DPoP realm="api", algs="ES256 PS256"');
  });

  test('the error is at the scheme that was used', async () => {
    const api = await start({ algorithms: ['ES256'] }, { realm: 'api' });
    const { challenge } = await api.send({ Authorization: `DPoP ${bound()}` });
    expect(challenge).toBe(
      'DPoP realm="api", error="invalid_dpop_proof", error_description="the access token needs a ' +
        'DPoP proof, in one DPoP header", algs="ES256", Bearer realm="api"',
    );
    expect((await api.get(bound())).challenge).toMatch(
      /^Bearer realm="api", error="invalid_token", .+, DPoP realm="api", algs="ES256"$/,
    );
  });

  test('a missing scope is an error of the scheme that was used', async () => {
    const api = await start({}, { realm: 'api' }, { behind: [requiredScopes('write')] });
    const { status, challenge } = await send(api);
    expect(status).toBe(403);
    expect(challenge).toMatch(
      /^DPoP realm="api", error="insufficient_scope", .+, Bearer realm="api", scope="write"$/,
    );
  });

  test('two header lines are two proofs', async () => {
    proves('RFC 9449 §4.3');
    const api = await start();
    const token = bound();
    const proof = () =>
      createProof({ key, method: 'GET', url: `${baseURL}/`, token, now: clock / 1000 });
    // The raw request does not wait for keys.
    await api.get(bearer());
    const lines = ['GET / HTTP/1.1', 'Host: x', `Authorization: DPoP ${token}`];
    const one = await sendRaw(api.port, [...lines, `dPoP: ${proof()}`]);
    expect(one).toMatch(/^HTTP\/1.1 200/);
    const two = await sendRaw(api.port, [...lines, `DPoP: ${proof()}`, `dpop: ${proof()}`]);
    expect(two).toMatch(/^HTTP\/1.1 401/);
    expect(two).toContain('error="invalid_dpop_proof"');
  });

  test('without the option, DPoP is a scheme that is not known', async () => {
    const api = await startApi({ issuerBaseURL: issuer.issuer, audience, now });
    open.push(api);
    const { status, challenge } = await send(api);
    expect([status, challenge]).toEqual([401, `Bearer realm="${audience}"`]);
    expect(outcomeOf(await api.get(bound()))).toBe('401 invalid_token');
  });

  test('a request without a token may come in, and one with a wrong proof may not', async () => {
    const api = await start({}, { authRequired: false });
    expect((await api.get()).body).toBe('{"anonymous":true}');
    expect(outcomeOf(await send(api, { path: 'a', url: `${baseURL}/b` }))).toBe(
      '401 invalid_dpop_proof',
    );
  });
});

describe('a proof is for one request (RFC 9449 §4.3)', () => {
  test.each<[string, string, string, string, string, boolean]>([
    ['its query is ignored', baseURL, 'GET', 'a?b=c', `${baseURL}/a?d#e`, true],
    ['other case and the port', baseURL, 'GET', 'a', 'HTTPS://API.example.com:443/a', true],
    ['a path before the API', `${baseURL}/base`, 'GET', 'a', `${baseURL}/base/a`, true],
    ['a slash behind that', `${baseURL}/base/`, 'GET', 'a', `${baseURL}/base/a`, true],
    ['without that path', `${baseURL}/base`, 'GET', 'a', `${baseURL}/a`, false],
    ['that path alone', `${baseURL}/base`, 'GET', '', `${baseURL}/base/`, true],
    ['that path with dots', `${baseURL}/a/../base`, 'GET', 'a', `${baseURL}/base/a`, true],
    [
      'an international name',
      'https://é.example/é',
      'GET',
      'a',
      'https://xn--9ca.example/%C3%A9/a',
      true,
    ],
    ['HEAD', baseURL, 'HEAD', 'a', `${baseURL}/a`, true],
    ['POST', baseURL, 'POST', 'a', `${baseURL}/a`, true],
    ['another path', baseURL, 'GET', 'a', `${baseURL}/b`, false],
    ['a slash at the end', baseURL, 'GET', 'a', `${baseURL}/a/`, false],
    ['the address where the server listens', baseURL, 'GET', 'a', 'http://127.0.0.1/a', false],
    ['another port', 'http://localhost:3001', 'GET', 'a', 'http://localhost:3002/a', false],
    ['this port', 'http://localhost:3001', 'GET', 'a', 'http://localhost:3001/a', true],
  ])('%s', async (_, base, method, path, url, isAccepted) => {
    proves('RFC 9449 §4.3');
    const api = await start({ baseURL: base });
    const { status } = await send(api, { path, method, url });
    expect(status).toBe(isAccepted ? 200 : 401);
  });

  test('the target counts as it arrived, whatever a mount or the Host header say', async () => {
    const strip: Middleware = (ctx, next) => {
      ctx.path = '/other';
      return next();
    };
    const api = await start({}, {}, { before: [strip] });
    expect((await send(api, { path: 'base/a' })).status).toBe(200);
    expect((await send(api, { path: 'base/a', url: `${baseURL}/other` })).status).toBe(401);
    const token = bound();
    const url = 'https://attacker.example/a';
    const dpop = createProof({ key, method: 'GET', url, token, now: clock / 1000 });
    const headers = [`Authorization: DPoP ${token}`, `DPoP: ${dpop}`];
    const forwarded = ['X-Forwarded-Host: attacker.example', 'X-Forwarded-Proto: https'];
    const answer = await sendRaw(api.port, [
      ...['GET /a HTTP/1.1', 'Host: attacker.example', ...forwarded],
      ...headers,
    ]);
    expect(answer).toMatch(/^HTTP\/1.1 401/);
  });

  test.each([
    ['dot segments', '/a/../b', 401],
    ['escaped dot segments', '/a/%2e%2e/b', 401],
    ['a dot', '/a/./b', 401],
    ['a host, whatever it is (RFC 9112 §3.2.2)', 'http://x:80/b?c', 200],
    ['a host and another path', 'http://x/a', 401],
    ['a host and dot segments', 'http://x/a/../b', 401],
    ['a host and a user', 'http://user@x/b', 401],
    ['two hosts', 'http://x/http://x/b', 401],
    ['a host in brackets', 'http://[::1]:80/b', 200],
    ['a port that is no number, which Koa reads as /:a/b', 'http://x:a/b', 401],
    ['two ports', 'http://x:80:80/b', 401],
    ['a fragment, before which Koa looks for a host', '/b#c', 401],
  ])('a target with %s', async (_, target, status) => {
    const api = await start();
    const token = bound();
    await api.get(bearer());
    const url = `${baseURL}/b`;
    const dpop = createProof({ key, method: 'GET', url, token, now: clock / 1000 });
    const headers = [`Authorization: DPoP ${token}`, `DPoP: ${dpop}`];
    const answer = await sendRaw(api.port, [`GET ${target} HTTP/1.1`, 'Host: x', ...headers]);
    expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
  });

  test('it is accepted for a minute, and the tolerance on both sides', async () => {
    const api = await start({}, { clockTolerance: 10 });
    const token = bound();
    const at = (seconds: number) => ({ token, claims: { iat: clock / 1000 + seconds } });
    expect((await send(api, at(-69))).status).toBe(200);
    expect((await send(api, at(-70))).status).toBe(401);
    expect((await send(api, at(10))).status).toBe(200);
    expect((await send(api, at(11))).status).toBe(401);
    expect((await send(api, { token, claims: { exp: clock / 1000 - 10 } })).status).toBe(401);
    expect((await send(api, { token, claims: { nbf: clock / 1000 + 10 } })).status).toBe(200);
  });
});

describe('a proof is used once (RFC 9449 §11.1)', () => {
  const once = (claims: Change = { jti: 'one' }) => ({ token: TOKEN, claims });
  let TOKEN: string;
  beforeEach(() => {
    TOKEN = bound();
  });

  test('the second use is refused, also with a token from the cache and another text', async () => {
    proves('RFC 9449 §11.1');
    const api = await start();
    expect(outcomeOf(await send(api, once()))).toBe(200);
    // ES256 signs with a random number, so this is another text.
    expect(outcomeOf(await send(api, once()))).toBe('401 invalid_dpop_proof');
    expect(outcomeOf(await send(api, once({ jti: 'two' })))).toBe(200);
    expect(api.errors).toEqual([expect.objectContaining({ reason: 'proof_used' })]);
  });

  test('the same jti of another key is another proof', async () => {
    const api = await start();
    const other = testKey({ alg: 'ES256' });
    await send(api, once());
    const token = bound({}, other);
    const proof = createProof(
      { key: other, method: 'GET', url: `${baseURL}/`, token, now: clock / 1000 },
      { jti: 'one' },
    );
    expect((await api.send({ Authorization: `DPoP ${token}`, DPoP: proof })).status).toBe(200);
  });

  test('a proof that is refused is not used up', async () => {
    const api = await start();
    expect((await send(api, { ...once(), path: 'a', url: `${baseURL}/b` })).status).toBe(401);
    expect((await send(api, once())).status).toBe(200);
  });

  test('it is remembered for exactly as long as it could be accepted', async () => {
    const kept: [string, number][] = [];
    const store = {
      ...setOf(memorySet({ now })),
      add: (name: string, until: number) => kept.push([name, until]) > 0,
    };
    const api = await start({ store }, { clockTolerance: 10 });
    await send(api, once());
    const [[name, until] = ['', 0]] = kept;
    expect(name).toBe(`dpop ${thumbprintOf(key)} one`);
    // A minute, the tolerance, and five seconds for other clocks of this API.
    expect(until - clock / 1000).toBe(60 + 10 + 5);
  });

  test('one of many copies at once comes in, over two servers with one store', async () => {
    const store = memorySet({ now });
    const apis = [await start({ store }), await start({ store })];
    const dpop = createProof({
      key,
      method: 'GET',
      url: `${baseURL}/`,
      token: TOKEN,
      now: clock / 1000,
    });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (apis[i % 2] as Api).send({ Authorization: `DPoP ${TOKEN}`, DPoP: dpop }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 39 }, () => 401)]);
  });

  test('a process asks the store about a copy once at most, and never about a wrong proof', async () => {
    const calls: string[] = [];
    const memory = memorySet({ now });
    const store = {
      ...setOf(memory),
      add: (name: string, until: number) => calls.push('add') > 0 && memory.add(name, until),
      getNumbers: (names: readonly string[]) =>
        calls.push('getNumbers') > 0 ? memory.getNumbers(names) : [],
    };
    const { isRevoked } = revocations({ store, now });
    const [api, other] = [
      await start({ store }, { isRevoked }),
      await start({ store }, { isRevoked }),
    ];
    const callsOf = async (sent: Sent, to = api) => {
      const answer = outcomeOf(await send(to, sent));
      return [answer, ...calls.splice(0)];
    };
    const used = '401 invalid_dpop_proof';
    expect(await callsOf(once())).toEqual([200, 'getNumbers', 'add']);
    expect(await callsOf(once(), other)).toEqual([used, 'getNumbers', 'add']);
    for (const each of [api, other, api, other])
      expect(await callsOf(once(), each)).toEqual([used]);
    expect(await callsOf({ ...once(), url: `${baseURL}/other` })).toEqual([used]);
    const unknown = bound({}, testKey({ alg: 'ES384' }));
    expect(await callsOf({ token: unknown })).toEqual(['401 invalid_token']);
    expect(await callsOf({ token: bound({ aud: 'other' }) })).toEqual(['401 invalid_token']);
  });

  test('a process remembers fewer proofs with long names, so that these take no more memory', async () => {
    const store = setOf(memorySet({ now }));
    const add = jest.spyOn(store, 'add');
    const api = await start({ store });
    const sent = once();
    expect((await send(api, sent)).status).toBe(200);
    const jti = 'x'.repeat(5000);
    for (let i = 0; i < 400; i += 1) {
      expect((await send(api, { token: sent.token, claims: { jti: jti + i } })).status).toBe(200);
    }
    // The store remembers it.
    expect(outcomeOf(await send(api, sent))).toBe('401 invalid_dpop_proof');
    expect(add).toHaveBeenCalledTimes(402);
  });

  test('a copy is refused at once while the store has not answered about the first', async () => {
    const store = setOf(memorySet({ now }));
    const api = await start({ store });
    let calls = 0;
    const first = await new Promise<{ answer: Promise<Answer>; accept: () => void }>((resolve) => {
      store.add = () => {
        calls += 1;
        return new Promise((settle) => resolve({ answer, accept: () => settle(true) }));
      };
      const answer = send(api, once());
    });
    expect(outcomeOf(await send(api, once()))).toBe('401 invalid_dpop_proof');
    first.accept();
    expect([(await first.answer).status, calls]).toEqual([200, 1]);
  });

  test('a revoked token is refused with a good proof, cached or not', async () => {
    const revoked = revocations({ now });
    const api = await start({}, { isRevoked: revoked.isRevoked });
    const token = bound({ jti: 'one' });
    const answers = async () => [
      outcomeOf(await send(api, { token })),
      outcomeOf(await send(api, { token: bound({ jti: 'one' }) })),
    ];
    for (let i = 0; i < 3; i += 1) expect(await answers()).toEqual([200, 200]);
    await revoked.revoke({ iss: issuer.issuer, jti: 'one', exp: clock / 1000 + 3600 });
    for (let i = 0; i < 3; i += 1) {
      expect(await answers()).toEqual(['401 invalid_token', '401 invalid_token']);
    }
    expect(api.errors).toEqual(Array(6).fill(expect.objectContaining({ reason: 'revoked' })));
  });

  test('a revoked token uses none up: its owner cannot fill the store', async () => {
    const store = memorySet({ now, maxEntries: 2 });
    const revoked = revocations({ now });
    const api = await start({ store }, { isRevoked: revoked.isRevoked });
    await revoked.revoke({ iss: issuer.issuer, jti: 'one', exp: clock / 1000 + 3600 });
    for (let i = 0; i < 4; i += 1) {
      expect(outcomeOf(await send(api, { token: bound({ jti: 'one' }) }))).toBe(
        '401 invalid_token',
      );
    }
    expect((await send(api)).status).toBe(200);
  });

  test('it is good for another try when revocation was unknown', async () => {
    let answer: unknown;
    const api = await start({}, { isRevoked: () => answer as boolean });
    const sent = once();
    expect((await send(api, sent)).status).toBe(503);
    answer = true;
    expect(outcomeOf(await send(api, sent))).toBe('401 invalid_token');
    answer = false;
    expect((await send(api, sent)).status).toBe(200);
  });

  test('an auth behind another one does not use it again', async () => {
    const store = memorySet({ now });
    let isRevoked = false;
    const options = { issuerBaseURL: issuer.issuer, audience, now, dpop: { baseURL, store } };
    const app = new Koa();
    app.use(auth(options)).use(auth({ ...options, isRevoked: () => isRevoked }));
    app.use((ctx) => {
      ctx.body = 'in';
    });
    const api = await serve(app);
    open.push(api);
    expect((await send(api, once())).status).toBe(200);
    expect((await send(api, once())).status).toBe(401);
    isRevoked = true;
    expect(outcomeOf(await send(api))).toBe('401 invalid_token');
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('away');
      },
    ],
    ['rejects', () => Promise.reject(new Error('away'))],
    ['answers nothing', () => undefined],
    ['answers 1', () => 1],
    [
      'never answers',
      () => {
        jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
        setImmediate(() => jest.advanceTimersByTime(2000));
        return new Promise(() => {});
      },
    ],
  ])('a store that %s is a 503, and the proof is good for another try', async (_, add) => {
    proves('RFC 9449 §11.1');
    let isAway = true;
    const memory = memorySet({ now });
    const store = {
      ...setOf(memory),
      add: (name: string, until: number) => (isAway ? add() : memory.add(name, until)) as boolean,
    };
    const api = await start({ store });
    const { status, retryAfter, challenge } = await send(api, once());
    jest.useRealTimers();
    expect([status, retryAfter, challenge]).toEqual([503, '2', null]);
    expect(api.errors[0]).toMatchObject({ code: 'ERR_DPOP_STORE_UNAVAILABLE' });
    isAway = false;
    expect((await send(api, once())).status).toBe(200);
  });

  test('a full memory is a 503, and nothing is forgotten', async () => {
    const api = await start({ store: memorySet({ maxEntries: 2, now }) });
    await send(api, once());
    await send(api, once({ jti: 'two' }));
    expect((await send(api, once({ jti: 'three' }))).status).toBe(503);
    expect((await send(api, once())).status).toBe(401);
    clock += 130_000;
    expect((await send(api, { claims: { jti: 'three' } })).status).toBe(200);
  });
});

function setOf(set: ExpiringSet): ExpiringSet {
  return {
    add: (name, until) => set.add(name, until),
    has: (name) => set.has(name),
    setIfGreater: (name, number, until) => set.setIfGreater(name, number, until),
    getNumbers: (names) => set.getNumbers(names),
    sharedSecret: () => set.sharedSecret(),
    close: () => set.close(),
  };
}

describe('nonces (RFC 9449 §9)', () => {
  test('a client needs one retry to get the first nonce, and none after it', async () => {
    proves('RFC 9449 §11.2', 'RFC 9449 §11.3');
    const api = await start({ nonce: true });
    const first = await send(api);
    expect(outcomeOf(first)).toBe('401 use_dpop_nonce');
    const nonce = first.headers.get('dpop-nonce') ?? '';
    expect(nonce).toMatch(/^[\w-]{32}$/);
    const second = await send(api, { nonce });
    expect([second.status, second.headers.get('dpop-nonce')]).toEqual([200, nonce]);
    expect(outcomeOf(await send(api))).toBe('401 use_dpop_nonce');
    expect(outcomeOf(await send(api, { nonce: `${nonce}x` }))).toBe('401 use_dpop_nonce');
  });

  test('two are good at a time: an older one until the one after it is the older', async () => {
    const api = await start({ nonce: true });
    clock = START - (START % 60_000);
    const newest = async (nonce?: string) =>
      (await send(api, { nonce })).headers.get('dpop-nonce') ?? '';
    const first = await newest();
    clock += 60_000;
    const second = await newest(first);
    expect(second).not.toBe(first);
    clock += 59_999;
    expect((await send(api, { nonce: first })).status).toBe(200);
    expect((await send(api, { nonce: second })).status).toBe(200);
    clock += 1;
    expect(outcomeOf(await send(api, { nonce: first }))).toBe('401 use_dpop_nonce');
    expect((await send(api, { nonce: second })).status).toBe(200);
  });

  test('a nonce of one process is good at another, also after the store was emptied', async () => {
    // Whole: with a fraction, a second more can be less than a second.
    let elapsed = Math.ceil(performance.now());
    jest.spyOn(performance, 'now').mockImplementation(() => elapsed);
    let secret = 'one';
    const store = { ...setOf(memorySet({ now })), sharedSecret: () => secret };
    const [a, b] = [await start({ nonce: true, store }), await start({ nonce: true, store })];
    const nonce = (await send(a)).headers.get('dpop-nonce') ?? undefined;
    expect((await send(b, { nonce })).status).toBe(200);
    secret = 'two';
    const c = await start({ nonce: true, store });
    const other = (await send(c)).headers.get('dpop-nonce') ?? undefined;
    expect(other).not.toBe(nonce);
    expect((await send(a, { nonce: other })).status).toBe(401);
    // It reads the secret once a second.
    elapsed += 1000;
    const answer = await send(a, { nonce: other });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('dpop-nonce')).toBe(other);
  });

  test('a store without its secret is a 503', async () => {
    const store = {
      ...setOf(memorySet({ now })),
      sharedSecret: () => Promise.reject(new Error('away')),
    };
    const api = await start({ nonce: true, store });
    expect((await send(api)).status).toBe(503);
    expect((await api.get(bearer())).status).toBe(200);
  });

  test('bearer tokens need none, and a refused request learns the newest', async () => {
    const api = await start({ nonce: true });
    expect((await api.get(bearer())).headers.get('dpop-nonce')).toBeNull();
    await send(api);
    const answer = await send(api, { url: `${baseURL}/other` });
    expect(outcomeOf(answer)).toBe('401 invalid_dpop_proof');
    expect(answer.headers.get('dpop-nonce')).toMatch(/./);
  });
});

describe('signatures and keys', () => {
  test('option verifySignature verifies proofs too, and a failure is a 503', async () => {
    const algorithms: string[] = [];
    const api = await start(
      {},
      {
        verifySignature: (jws, rules) => {
          algorithms.push(rules.alg);
          return verifySignature(jws, rules);
        },
      },
    );
    const token = bound();
    for (let i = 0; i < 3; i += 1) expect((await send(api, { token })).status).toBe(200);
    expect(algorithms).toEqual(['RS256', 'ES256', 'RS256', 'ES256', 'ES256']);
    const failing = await start(
      {},
      {
        verifySignature(jws, rules) {
          if (rules.alg === 'ES256') throw new Error('no module');
          return verifySignature(jws, rules);
        },
      },
    );
    expect((await send(failing)).status).toBe(503);
  });

  test('an algorithm that is not listed is refused', async () => {
    proves('RFC 9449 §11.6');
    const api = await start({ algorithms: ['PS256'] });
    expect((await send(api)).status).toBe(401);
    expect(api.errors[0]).toMatchObject({ reason: 'proof_algorithm' });
  });
});

test('events name the reason, and nothing of the proof', async () => {
  const events: AuthEvent[] = [];
  const api = await start({}, { onEvent: (event) => events.push(event) });
  const token = bound({ client_id: 'web' });
  await send(api, { token, claims: { jti: 'one' } });
  await send(api, { token, claims: { jti: 'one' } });
  await send(api, { token, claims: { htu: 'https://secret.example/' } });
  expect(events).toEqual([
    { type: 'verified', clientId: 'web', cached: false },
    { type: 'refused', code: 'ERR_INVALID_DPOP_PROOF', reason: 'proof_used', detail: undefined },
    expect.objectContaining({ type: 'refused', reason: 'proof_address' }),
  ]);
  expect(JSON.stringify(events)).not.toContain('secret.example');
});

describe('wrong options name themselves', () => {
  test.each<[string, unknown, string]>([
    ['true', true, 'dpop.baseURL'],
    ['no address', {}, 'dpop.baseURL'],
    ['an address that is a path', { baseURL: '/api' }, 'dpop.baseURL'],
    ['an address without TLS', { baseURL: 'http://api.example.com' }, 'dpop.baseURL'],
    ['an address with a query', { baseURL: `${baseURL}?a` }, 'dpop.baseURL'],
    ['an address with a user', { baseURL: 'https://a@api.example.com' }, 'dpop.baseURL'],
    ['an address with half an escape', { baseURL: `${baseURL}/%a` }, 'dpop.baseURL'],
    ['no algorithm', { baseURL, algorithms: [] }, 'dpop.algorithms'],
    ['a symmetric algorithm', { baseURL, algorithms: ['HS256'] }, 'dpop.algorithms'],
    ['required as text', { baseURL, required: 'true' }, 'dpop.required'],
    ['a nonce as text', { baseURL, nonce: 'abc' }, 'dpop.nonce'],
    ['a store that is a set', { baseURL, store: new Set() }, 'dpop.store'],
    ['a store that is null', { baseURL, store: null }, 'dpop.store'],
    ['an unknown name', { baseURL, replay: true }, 'unknown: dpop.replay'],
  ])('%s', (_, dpop, text) => {
    const options = { issuerBaseURL: 'https://tenant.example.com/', audience, dpop };
    expect(() => checkOptions(options as AuthOptions<unknown>)).toThrow(InvalidOptions);
    expect(() => checkOptions(options as AuthOptions<unknown>)).toThrow(text);
  });
});
