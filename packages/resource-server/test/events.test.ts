import { subscribe, unsubscribe } from 'node:diagnostics_channel';
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
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { AUTH_CHANNEL, type AuthEvent, refusalReasonOf } from '../src/events.ts';
import type { AuthOptions } from '../src/options.ts';
import { claimEquals } from '../src/requirements/claim-check.ts';
import { requiredScopes } from '../src/requirements/required-scopes.ts';
import { type Api, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const namespace = 'https://api.example.com/claims/';
const sub = 'auth0|someone-in-particular';

let issuer: TestIssuer;
let told: AuthEvent[];
let published: unknown[];
/** Every token and every event of this suite. */
const tokens = new Set<string>();
const events: unknown[] = [];
const open: Api[] = [];
const listen = (event: unknown) => published.push(withoutDuration(event as AuthEvent));
const withoutDuration = ({ durationMs, ...event }: AuthEvent) => event;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
beforeEach(() => {
  told = [];
  published = [];
  subscribe(AUTH_CHANNEL, listen);
});
afterEach(async () => {
  unsubscribe(AUTH_CHANNEL, listen);
  events.push(...told, ...published);
  await Promise.all(open.splice(0).map((each) => each.close()));
});
afterAll(() => issuer.close());

async function start(
  options: Partial<AuthOptions<unknown>> = {},
  behind: Middleware[] = [],
): Promise<Api> {
  const all = {
    issuerBaseURL: issuer.issuer,
    audience,
    onEvent: (event: AuthEvent) => told.push(withoutDuration(event)),
    ...options,
  };
  const api = await startApi(all, { behind });
  open.push(api);
  return api;
}

function token(claims: Record<string, unknown> = {}): string {
  const value = issuer.token({ sub, aud: audience, ...claims });
  tokens.add(value);
  return value;
}

describe('each event, by the option and by the channel', () => {
  afterEach(() => expect(published).toEqual(told));

  test('verified: for which client, and whether the token was known', async () => {
    const api = await start();
    const web = token({ client_id: 'web', azp: 'other' });
    for (let time = 0; time < 3; time += 1) await api.get(web);
    await api.get(token({ azp: 'spa' }));
    await api.get(token());
    expect(told).toEqual([
      { type: 'verified', clientId: 'web', cached: false },
      { type: 'verified', clientId: 'web', cached: false },
      { type: 'verified', clientId: 'web', cached: true },
      { type: 'verified', clientId: 'spa', cached: false },
      { type: 'verified', clientId: undefined, cached: false },
    ]);
  });

  test('refused: credentials missing or malformed (RFC 6750 §3.1)', async () => {
    const api = await start();
    await api.get();
    await api.send({ Authorization: `Bearer ${token()} ${token()}` });
    await api.get(token(), `?access_token=${token()}`);
    expect(told).toEqual([
      { type: 'refused', code: 'ERR_MISSING_TOKEN', reason: 'missing_token', detail: undefined },
      {
        type: 'refused',
        code: 'ERR_INVALID_REQUEST',
        reason: 'invalid_request',
        detail: undefined,
      },
      {
        type: 'refused',
        code: 'ERR_INVALID_REQUEST',
        reason: 'invalid_request',
        detail: undefined,
      },
    ]);
  });

  test('refused: every hostile token, by a reason from a bounded list', async () => {
    const api = await start();
    const hostile = Object.values(issuer.hostileTokens({ aud: audience, sub }));
    for (const value of hostile) {
      tokens.add(value);
      await api.get(value);
    }
    expect(told).toHaveLength(hostile.length);
    expect(told.filter(({ type }) => type !== 'refused')).toEqual([]);
    const reasons = new Set(told.map((event) => event.type === 'refused' && event.reason));
    expect([...reasons].sort()).toEqual([
      ...['algorithm', 'audience', 'claim', 'critical', 'expired', 'issuer', 'key', 'malformed'],
      ...['not_yet_valid', 'oversized', 'sender_constrained', 'signature', 'type'],
    ]);
  });

  test('refused: revoked, or revocation cannot be checked', async () => {
    let isRevoked = async () => true;
    const api = await start({ isRevoked: () => isRevoked() });
    await api.get(token());
    isRevoked = () => Promise.reject(new Error('down'));
    await api.get(token());
    expect(told).toEqual([
      { type: 'refused', code: 'ERR_INVALID_TOKEN', reason: 'revoked', detail: undefined },
      {
        type: 'refused',
        code: 'ERR_REVOCATION_UNAVAILABLE',
        reason: 'unavailable',
        detail: 'isRevoked failed',
      },
    ]);
  });

  test('refused: what a guard behind lacked, after the token was verified', async () => {
    const scoped = await start({}, [requiredScopes('read')]);
    await scoped.get(token());
    const claimed = await start({}, [claimEquals('org', 'acme')]);
    await claimed.get(token());
    const schema = z.object({ roles: z.array(z.string()) });
    const typed = await start({ claims: { namespace, schema } });
    await typed.get(token({ [`${namespace}roles`]: sub }));
    expect(told).toEqual([
      { type: 'verified', clientId: undefined, cached: false },
      {
        type: 'refused',
        code: 'ERR_INSUFFICIENT_SCOPE',
        reason: 'insufficient_scope',
        detail: undefined,
      },
      { type: 'verified', clientId: undefined, cached: false },
      { type: 'refused', code: 'ERR_CLAIM_MISMATCH', reason: 'claim_mismatch', detail: undefined },
      {
        type: 'refused',
        code: 'ERR_CLAIM_MISMATCH',
        reason: 'claim_mismatch',
        detail: 'the schema refused "roles"',
      },
    ]);
  });

  test('refused: the issuer is away, and its metadata is another’s', async () => {
    const other = await startTestIssuer({ keys: [testKey()] });
    const api = await start({ issuerBaseURL: other.issuer });
    const value = other.token({ sub, aud: audience });
    tokens.add(value);
    other.goDown();
    await api.get(value);
    other.fault = (_, response) => response.end('{"issuer":"https://evil.example/"}');
    const misled = await start({ issuerBaseURL: other.issuer });
    await misled.get(value);
    expect(told).toMatchObject([
      {
        type: 'refused',
        code: 'ERR_ISSUER_UNAVAILABLE',
        reason: 'unavailable',
        detail: expect.stringContaining('GET http'),
      },
      {
        type: 'refused',
        code: 'ERR_INVALID_METADATA',
        reason: 'unavailable',
        detail: expect.stringContaining('"issuer"'),
      },
    ]);
    await other.close();
  });

  test('nothing: no credentials where none are needed, and errors of the routes’ own', async () => {
    const optional = await start({ authRequired: false });
    await optional.get();
    expect(told).toEqual([]);
    const failing = await start({}, [
      () => {
        throw Object.assign(new Error('mine'), { status: 401, code: 'ERR_MINE' });
      },
    ]);
    await failing.get(token());
    expect(told.map(({ type }) => type)).toEqual(['verified']);
  });
});

test('a verification is timed only while the channel has a subscriber', async () => {
  const timed: AuthEvent[] = [];
  const api = await start({ onEvent: (event) => timed.push(event) }, [requiredScopes('read')]);
  await api.get(token());
  await api.get('abc');
  unsubscribe(AUTH_CHANNEL, listen);
  await api.get(token());
  await api.get('abc');
  const anyTime = expect.any(Number);
  expect(timed.map(({ type, durationMs }) => [type, durationMs])).toEqual([
    ['verified', anyTime],
    // The scope was missing, after the verification.
    ['refused', undefined],
    ['refused', anyTime],
    ['verified', undefined],
    ['refused', undefined],
    ['refused', undefined],
  ]);
});

describe('a listener in trouble harms no request', () => {
  test.each<[string, AuthOptions<unknown>['onEvent']]>([
    [
      'one that throws',
      () => {
        throw new Error('the log is full');
      },
    ],
    ['one whose promise is rejected', (async () => Promise.reject(new Error('no'))) as never],
  ])('%s', async (_, onEvent) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const api = await start({ onEvent });
    const value = token();
    expect((await api.get(value)).status).toBe(200);
    expect((await api.get(value)).status).toBe(200);
    expect(await api.get('abc')).toMatchObject({ status: 401, error: 'invalid_token' });
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

test.each([undefined, null, 5, 'text', new Error('x'), { code: 'ERR_INVALID_TOKEN' }])(
  '%p is no refusal',
  (error) => {
    expect(refusalReasonOf(error)).toBeUndefined();
  },
);

// Last, when there is something to search.
test('no event holds a token, a part of one, or whom it is about', () => {
  proves('RFC 6750 §5.1 disclosure');
  expect(events.length).toBeGreaterThan(200);
  expect(tokens.size).toBeGreaterThan(100);
  const text = JSON.stringify(events);
  for (const value of tokens) {
    for (const part of [value, ...value.split('.')].filter(({ length }) => length > 20)) {
      expect(text.includes(part)).toBe(false);
    }
  }
  expect(text).not.toContain('someone-in-particular');
});

describe('without onEvent', () => {
  const { NODE_ENV } = process.env;
  let lines: unknown[];

  beforeEach(() => {
    lines = [];
    jest.spyOn(console, 'warn').mockImplementation((line) => lines.push(line));
    process.env.NODE_ENV = 'development';
  });
  afterEach(() => {
    process.env.NODE_ENV = NODE_ENV;
    jest.restoreAllMocks();
  });

  test('a line is printed for each kind of refusal, and then their number', async () => {
    const begin = performance.now();
    let passed = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => begin + passed);
    const api = await start({ onEvent: undefined });
    for (let i = 0; i < 3; i += 1) await api.get(token({ aud: 'https://other' }));
    await api.get();
    await api.get(token());
    passed = 10_001;
    await api.get(token({ aud: 'https://other' }));
    const line = 'koa-oauth: refused a request, ERR_INVALID_TOKEN, reason audience: expected';
    expect(lines).toEqual([
      `${line} ["${audience}"]`,
      'koa-oauth: refused a request, ERR_MISSING_TOKEN, reason missing_token',
      `${line} ["${audience}"] (and 2 more before)`,
    ]);
  });

  test('a failed refresh and unusable keys of the issuer are printed', async () => {
    const other = await startTestIssuer({
      keys: [testKey()],
      otherKeys: [{ kty: 'oct', kid: 'a\n\u001b[31m', k: 'c2VjcmV0' }],
    });
    const api = await start({ issuerBaseURL: other.issuer, onEvent: undefined });
    await api.get(other.token({ sub, aud: audience }));
    other.goDown();
    const cold = await start({ issuerBaseURL: other.issuer, onEvent: undefined });
    await cold.get(other.token({ sub, aud: audience }));
    await other.close();
    expect(lines[0]).toBe(
      `koa-oauth: keys of ${other.issuer} are not used: a??[31m, private or symmetric key`,
    );
    expect(lines[1]).toMatch(/^koa-oauth: the metadata of \S+ cannot be fetched: GET \S+: \w+$/);
  });

  test.each(['production', 'test'])('nothing is printed where NODE_ENV is %s', async (value) => {
    process.env.NODE_ENV = value;
    const api = await start({ onEvent: undefined });
    await api.get();
    expect(lines).toEqual([]);
  });

  test('nothing is printed with an onEvent', async () => {
    const api = await start({ onEvent: () => {} });
    await api.get();
    expect(lines).toEqual([]);
  });
});
