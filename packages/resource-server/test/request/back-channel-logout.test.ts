import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import Router from '@koa/router';
import { createIssuer, InvalidOptions } from '@koa-oauth/issuer';
import {
  createTestKey,
  signJws,
  startTestIssuer,
  type TestIssuer,
} from '@koa-oauth/issuer/testing';
import fc from 'fast-check';
import Koa from 'koa';
import { codePoint } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { auth } from '../../src/auth.ts';
import type { LogoutTokenOptions } from '../../src/request/back-channel-logout.ts';
import { type ExpiringSet, memorySet } from '../../src/stores/expiring-set.ts';
import { revocations } from '../../src/token/revocations.ts';
import { type Api, serve } from '../support/protected-api.ts';

const PATH = 'backchannel-logout';
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const audience = 'https://api.example.com';

let issuer: TestIssuer;
let other: TestIssuer;
const open: Api[] = [];
let now = Date.now();
let serial = 0;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()], now: () => now });
  const key = createTestKey({ alg: 'ES256' });
  other = await startTestIssuer({ keys: [key], now: () => now });
});
beforeEach(() => {
  now = Date.now();
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => Promise.all([issuer.close(), other.close()]));

/** An API of two issuers with a route for logout tokens. */
async function start(store: ExpiringSet = memorySet()): Promise<Api> {
  const revoked = revocations({ store, now: () => now });
  const issuers = [issuer, other].map((one) => createIssuer({ issuerBaseURL: one.issuer }));
  const router = new Router();
  router.post(`/${PATH}`, revoked.backChannelLogout({ issuer: issuers, clientID: 'web' }));
  for (const [path, one] of [
    ['/', issuers[0]],
    ['/other', issuers[1]],
  ] as const) {
    router.get(path, auth({ issuer: one, audience, isRevoked: revoked.isRevoked }), (ctx) => {
      ctx.body = 'in';
    });
  }
  const app = new Koa();
  app.silent = true;
  app.use(router.routes());
  const api = await serve(app);
  open.push(api);
  return api;
}

function logoutToken(
  claims: object = {},
  header: object = {},
  by = issuer,
  key = by.keys[0],
): string {
  serial += 1;
  const jti = `logout-${serial}`;
  const all = { aud: 'web', exp: undefined, jti, events: { [EVENT]: {} }, sid: 's1', ...claims };
  return by.token(all, { typ: 'logout+jwt', ...header }, key);
}

const post = (api: Api, body: string, headers: Record<string, string> = {}) =>
  api.send({ 'Content-Type': 'application/x-www-form-urlencoded', ...headers }, PATH, {
    method: 'POST',
    body,
  });
const tell = (api: Api, token: string, headers?: Record<string, string>) =>
  post(api, `${new URLSearchParams({ logout_token: token })}`, headers);
const mint = (claims: object = {}, by = issuer) =>
  by.token({ sub: 'alice', aud: audience, sid: 's1', ...claims });

describe('a logout token', () => {
  test('with a sid ends the tokens of that session, and no others', async () => {
    proves('ASVS 10.5.5');
    const api = await start();
    const tokens = [
      mint(),
      mint({ sid: 's2' }),
      mint({ sid: undefined }),
      mint({ sub: 'bob', sid: 's3' }),
    ];
    const statuses = () => Promise.all(tokens.map(async (one) => (await api.get(one)).status));
    expect(await statuses()).toEqual([200, 200, 200, 200]);
    const answer = await tell(api, logoutToken({ sub: 'alice' }));
    expect([answer.status, answer.body, answer.headers.get('cache-control')]).toEqual([
      200,
      '',
      'no-store',
    ]);
    expect(await statuses()).toEqual([401, 200, 200, 200]);
    // The same names at another issuer are those of others.
    expect((await api.get(mint({}, other), 'other')).status).toBe(200);
  });

  test.each([undefined, null])(
    'with a sub alone (sid %s) ends all tokens that the user had, not those of a later sign-in',
    async (sid) => {
      const api = await start();
      const before = [mint(), mint({ sid: 's2' }), mint({ sid: undefined })];
      expect((await tell(api, logoutToken({ sid, sub: 'alice' }))).status).toBe(200);
      for (const one of before) expect((await api.get(one)).status).toBe(401);
      expect((await api.get(mint({ sub: 'bob' }))).status).toBe(200);
      expect((await api.get(mint({}, other), 'other')).status).toBe(200);
      now += 1000;
      expect((await api.get(mint())).status).toBe(200);
    },
  );

  test('of each issuer is accepted with the keys of that issuer', async () => {
    const api = await start();
    expect((await tell(api, logoutToken({}, {}, other))).status).toBe(200);
    expect((await api.get(mint({}, other), 'other')).status).toBe(401);
    expect((await api.get(mint())).status).toBe(200);
  });

  test('counts once, also when it comes ten times at once', async () => {
    proves('ASVS 10.5.5');
    const api = await start();
    const token = logoutToken({ sid: undefined, sub: 'alice' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => tell(api, token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(400)]);
    now += 1000;
    const later = mint();
    expect((await tell(api, token)).status).toBe(400);
    expect((await api.get(later)).status).toBe(200);
    // Another issuer may use the same jti.
    const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect((await tell(api, logoutToken({ jti }, {}, other))).status).toBe(200);
  });
});

describe('what is refused ends nothing', () => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const parts = () => logoutToken().split('.') as [string, string, string];
  /** Signs the text of a good token with changes. */
  const signed = (change: (json: string) => string) => {
    const header = { alg: testKey().alg, kid: testKey().kid, typ: 'logout+jwt' };
    const good = Buffer.from(parts()[1], 'base64url').toString();
    return signJws(header, change(good), testKey());
  };
  const tokens: [string, () => string][] = [
    ['another issuer', () => logoutToken({ iss: 'https://evil.example/' })],
    ['the issuer without its slash', () => logoutToken({ iss: issuer.issuer.slice(0, -1) })],
    [
      'the name of the issuer, signed by another one',
      () => logoutToken({ iss: issuer.issuer }, {}, other),
    ],
    ['the name of another issuer, signed by the issuer', () => logoutToken({ iss: other.issuer })],
    ['an unknown key', () => logoutToken({}, { kid: 'unknown' })],
    ['a key of the same name', () => logoutToken({}, {}, issuer, createTestKey({ kid: 'key-1' }))],
    ['another audience', () => logoutToken({ aud: 'web-2' })],
    ['the audience of the API', () => logoutToken({ aud: audience })],
    ['a nonce', () => logoutToken({ nonce: 'n' })],
    ['a nonce that is null', () => logoutToken({ nonce: null })],
    ['no events', () => logoutToken({ events: undefined })],
    ['other events', () => logoutToken({ events: { 'https://x.example/e': {} } })],
    ['events as a list', () => logoutToken({ events: [EVENT] })],
    ['no jti', () => logoutToken({ jti: undefined })],
    ['a long jti', () => logoutToken({ jti: 'x'.repeat(256) })],
    ['neither sub nor sid', () => logoutToken({ sid: undefined })],
    ['a sub and a sid that are null', () => logoutToken({ sub: null, sid: null })],
    ['a sid that is a list', () => logoutToken({ sid: ['s1'] })],
    ['an age of three minutes and more', () => logoutToken({ iat: Math.floor(now / 1000) - 181 })],
    ['a time ahead', () => logoutToken({ iat: Math.floor(now / 1000) + 62 })],
    ['an exp that has passed', () => logoutToken({ exp: Math.floor(now / 1000) - 61 })],
    ['the type of an access token', () => logoutToken({}, { typ: 'at+jwt' })],
    ['a critical member', () => logoutToken({}, { crit: ['x'], x: 1 })],
    ['alg none', () => `${encode({ alg: 'none', typ: 'logout+jwt' })}.${parts()[1]}.${parts()[2]}`],
    ['no signature', () => `${parts()[0]}.${parts()[1]}.`],
    ['HS256', () => `${encode({ alg: 'HS256', typ: 'logout+jwt' })}.${parts()[1]}.${parts()[2]}`],
    ['another payload', () => `${parts()[0]}.${parts()[1]}.${parts()[2]}`],
    ['duplicate members', () => signed((json) => json.replace('{', '{"sid":"s2",'))],
    ['an access token', () => mint({ aud: 'web' })],
    ['garbage', () => 'garbage'],
    ['much garbage', () => `${parts()[0]}.${'A'.repeat(33_000)}.${parts()[2]}`],
    ['a huge sid', () => logoutToken({ sid: 'x'.repeat(20_000) })],
    [
      'deep claims',
      () =>
        signed((json) =>
          json.replace('{', `{"x":${'['.repeat(5000)}${']'.repeat(5000)},"nonce":1,`),
        ),
    ],
  ];

  test.each(tokens)('a token with %s: 400', async (_, make) => {
    proves('ASVS 10.5.5');
    const api = await start();
    const answer = await tell(api, make());
    expect([answer.status, answer.body, answer.headers.get('cache-control')]).toEqual([
      400,
      'the logout token is not valid',
      'no-store',
    ]);
    expect((await api.get(mint())).status).toBe(200);
    expect((await api.get(mint({ sid: 's2' }))).status).toBe(200);
  });

  const token = () => `logout_token=${logoutToken()}`;
  const requests: [string, (api: Api) => ReturnType<typeof post>][] = [
    ['no form', (api) => post(api, '')],
    ['an empty token', (api) => post(api, 'logout_token=')],
    [
      'the token twice',
      (api) => {
        const one = token();
        return post(api, `${one}&${one}`);
      },
    ],
    ['two tokens', (api) => post(api, `${token()}&${token()}`)],
    [
      'JSON',
      (api) =>
        post(api, JSON.stringify({ logout_token: logoutToken() }), {
          'Content-Type': 'application/json',
        }),
    ],
    ['a huge form', (api) => post(api, `${token()}&a=${'x'.repeat(70_000)}`)],
    [
      'a compressed form',
      (api) => post(api, token(), { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' }),
    ],
    ['a page', (api) => post(api, token(), { Origin: 'https://app.example' })],
  ];
  test.each(requests)('a request with %s: 400', async (_, send) => {
    const api = await start();
    expect((await send(api)).status).toBe(400);
    expect((await api.get(mint())).status).toBe(200);
  });

  test('an unknown issuer, and a wrong token of a known one, cause no request to any issuer', async () => {
    const api = await start();
    const before = [issuer.requests.length, other.requests.length];
    for (let i = 0; i < 50; i += 1) {
      await tell(api, logoutToken({ iss: `https://evil-${i}.example/` }));
      await tell(api, `x${i}.y.z`);
    }
    expect([issuer.requests.length, other.requests.length]).toEqual(before);
    const metadata = () => issuer.requests.filter((path) => path.includes('jwks')).length;
    const keys = metadata();
    for (let i = 0; i < 50; i += 1) {
      await tell(api, logoutToken({ aud: 'web-2' }));
      await tell(api, logoutToken({ nonce: 'n' }, { kid: `kid-${i}` }));
    }
    expect(metadata()).toBe(keys);
    // The first token with a made-up key fetches the keys.
    for (let i = 0; i < 50; i += 1) await tell(api, logoutToken({}, { kid: `kid-${i}` }));
    expect(metadata() - keys).toBeLessThanOrEqual(2);
  });

  test('whatever the form contains, the answer is 400, and the store gets nothing', async () => {
    const store = memorySet({ maxEntries: 1 });
    const api = await start(store);
    const text = fc.oneof(
      fc.string({ unit: codePoint }),
      fc.string().map((word) => `logout_token=${word}`),
    );
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        expect((await post(api, body)).status).toBe(400);
      }),
      { numRuns: 50 },
    );
    expect(await store.add('one', Date.now() / 1000 + 60)).toBe(true);
  });
});

