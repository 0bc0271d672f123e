import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import Koa, { type Middleware } from 'koa';
import { testKey } from '../../../test/support/test-keys.ts';
import { type Api, serve } from './support/protected-api.ts';

type Library = typeof import('../src/index.ts');

/** Loads the library and its dependencies again, as if it were installed twice. */
async function loadCopy(): Promise<Library> {
  jest.resetModules();
  return import('../src/index.ts');
}

const audience = 'https://api.example.com';
let server: TestIssuer;
let one: Library;
let other: Library;
const open: Api[] = [];

beforeAll(async () => {
  server = await startTestIssuer({ keys: [testKey()] });
  one = await loadCopy();
  other = await loadCopy();
});
afterAll(() => Promise.all([server.close(), ...open.map((api) => api.close())]));

const token = (claims: object = {}) => server.token({ sub: 'alice', aud: audience, ...claims });

/** An API that is protected by the one copy, with middleware of the other behind it. */
async function start(behind: Middleware, options: object = {}): Promise<Api> {
  const app = new Koa();
  app.use(one.auth({ issuerBaseURL: server.issuer, audience, ...options }));
  app.use(behind);
  app.use((ctx) => {
    ctx.body = 'in';
  });
  const api = await serve(app);
  open.push(api);
  return api;
}

test('they are two copies: neither knows the classes of the other', () => {
  expect(one.AuthError).not.toBe(other.AuthError);
  expect(new other.AuthError('ERR_CLAIM_MISMATCH')).not.toBeInstanceOf(one.AuthError);
});

describe('auth of one copy answers errors of the other', () => {
  test('a scope is missing: 403 with a challenge, and an event', async () => {
    const events: unknown[] = [];
    const onEvent = (event: unknown) => events.push(event);
    const api = await start(other.requiredScopes('read'), { onEvent });
    expect(await api.get(token())).toMatchObject({
      status: 403,
      error: 'insufficient_scope',
      challenge: expect.stringContaining(`realm="${audience}"`),
    });
    expect(events.at(-1)).toMatchObject({ type: 'refused', reason: 'insufficient_scope' });
    expect((await api.get(token({ scope: 'read' }))).status).toBe(200);
  });

  test('a claim does not fit: 403 with a challenge that blames no token', async () => {
    const api = await start(other.claimEquals('org', 'acme'));
    const { status, challenge } = await api.get(token());
    expect([status, challenge]).toEqual([403, `Bearer realm="${audience}"`]);
  });

  test('a token is refused: 401 with the reason', async () => {
    const events: unknown[] = [];
    const onEvent = (event: unknown) => events.push(event);
    const refuse: Middleware = () => {
      throw new other.InvalidTokenError('revoked');
    };
    const api = await start(refuse, { onEvent });
    expect(await api.get(token())).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(events.at(-1)).toMatchObject({ type: 'refused', reason: 'revoked' });
  });

  test('revocation cannot be checked: 503, no challenge', async () => {
    const fail: Middleware = () => {
      throw new other.AuthError('ERR_REVOCATION_UNAVAILABLE');
    };
    const api = await start(fail);
    expect(await api.get(token())).toMatchObject({ status: 503, challenge: null, retryAfter: '2' });
  });
});

describe('auth of one copy with an issuer of the other', () => {
  const withIssuer = async () => {
    const issuer = other.createIssuer({ issuerBaseURL: server.issuer });
    return start((_, next) => next(), { issuerBaseURL: undefined, issuer });
  };

  test('an unknown key is the token’s fault: 401', async () => {
    const api = await withIssuer();
    expect((await api.get(token())).status).toBe(200);
    const unknown = server.token({ sub: 'alice', aud: audience }, { kid: 'unknown' });
    expect(await api.get(unknown)).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(api.errors.at(-1)).toMatchObject({ code: 'ERR_INVALID_TOKEN', reason: 'key' });
  });

  test('an issuer that is down is not: 503, no challenge', async () => {
    const api = await withIssuer();
    server.goDown();
    expect(await api.get(token())).toMatchObject({ status: 503, challenge: null, retryAfter: '2' });
    server.comeBack();
  });
});

test('an error that only bears a code of ours is left alone', async () => {
  const mine = Object.assign(new Error('mine'), { status: 403, code: 'ERR_INSUFFICIENT_SCOPE' });
  const api = await start(() => {
    throw mine;
  });
  expect(await api.get(token())).toMatchObject({ status: 403, challenge: null });
});
