import { Agent, request } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Router from '@koa/router';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import fc from 'fast-check';
import Koa, { type Middleware } from 'koa';
import { z } from 'zod';
import { casesOf } from '../../../test/support/properties.ts';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { auth } from '../src/auth.ts';
import { AuthError } from '../src/errors.ts';
import { claimCheck, claimEquals, claimIncludes } from '../src/requirements/claim-check.ts';
import {
  requiredPermissions,
  requiredScopes,
  scopeIncludesAny,
} from '../src/requirements/required-scopes.ts';
import { requiredSignIn } from '../src/requirements/required-sign-in.ts';
import { type Api, sendRaw, serve, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const namespace = 'https://api.example.com/claims/';
const resourceMetadata = 'https://api.example.com/.well-known/oauth-protected-resource';

let issuer: TestIssuer;
let api: Api;
const open: Api[] = [];

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
  api = await startApi({ issuerBaseURL: issuer.issuer, audience, resourceMetadata });
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => Promise.all([api.close(), issuer.close()]));

const options = () => ({ issuerBaseURL: issuer.issuer, audience });
const good = (claims: object = {}) => issuer.token({ sub: 'alice', aud: audience, ...claims });

async function start(...args: Parameters<typeof startApi>): Promise<Api> {
  const started = await startApi(...args);
  open.push(started);
  return started;
}

/** An API with guards behind `auth`. */
const guarded = (...behind: Middleware[]) => start(options(), { behind });

test('the middleware bears its name', () => {
  expect(auth(options()).name).toBe('auth');
});

test('a good token comes in, and what it says is in the state', async () => {
  const { status, body, challenge } = await api.get(good({ scope: 'a b' }));
  expect([status, challenge]).toEqual([200, null]);
  expect(JSON.parse(body)).toEqual({
    header: { alg: 'RS256', typ: 'at+jwt', kid: 'key-1' },
    payload: expect.objectContaining({ iss: issuer.issuer, sub: 'alice', scope: 'a b' }),
    issuer: issuer.issuer,
    scopes: ['a', 'b'],
  });
});