describe('while something is away', () => {
  test.each(['setIfGreater', 'add'] as const)(
    'the store’s %s: 503, and the same token may come again',
    async (method) => {
      const store = memorySet();
      let isUp = false;
      const failing = new Proxy(store, {
        get: (target, name: keyof ExpiringSet) =>
          name === method && !isUp
            ? () => Promise.reject(new Error('redis://user:secret@10.0.0.1 refused'))
            : (target[name] as () => unknown).bind(target),
      });
      const api = await start(failing);
      const token = logoutToken();
      const answer = await tell(api, token);
      expect([answer.status, answer.retryAfter]).toEqual([503, '2']);
      expect(answer.body).toBe('the revocation cannot be stored right now');
      isUp = true;
      expect((await tell(api, token)).status).toBe(200);
      expect((await api.get(mint())).status).toBe(401);
      expect((await tell(api, token)).status).toBe(400);
    },
  );

  test('one issuer: 503 for its tokens only', async () => {
    const api = await start();
    other.goDown();
    expect(await tell(api, logoutToken({}, {}, other))).toMatchObject({
      status: 503,
      retryAfter: '2',
    });
    expect((await tell(api, logoutToken())).status).toBe(200);
    other.comeBack();
  });
});

test.each<[string, object]>([
  ['issuer', { clientID: 'web' }],
  ['issuer', { issuer: [], clientID: 'web' }],
  ['issuer', { issuer: 'https://tenant.example.com/', clientID: 'web' }],
  ['clientID', { clientID: '' }],
  ['clientID', { clientID: [] }],
  ['clockTolerance', { clientID: 'web', clockTolerance: 301 }],
  ['algorithms', { clientID: 'web', algorithms: ['HS256'] }],
  ['unknown: aud', { clientID: 'web', aud: 'web' }],
])('the option %s is refused in %j', (name, options) => {
  const known = createIssuer({ issuerBaseURL: issuer.issuer });
  const given = (name === 'issuer' ? options : { issuer: known, ...options }) as LogoutTokenOptions;
  expect(() => revocations().backChannelLogout(given)).toThrow(InvalidOptions);
  expect(() => revocations().backChannelLogout(given)).toThrow(name);
});
