import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Router from '@koa/router';
import { createIssuer, type IssuerOptions } from '@koa-oauth/issuer';
import { signJws, startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import Koa from 'koa';
import { z } from 'zod';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { auth } from '../../src/auth.ts';
import { type AuthOptions, checkOptions } from '../../src/options.ts';
import { accessTokenVerifier } from '../../src/token/access-token-verifier.ts';
import type { Auth } from '../../src/token/verified-tokens.ts';
import { serve } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const namespace = 'https://api.example.com/claims/';
const JWKS = '/.well-known/jwks.json';
const MINUTE = 60_000;
const START = 1_800_000_000_000;
const HOUR_AHEAD = START / 1000 + 3600;
const one = testKey({ kid: 'one' });
const two = testKey({ kid: 'two', alg: 'ES256' });

let server: TestIssuer;
/** The one clock: of tokens, keys and what judges them. */
let clock: number;
const now = () => clock;

beforeEach(async () => {
  clock = START;
  server = await startTestIssuer({ keys: [one], now });
});
afterEach(() => server.close());

const issuer = (options: Partial<IssuerOptions> = {}) =>
  createIssuer({ issuerBaseURL: server.issuer, monotonicNow: now, ...options });

function verifier<Claims = unknown>(options: Partial<AuthOptions<Claims>> = {}) {
  return accessTokenVerifier(checkOptions({ issuer: issuer(), audience, now, ...options }));
}

/** Has a verifier remember a token, which takes verifying it twice. */
async function remember<T>(verify: (token: string) => Promise<T>, value: string): Promise<T> {
  await verify(value);
  return verify(value);
}

let serial = 0;
/** A good token, and no two alike. */
const token = (claims: Record<string, unknown> = {}) => {
  serial += 1;
  return server.token({ sub: 'alice', aud: audience, jti: `${serial}`, ...claims });
};
const fetches = () => server.requests.filter((path) => path === JWKS).length;
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

test('twice a token is verified, from then on it is known', async () => {
  const verify = verifier();
  const value = token({ scope: 'read' });
  const first = await verify(value);
  expect(first).toEqual({
    auth: {
      header: { alg: 'RS256', typ: 'at+jwt', kid: 'one' },
      payload: expect.objectContaining({ iss: server.issuer, sub: 'alice', scope: 'read' }),
      issuer: server.issuer,
      scopes: ['read'],
      claims: undefined,
    },
    cached: false,
  });
  const second = await verify(value);
  expect(second).toEqual(first);
  const third = await verify(value);
  expect(third).toEqual({ ...first, cached: true });
  expect(third.auth).toBe(second.auth);
});

test('16 kB are judged by their form, one character more is not', async () => {
  const reject = (length: number) => verifier()('a'.repeat(length)).catch((error) => error.reason);
  expect(await reject(16_384)).toBe('malformed');
  expect(await reject(16_385)).toBe('oversized');
});

test('tokens used once push out none that is used again and again', async () => {
  const verify = verifier({ verifiedTokens: { maxEntries: 1 } });
  const value = token();
  await remember(verify, value);
  for (let i = 0; i < 20; i += 1) expect((await verify(token())).cached).toBe(false);
  expect((await verify(value)).cached).toBe(true);
});

test('verifiedTokens: false verifies each token again', async () => {
  const verify = verifier({ verifiedTokens: false });
  const value = token();
  const first = await remember(verify, value);
  const again = await verify(value);
  expect([first.cached, again.cached]).toEqual([false, false]);
  expect(again.auth).toEqual(first.auth);
  expect(again.auth).not.toBe(first.auth);
});

describe('a token is known by its bytes alone', () => {
  test('another signature over the same claims is another token', async () => {
    server.rotate({ key: two });
    const verify = verifier();
    // ECDSA draws a number for each signature.
    const claims = { sub: 'alice', aud: audience };
    const [a, b] = [server.token(claims), server.token(claims)];
    expect(a).not.toBe(b);
    expect((await remember(verify, a)).cached).toBe(false);
    expect((await remember(verify, b)).cached).toBe(false);
    expect((await verify(a)).cached).toBe(true);
  });

  test('one byte changed anywhere in a known one: refused', async () => {
    proves('RFC 6750 §5.1 forgery');
    const verify = verifier();
    const value = token();
    await remember(verify, value);
    for (let i = 0; i < value.length; i += 7) {
      const changed = value.slice(0, i) + (value[i] === 'A' ? 'B' : 'A') + value.slice(i + 1);
      await expect(verify(changed)).rejects.toMatchObject({ status: 401 });
    }
    expect((await verify(value)).cached).toBe(true);
  });

  test('a refused token is judged again each time', async () => {
    const verify = verifier();
    const early = token({ nbf: START / 1000 + 120 });
    await expect(verify(early)).rejects.toMatchObject({ reason: 'not_yet_valid' });
    clock += MINUTE;
    expect((await verify(early)).cached).toBe(false);
  });
});

describe('what may have changed is checked on every hit', () => {
  test('exp ends a token, with the tolerance, to the millisecond (RFC 7519 §4.1.4)', async () => {
    const verify = verifier({ clockTolerance: 5 });
    const value = token({ exp: START / 1000 + 60 });
    await remember(verify, value);
    clock += 65_000 - 1;
    expect((await verify(value)).cached).toBe(true);
    clock += 1;
    await expect(verify(value)).rejects.toMatchObject({ status: 401, reason: 'expired' });
  });

  test('nbf and iat, should the clock be set back (RFC 7519 §4.1.5)', async () => {
    const verify = verifier({ clockTolerance: 5 });
    const nbf = token({ nbf: START / 1000, iat: undefined });
    const iat = token();
    for (const value of [nbf, iat]) await remember(verify, value);
    clock -= 5000;
    for (const value of [nbf, iat]) expect((await verify(value)).cached).toBe(true);
    clock -= 1;
    for (const value of [nbf, iat]) {
      await expect(verify(value)).rejects.toMatchObject({ reason: 'not_yet_valid' });
    }
  });
});

describe('an entry lives as long as its key', () => {
  test('a key taken out of the set: refused after the next refresh, known tokens included', async () => {
    const verify = verifier();
    const [known, fresh] = [token(), token()];
    await remember(verify, known);
    server.rotate({ key: two, dropOld: true });
    // This is unknown until the set is fetched again.
    expect((await verify(known)).cached).toBe(true);
    clock += 10 * MINUTE;
    for (const value of [known, fresh, known]) {
      await expect(verify(value)).rejects.toMatchObject({ status: 401, reason: 'key' });
    }
    expect((await verify(token())).cached).toBe(false);
  });

  test('a key replaced under the same name: the signature no longer holds', async () => {
    const verify = verifier();
    const known = token();
    await remember(verify, known);
    server.rotate({ key: testKey({ kid: 'one' }, 1), dropOld: true });
    clock += 10 * MINUTE;
    await expect(verify(known)).rejects.toMatchObject({ status: 401, reason: 'signature' });
  });

  test('a rotation that keeps the old key keeps what was verified with it', async () => {
    const verify = verifier();
    const known = token();
    await remember(verify, known);
    server.rotate({ key: two });
    expect((await verify(token())).cached).toBe(false);
    expect(fetches()).toBe(2);
    expect((await verify(known)).cached).toBe(true);
  });

  test('the set is fetched ahead of its expiry, though every request is a hit; none waits', async () => {
    const verify = verifier();
    const value = token();
    await remember(verify, value);
    server.fault = () => {}; // A request for the keys would wait long.
    clock += 9.5 * MINUTE;
    for (let i = 0; i < 50; i += 1) expect((await verify(value)).cached).toBe(true);
    while (fetches() < 2) await settle();
    expect(fetches()).toBe(2);
  });

  test('fetched ahead by hits alone, a removed key is noticed before the set expires', async () => {
    const verify = verifier();
    const value = token();
    await remember(verify, value);
    server.rotate({ key: two, dropOld: true });
    clock += 9.5 * MINUTE;
    await remember(verify, value);
    let refusal: unknown;
    while (!refusal) {
      await settle();
      refusal = await verify(value).then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    expect(refusal).toMatchObject({ status: 401, reason: 'key' });
  });
});

describe('the issuer is down', () => {
  test('past the keys’ time known and fresh tokens come in, and past maxStale none: 503', async () => {
    const verify = verifier({ issuer: issuer({ maxStale: 30 * MINUTE }) });
    const exp = START / 1000 + 86_400;
    const known = token({ exp });
    await remember(verify, known);
    server.goDown();
    for (const minutes of [9.9, 0.2, 10, 19.8]) {
      clock += minutes * MINUTE;
      await expect(verify(known)).resolves.toBeDefined();
      expect((await verify(token({ exp }))).cached).toBe(false);
      await settle();
    }
    // Ten minutes they were fresh, thirty more they were used.
    clock = START + 41 * MINUTE;
    for (const value of [known, token({ exp })]) {
      await expect(verify(value)).rejects.toMatchObject({
        status: 503,
        headers: { 'Retry-After': '2' },
      });
    }
    server.comeBack();
    clock += 3000;
    for (const value of [known, token({ exp })]) await expect(verify(value)).resolves.toBeDefined();
  });

  test('known tokens are known still, and expire still', async () => {
    const verify = verifier();
    const value = token({ exp: HOUR_AHEAD });
    await remember(verify, value);
    server.goDown();
    clock += 11 * MINUTE;
    await remember(verify, value);
    expect((await verify(value)).cached).toBe(true);
    clock = HOUR_AHEAD * 1000 + MINUTE;
    await expect(verify(value)).rejects.toMatchObject({ status: 401, reason: 'expired' });
  });
});

describe('what comes out is frozen, since requests share it', () => {
  const claims = { namespace, schema: z.object({ roles: z.array(z.string()) }) };

  test('all of it is frozen, however deep', async () => {
    const verify = verifier({ claims });
    const value = token({ [`${namespace}roles`]: ['a'], act: { sub: 'b', list: [{ c: 1 }] } });
    const { auth } = await remember(verify, value);
    const parts = (of: unknown): unknown[] =>
      typeof of === 'object' && of !== null ? [of, ...Object.values(of).flatMap(parts)] : [];
    expect(parts(auth).length).toBeGreaterThan(7);
    for (const part of parts(auth)) expect(Object.isFrozen(part)).toBe(true);
    expect(() => auth.claims.roles.push('admin')).toThrow(TypeError);
    expect(() => Object.assign(auth.payload, { scope: 'admin' })).toThrow(TypeError);
    expect(await verify(value)).toMatchObject({ cached: true, auth: { claims: { roles: ['a'] } } });
  });

  test('but not what isn’t the token’s: a schema may give out an object of the app’s own', async () => {
    class Tenant {
      hits = 0;
    }
    const acme = new Tenant();
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const schema = z.object({}).transform(() => ({
      acme,
      since: new Date(0),
      bytes: Buffer.from('abc'),
      known: new Map([[acme, 1]]),
      sealed: Object.freeze({ inner: { list: [1] } }),
      loop,
    }));
    const verify = verifier({ claims: { namespace, schema } });
    const { auth } = await verify(token());
    auth.claims.acme.hits += 1;
    expect(acme.hits).toBe(1);
    expect(Object.isFrozen(auth.claims)).toBe(true);
    expect(Object.isFrozen(auth.claims.sealed.inner.list)).toBe(true);
    expect(Object.isFrozen(auth.claims.loop)).toBe(true);
  });

  test('nesting that is deeper than the stack is no trouble (RFC 8259 §9)', async () => {
    const verify = verifier();
    const depth = 5500;
    const payload = JSON.stringify({
      iss: server.issuer,
      sub: 'alice',
      aud: audience,
      exp: HOUR_AHEAD,
      x: 0,
    }).replace('"x":0', `"x":${'['.repeat(depth)}${']'.repeat(depth)}`);
    const value = signJws({ alg: 'RS256', typ: 'at+jwt', kid: 'one' }, payload, one);
    expect(value.length).toBeLessThan(16_384);
    const { auth } = await remember(verify, value);
    let inner: unknown = auth.payload.x;
    for (let i = 1; i < depth; i += 1) [inner] = inner as [unknown];
    expect(inner).toEqual([]);
    expect(Object.isFrozen(inner)).toBe(true);
    expect((await verify(value)).cached).toBe(true);
  });
});

describe('custom claims', () => {
  test('are checked once for a token, not on its hits', async () => {
    let asked = 0;
    const schema = z.object({ n: z.number() }).transform(({ n }) => {
      asked += 1;
      return n * 2;
    });
    const verify = verifier({ claims: { namespace, schema } });
    const value = token({ [`${namespace}n`]: 21 });
    expect((await remember(verify, value)).auth.claims).toBe(42);
    asked = 0;
    expect(await verify(value)).toMatchObject({ cached: true, auth: { claims: 42 } });
    expect(asked).toBe(0);
  });

  test('that do not fit are refused every time', async () => {
    const verify = verifier({ claims: { namespace, schema: z.object({ n: z.number() }) } });
    const value = token();
    for (let i = 0; i < 3; i += 1) {
      await expect(verify(value)).rejects.toMatchObject({ status: 403 });
    }
  });
});

test('two verifiers with rules of their own share nothing, over one issuer and in one app', async () => {
  const shared = issuer();
  const options = { issuer: shared, now };
  const router = new Router();
  const answer = (ctx: { state: { auth?: Auth }; body?: unknown }) => {
    ctx.body = ctx.state.auth?.claims ?? 'none';
  };
  const roles = z.object({ roles: z.array(z.string()) });
  router.get('/a', auth({ ...options, audience: 'a' }), answer);
  router.get('/b', auth({ ...options, audience: 'b' }), answer);
  router.get('/strict', auth({ ...options, audience: 'a', profile: 'rfc9068' }), answer);
  router.get('/es256', auth({ ...options, audience: 'a', algorithms: ['ES256'] }), answer);
  router.get(
    '/typed',
    auth({ ...options, audience: 'a', claims: { namespace, schema: roles } }),
    answer,
  );
  router.get('/revoked', auth({ ...options, audience: 'a', isRevoked: () => true }), answer);
  const app = new Koa();
  app.use(router.routes());
  const api = await serve(app);

  const value = token({ aud: 'a', [`${namespace}roles`]: ['admin'] });
  for (let round = 0; round < 3; round += 1) {
    expect(await api.get(value, 'a')).toMatchObject({ status: 200, body: 'none' });
    expect(await api.get(value, 'typed')).toMatchObject({
      status: 200,
      body: '{"roles":["admin"]}',
    });
    // RFC 9068 §2.2 wants a client_id.
    for (const path of ['b', 'strict', 'es256', 'revoked']) {
      expect([path, (await api.get(value, path)).status]).toEqual([path, 401]);
    }
  }
  await api.close();
});