describe('credentials, RFC 6750 §2.1 and §3.1', () => {
  test.each([
    (token: string) => `bearer ${token}`,
    (token: string) => `BEARER ${token}`,
    (token: string) => `Bearer    ${token}`,
    (token: string) => `Bearer ${token}   `,
  ])('the scheme in any case and spaces around: %s', async (write) => {
    expect((await api.send({ Authorization: write(good()) })).status).toBe(200);
  });

  test.each([[[]], [undefined]])('rawHeaders %p of an adapter: headers counts', async (value) => {
    const adapter: Middleware = (ctx, next) => {
      Object.defineProperty(ctx.req, 'rawHeaders', { value });
      return next();
    };
    const adapted = await start(options(), { before: [adapter] });
    expect((await adapted.get(good())).status).toBe(200);
    expect((await adapted.get(`${good()}a`)).status).toBe(401);
    expect((await adapted.get()).status).toBe(401);
  });

  test('a made-up request of a unit test gets an AuthError, or its token is read', async () => {
    const middleware = auth(options());
    const read = async (request: object) => {
      const ctx = new Koa().createContext(request as never, {} as never);
      await middleware(ctx, async () => {});
      return ctx.state.auth?.payload.sub;
    };
    expect(await read({ headers: { authorization: `Bearer ${good()}` } })).toBe('alice');
    for (const request of [{}, { headers: {} }]) {
      await expect(read(request)).rejects.toMatchObject({ code: 'ERR_MISSING_TOKEN' });
    }
  });

  test('the name of the header may be in any case', async () => {
    for (const name of ['authorization', 'AUTHORIZATION']) {
      const answer = await sendRaw(api.port, [
        'GET / HTTP/1.1',
        'Host: a',
        `${name}: Bearer ${good()}`,
      ]);
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  test.each<[string, Record<string, string>]>([
    ['none', {}],
    ['Basic', { Authorization: 'Basic dXNlcjpwYXNz' }],
    ['DPoP', { Authorization: 'DPoP abc' }],
    ['an empty header', { Authorization: '' }],
    ['a cookie', { Cookie: 'access_token=abc; token=abc' }],
    ['another header', { 'X-Access-Token': 'abc', 'Proxy-Authorization': 'Bearer abc' }],
  ])('%s: 401 with a challenge that has no error', async (_, headers) => {
    proves('RFC 9068 §4 refusal');
    const { status, challenge } = await api.send(headers);
    expect(status).toBe(401);
    expect(challenge).toBe(`Bearer realm="${audience}", resource_metadata="${resourceMetadata}"`);
  });

  test('a good token in a cookie or another header is none', async () => {
    proves('RFC 6750 §5.3 cookies');
    const token = good();
    const all: Record<string, string>[] = [
      { Cookie: `token=${token}` },
      { 'X-Access-Token': token },
    ];
    for (const headers of all) {
      expect((await api.send(headers)).status).toBe(401);
    }
  });

  test.each([
    'Bearer',
    'Bearer a=.b.c',
    'Bearer a b',
    'Bearer a"b',
    'Bearer a, Bearer b',
    'Bearer é',
    'bearer =',
  ])('%s: 400 invalid_request', async (value) => {
    const { status, challenge, error } = await api.send({ Authorization: value });
    expect([status, error]).toEqual([400, 'invalid_request']);
    expect(challenge).toContain(`realm="${audience}"`);
    expect(challenge).toContain(`resource_metadata="${resourceMetadata}"`);
  });

  test.each([
    ['the same token twice', ['Bearer TOKEN', 'Bearer TOKEN']],
    ['a bad one behind a good one', ['Bearer TOKEN', 'Bearer x']],
    ['a good one behind another scheme', ['Basic eDp5', 'Bearer TOKEN']],
  ])('two Authorization headers, %s: 400 invalid_request', async (_, values) => {
    const token = good();
    const headers = values.map((value, i) => `${i ? 'authorization' : 'Authorization'}: ${value}`);
    const answer = await sendRaw(api.port, [
      'GET / HTTP/1.1',
      'Host: a',
      ...headers.map((line) => line.replace('TOKEN', token)),
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toMatch(/\r\nWWW-Authenticate: Bearer .*error="invalid_request"/i);
  });

  test('in the query, with or without the header: 400 invalid_request (RFC 6750 §2.3)', async () => {
    proves('RFC 6750 §5.3 URLs');
    const token = good();
    for (const path of [`?access_token=${token}`, '?access_token=', '?access%5Ftoken=x&a=b']) {
      expect(await api.get(undefined, path)).toMatchObject({
        status: 400,
        error: 'invalid_request',
      });
      expect(await api.get(token, path)).toMatchObject({ status: 400, error: 'invalid_request' });
    }
    expect((await api.get(token, '?access_tokens=x&%')).status).toBe(200);
  });

  test('in a form: 400 invalid_request (RFC 6750 §2.2); a JSON body is none', async () => {
    const body = (value: unknown): Middleware =>
      async function parsed(ctx, next) {
        (ctx.request as { body?: unknown }).body = value;
        await next();
      };
    const token = good();
    const forms = await start(options(), { before: [body({ access_token: token })] });
    const send = (type: string, headers: Record<string, string> = {}) =>
      forms.send({ 'Content-Type': type, ...headers }, '', { method: 'POST', body: 'a=b' });
    const withHeader = { Authorization: `Bearer ${token}` };
    const form = 'application/x-www-form-urlencoded; charset=utf-8';
    expect(await send(form)).toMatchObject({ status: 400, error: 'invalid_request' });
    expect(await send(form, withHeader)).toMatchObject({ status: 400, error: 'invalid_request' });
    expect(await send('application/json')).toMatchObject({ status: 401, error: undefined });
    expect((await send('application/json', withHeader)).status).toBe(200);
  });

  test('in a form, behind more parameters than its parser reads: 400 (RFC 6750 §2.2)', async () => {
    const rawBody = `${'a=b&'.repeat(2000)}%61ccess_token=x`;
    const parsed: Middleware = async (ctx, next) => {
      Object.assign(ctx.request, { body: { a: 'b' }, rawBody });
      await next();
    };
    const forms = await start(options(), { before: [parsed] });
    const send = (type: string) =>
      forms.send({ 'Content-Type': type, Authorization: `Bearer ${good()}` }, '', {
        method: 'POST',
        body: 'a=b',
      });
    const answer = await send('application/x-www-form-urlencoded');
    expect(answer).toMatchObject({ status: 400, error: 'invalid_request' });
    expect((await send('application/json')).status).toBe(200);
  });
});

describe('authorization', () => {
  test('a scope missing: 403 insufficient_scope, and all that is needed (RFC 6750 §3.1)', async () => {
    const scoped = await guarded(requiredScopes('read:contacts update:contacts'));
    for (const scope of ['read:contacts', '', undefined, 'read:contacts update:contacts:all']) {
      const { status, challenge } = await scoped.get(good({ scope }));
      expect(status).toBe(403);
      expect(challenge).toContain('error="insufficient_scope"');
      expect(challenge).toContain('scope="read:contacts update:contacts"');
    }
    expect((await scoped.get(good({ scope: 'x update:contacts read:contacts' }))).status).toBe(200);
  });

  test('one of several scopes', async () => {
    const any = await guarded(scopeIncludesAny(['a', 'b']));
    expect((await any.get(good({ scope: 'b c' }))).status).toBe(200);
    expect(await any.get(good({ scope: 'c' }))).toMatchObject({ error: 'insufficient_scope' });
  });

  test.each<[string, Middleware]>([
    ['claimCheck', claimCheck(({ sub }) => sub === 'bob')],
    ['an asynchronous claimCheck', claimCheck(async ({ sub }) => sub === 'bob')],
    ['claimEquals', claimEquals('sub', 'bob')],
    ['claimIncludes', claimIncludes(`${namespace}roles`, 'admin')],
  ])('%s that does not fit: 403 and no error that blames the token', async (_, guard) => {
    const checked = await guarded(guard);
    const { status, challenge, error } = await checked.get(good());
    expect([status, error]).toEqual([403, undefined]);
    expect(challenge).toBe(`Bearer realm="${audience}"`);
    const fits = good({ sub: 'bob', [`${namespace}roles`]: ['admin'] });
    expect((await checked.get(fits)).status).toBe(200);
  });

  test('a machine whose sub is spelled like its client_id is a subject like others (RFC 9068 §5)', async () => {
    proves('RFC 9068 §5 subject');
    const { body } = await api.get(
      good({ sub: 'web', client_id: 'web', gty: 'client-credentials' }),
    );
    expect(JSON.parse(body)).toMatchObject({ payload: { sub: 'web', client_id: 'web' } });
  });

  test('guards without auth reject every request', async () => {
    for (const guard of [requiredScopes('a'), claimCheck(() => true)]) {
      const bare = await serve(new Koa().use(guard));
      open.push(bare);
      expect((await bare.get(good({ scope: 'a' }))).status).toBe(401);
    }
  });
});

describe('custom claims', () => {
  const Claims = z.object({ roles: z.array(z.string()), org_id: z.string().optional() });

  test('come out typed and checked, behind @koa/router', async () => {
    const router = new Router();
    router.get('/roles', auth({ ...options(), claims: { namespace, schema: Claims } }), (ctx) => {
      const { roles, org_id }: z.infer<typeof Claims> = ctx.state.auth.claims;
      // @ts-expect-error the schema knows no such claim
      expect(ctx.state.auth.claims.other).toBeUndefined();
      ctx.body = { first: roles[0]?.toUpperCase(), org_id, sub: ctx.state.auth.payload.sub };
    });
    const app = new Koa();
    app.use(router.routes());
    const routed = await serve(app);
    open.push(routed);
    const claims = { [`${namespace}roles`]: ['admin'], [`${namespace}org_id`]: 'acme' };
    const { body } = await routed.get(good(claims), 'roles');
    expect(JSON.parse(body)).toEqual({ first: 'ADMIN', org_id: 'acme', sub: 'alice' });

    const misfit = await routed.get(good({ [`${namespace}roles`]: 'admin' }), 'roles');
    expect(misfit).toMatchObject({ status: 403, error: undefined });
    expect(misfit.body).not.toContain('roles');
    expect(routed.errors.at(-1)).toMatchObject({ detail: expect.stringContaining('roles') });
    // An unknown route needs no token to be unknown.
    expect((await routed.get(undefined, 'elsewhere')).status).toBe(404);
  });

  test('a schema that throws rejects the request, and its text is not public', async () => {
    const schema = z.object({}).transform(() => {
      throw new Error('broken within');
    });
    const broken = await start({ ...options(), claims: { namespace, schema } });
    const { status, body } = await broken.get(good());
    expect(status).toBe(500);
    expect(body).not.toContain('broken');
  });
});

describe('optional authentication', () => {
  test('a request without credentials is accepted without a user', async () => {
    const optional = await start({ ...options(), authRequired: false });
    for (const headers of [{}, { Authorization: 'Basic eDp5' }]) {
      const { status, body } = await optional.send(headers as Record<string, string>);
      expect([status, body]).toEqual([200, '{"anonymous":true}']);
    }
    expect((await optional.get(good())).body).toContain('alice');
  });

  test.each<[string, () => Record<string, string>, number]>([
    ['garbage', () => ({ Authorization: 'Bearer abc' }), 401],
    ['an expired token', () => ({ Authorization: `Bearer ${good({ exp: 1 })}` }), 401],
    ['a changed token', () => ({ Authorization: `Bearer ${good()}AAAA` }), 401],
    ['no token behind the scheme', () => ({ Authorization: 'Bearer' }), 400],
  ])('%s is refused all the same', async (_, headers, status) => {
    const optional = await start({ ...options(), authRequired: false });
    expect((await optional.send(headers())).status).toBe(status);
    expect((await optional.get(undefined, '?access_token=abc')).status).toBe(400);
  });

  test.each([
    ['requiredScopes', requiredScopes('a b'), 'scope="a b"'],
    ['scopeIncludesAny', scopeIncludesAny('a b'), 'scope="a b"'],
    ['requiredPermissions', requiredPermissions('a'), 'scope="a"'],
    ['requiredSignIn', requiredSignIn({ maxAge: 1 }), ''],
  ])('%s requires a token, and the challenges name what it needs', async (_, guard, scope) => {
    for (const dpop of [undefined, { baseURL: 'https://api.example.com' }]) {
      const optional = await start(
        { ...options(), authRequired: false, dpop },
        { behind: [guard] },
      );
      const { status, challenge } = await optional.get();
      expect([status, challenge?.includes('error')]).toEqual([401, false]);
      const schemes = challenge?.split(/(?=DPoP realm)/) ?? [];
      expect(schemes).toHaveLength(dpop ? 2 : 1);
      for (const each of schemes) expect(/scope="[^"]*"/.exec(each)?.[0] ?? '').toBe(scope);
    }
  });

  test('what an earlier middleware left in the state is not what the token says', async () => {
    const leftOver: Middleware = async (ctx, next) => {
      ctx.state.auth = { payload: { sub: 'admin', scope: 'admin' } } as never;
      await next();
    };
    const optional = await start(
      { ...options(), authRequired: false },
      { before: [leftOver], behind: [requiredScopes('admin')] },
    );
    expect((await optional.get()).status).toBe(401);
    expect((await optional.get(good({ scope: 'a' }))).status).toBe(403);
  });
});

describe('what lies before', () => {
  test('a secret or a cookie an earlier middleware or caller brought verifies nothing', async () => {
    const secret: Middleware = async (ctx, next) => {
      ctx.state.secret = 'a secret of thirty-two characters!';
      ctx.state.user = { sub: 'admin' };
      await next();
    };
    const started = await start(options(), { before: [secret] });
    expect((await started.get(good())).status).toBe(200);
    const forged = issuer.hostileTokens({ aud: audience })['another key under the right kid'];
    expect((await started.get(forged)).status).toBe(401);
    const cookie = { Authorization: `Bearer ${forged}`, Cookie: `token=${good()}` };
    expect((await started.send(cookie)).status).toBe(401);
  });
});

describe('errors of what lies behind pass through untouched', () => {
  const thrown: [string, unknown, number, string | null][] = [
    [
      'a 401 of its own',
      Object.assign(new Error('mine'), { status: 401, expose: true }),
      401,
      null,
    ],
    ['a 404', Object.assign(new Error('mine'), { status: 404, expose: true }), 404, null],
    ['a plain error', new Error('mine'), 500, null],
    ['a type error', new TypeError('mine'), 500, null],
    [
      'one with headers',
      Object.assign(new Error('mine'), { status: 429, headers: { 'Retry-After': '9' } }),
      429,
      null,
    ],
    [
      'one with a challenge of another scheme',
      Object.assign(new Error('mine'), { status: 401, headers: { 'WWW-Authenticate': 'Basic' } }),
      401,
      'Basic',
    ],
    [
      'one that looks like ours',
      { name: 'InvalidTokenError', status: 401, challenge: {} },
      500,
      null,
    ],
    ['a frozen one', Object.freeze(new Error('mine')), 500, null],
  ];

  test.each(thrown)('%s', async (_, error, status, challenge) => {
    const keys = JSON.stringify(Object.entries(error as object));
    let seen: unknown;
    let asItWas = false;
    const failing = await start(options(), {
      before: [
        async (_ctx, next) => {
          try {
            await next();
          } catch (caught) {
            seen = caught;
            asItWas = JSON.stringify(Object.entries(caught as object)) === keys;
            // Koa writes into the errors it answers with, so it gets a frozen one as a cause.
            throw Object.isFrozen(caught) ? new Error('frozen', { cause: caught }) : caught;
          }
        },
      ],
      behind: [
        () => {
          throw error;
        },
      ],
    });
    const answer = await failing.get(good());
    expect([answer.status, answer.challenge]).toEqual([status, challenge]);
    expect(seen).toBe(error);
    expect(asItWas).toBe(true);
  });

  test('headers of an AuthError are sent with the challenge', async () => {
    const failing = await guarded(() => {
      throw Object.assign(new AuthError('ERR_CLAIM_MISMATCH'), { headers: { 'X-Why': 'because' } });
    });
    const { status, headers, challenge } = await failing.get(good());
    expect([status, headers.get('x-why')]).toEqual([403, 'because']);
    expect(challenge).toBe(`Bearer realm="${audience}"`);
  });

  test('a route that answers with an error by itself is not spoken for', async () => {
    const failing = await guarded((ctx) => {
      ctx.status = 401;
      ctx.body = 'mine';
    });
    expect(await failing.get(good())).toMatchObject({ status: 401, challenge: null, body: 'mine' });
  });
});

describe('auth within auth: the inner one answers, and reports once', () => {
  async function startNested(behind: Middleware, innerOptions: object = {}) {
    const events: unknown[] = [];
    const onEvent = (event: { type: string }) => event.type === 'refused' && events.push(event);
    const inner = auth({ ...options(), realm: 'inner', onEvent, ...innerOptions });
    const outer = { ...options(), realm: 'outer', resourceMetadata, authRequired: false, onEvent };
    return { events, nested: await start(outer, { behind: [inner, behind] }) };
  }
  const constant = new AuthError('ERR_CLAIM_MISMATCH');

  test.each<[string, number, string, Middleware, object?]>([
    ['no token', 401, 'Bearer realm="inner"', () => {}],
    ['another audience', 401, 'Bearer realm="inner", error=', () => {}, { audience: 'https://b' }],
    ['a scope is missing', 403, 'Bearer realm="inner", error=', requiredScopes('write')],
    ['an error used again', 403, 'Bearer realm="inner"', () => Promise.reject(constant)],
  ])('%s: %d', async (name, status, challenge, behind, innerOptions = {}) => {
    const { events, nested } = await startNested(behind, innerOptions);
    for (const count of [1, 2]) {
      const answer = await nested.get(name === 'no token' ? undefined : good());
      expect(answer).toMatchObject({ status, challenge: expect.stringContaining(challenge) });
      expect(answer.challenge).not.toContain('resource_metadata');
      expect(events).toHaveLength(count);
    }
  });

  test('a failure of the outer one is its own', async () => {
    const { events, nested } = await startNested(() => {});
    const { status, challenge } = await nested.get('abc');
    expect([status, challenge]).toEqual([401, expect.stringContaining('realm="outer"')]);
    expect(events).toHaveLength(1);
  });
});

describe('answers are safe whatever the token or the options held', () => {
  const nasty = 'a"\\\r\nSet-Cookie: x=y\u0000\u007fé😀';

  test.each<[string, object, object]>([
    ['kid', { kid: nasty }, {}],
    ['alg', { alg: nasty }, {}],
    ['typ', { typ: nasty }, {}],
    ['iss', {}, { iss: nasty }],
    ['aud', {}, { aud: nasty }],
    ['a name of a claim', {}, { [nasty]: 1, sub: 5 }],
    ['crit', { crit: [nasty] }, {}],
  ])('%s of any bytes: a plain 401 that repeats none of them', async (_, header, claims) => {
    const token = issuer.token(
      { sub: 'alice', aud: audience, ...claims },
      header as Record<string, unknown>,
    );
    const answer = await api.get(token);
    expect([answer.status, answer.error]).toEqual([401, 'invalid_token']);
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(answer.challenge).toMatch(/^Bearer [\x20-\x5b\x5d-\x7e]+$/);
    expect(`${answer.challenge}${answer.body}`).not.toMatch(/Set-Cookie|key-1|RS256/);
    expect((await api.get(good())).status).toBe(200);
  });

  test('a realm and a scope of any characters make a header that can be sent', async () => {
    const odd = await start(
      { ...options(), realm: nasty },
      { behind: [claimEquals('sub', nasty), requiredScopes('é')] },
    );
    expect((await odd.get()).challenge).toMatch(/^Bearer realm="a'\?\?\?Set-Cookie: x=y\?+"$/);
    expect((await odd.get(good())).status).toBe(403);
    expect((await odd.get(good({ sub: nasty }))).challenge).toContain('scope="?"');
  });

  test('no error holds the token', async () => {
    const token = good({ exp: 1 });
    await api.get(token);
    const error = api.errors.at(-1) as Error & { detail?: string };
    const text = JSON.stringify([error, error.message, error.detail, error.stack]);
    for (const part of token.split('.')) expect(text).not.toContain(part);
  });

  test('each refused request has an error of its own', async () => {
    const before = api.errors.length;
    await Promise.all([api.get('abc'), api.get('abc'), api.get(), api.get()]);
    expect(new Set(api.errors.slice(before)).size).toBe(4);
  });
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('random Authorization headers: no 200, no 5xx, and nothing kept of them', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const token = good();
  const latin1 = fc.constantFrom(
    ...['\t', ' ', '"', '\\', '.', '=', '-', ',', '{', '}'],
    ...Array.from('abcXYZ019_/+~é¿ÿ\u0080'),
  );
  const text = fc.array(latin1, { maxLength: 60 }).map((letters) => letters.join(''));
  const base64url = (value: string) => Buffer.from(value).toString('base64url');
  const json = fc.oneof(
    fc.json({ maxDepth: 2 }),
    fc
      .record(
        {
          alg: fc.constantFrom('RS256', 'none', 'HS256', 'ES256', 5),
          typ: fc.constantFrom('at+jwt', 'JWT', null),
          kid: fc.oneof(fc.constant('key-1'), fc.string(), fc.jsonValue()),
          iss: fc.constantFrom(issuer.issuer, 'https://evil.example/'),
          sub: fc.oneof(fc.string(), fc.jsonValue()),
          aud: fc.constantFrom(audience, [audience], [{}, audience], null),
          exp: fc.constantFrom(4e9, 1, '4e9', -1),
        },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
  );
  const compact = fc
    .tuple(json, json, fc.oneof(fc.string(), fc.constant(token.split('.')[2] as string)))
    .map(([h, p, s]) => `Bearer ${base64url(h)}.${base64url(p)}.${s.replace(/[^\w-]/g, '')}`);
  const changed = fc
    .tuple(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_.=~'), fc.nat(2))
    .map(([at, letter, cut]) => token.slice(0, at) + letter + token.slice(at + cut))
    .filter((value) => value !== token)
    .map((value) => `Bearer ${value}`);
  const header = fc.oneof(
    text,
    text.map((value) => `Bearer ${value}`),
    compact,
    changed,
  );

  const send = (value: string) =>
    new Promise<number>((resolve, reject) => {
      request(api.url, { agent, headers: { Authorization: value } }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      })
        .on('error', reject)
        .end();
    });
  const seen = new Set<number>();
  const heap: number[] = [];
  const all = casesOf(100);
  const early = all / 5;
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(header, { minLength: 100, maxLength: 100 }), async (values) => {
      for (const status of await Promise.all(values.map(send))) {
        seen.add(status);
        expect([400, 401]).toContain(status);
      }
      api.errors.length = 0;
      runs += 1;
      if (runs !== early && runs !== all) return;
      collectGarbage();
      heap.push(process.memoryUsage().heapUsed);
    }),
    { seed: 6750, numRuns: all, endOnFailure: true },
  );
  expect([...seen].sort()).toEqual([400, 401]);
  expect(heap).toHaveLength(2);
  const [before = 0, after = 0] = heap;
  expect(after - before).toBeLessThan(4 * 2 ** 20);
  expect(await send(`Bearer ${token}`)).toBe(200);
  agent.destroy();
});
