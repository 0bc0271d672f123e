import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createIssuer, InvalidOptions } from '@koa-oauth/issuer';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import fc from 'fast-check';
import { z } from 'zod';
import { webUrl } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import { auth, createAccessTokenVerifier, type IssuerResolver } from '../../src/index.ts';
import { type AuthOptions, checkOptions } from '../../src/options.ts';
import type { ResolvedIssuers } from '../../src/token/issuer-resolver.ts';
import type { TrustedIssuerOptions } from '../../src/token/trusted-issuer.ts';
import { startApi } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];
/** All keys have the same `kid`. */
const KEYS = {
  a: testKey({ kid: 'same' }),
  b: testKey({ kid: 'same' }, 1),
  c: testKey({ kid: 'same', alg: 'ES256' }),
};

let servers: Record<Name, TestIssuer>;
beforeEach(async () => {
  const start = (name: Name) => startTestIssuer({ keys: [KEYS[name]] });
  servers = { a: await start('a'), b: await start('b'), c: await start('c') };
});
afterEach(async () => {
  for (const server of Object.values(servers)) await server.close();
});

const listed = (...names: readonly Name[]): TrustedIssuerOptions<unknown>[] =>
  names.map((name) => ({ issuerBaseURL: servers[name].issuer }));
const verifier = (options: Partial<AuthOptions<unknown>>) =>
  createAccessTokenVerifier({ audience, onEvent: () => {}, ...options } as never);
const token = (name: Name, claims: object = {}, key = KEYS[name]) =>
  servers[name].token({ sub: 'alice', aud: audience, jti: 'j', ...claims }, {}, key);
/** Returns `accepted`, or the reason or code of the refusal. */
const outcome = (verified: Promise<unknown>): Promise<string> =>
  verified.then(
    () => 'accepted',
    (error) => (error.status === 401 ? error.reason : `${error.status} ${error.code}`),
  );
const requests = () => NAMES.map((name) => servers[name].requests.length);

describe('a list of issuers', () => {
  test('lets in tokens of each, and says which it was', async () => {
    const verify = verifier({ issuers: listed('a', 'b', 'c') });
    for (const name of NAMES) {
      const { issuer, payload } = await verify(token(name));
      expect([issuer, payload.sub]).toEqual([servers[name].issuer, 'alice']);
    }
  });

  test('the state of a request has the issuer', async () => {
    const api = await startApi({ audience, issuers: listed('a', 'b') });
    const { body } = await api.get(token('b'));
    expect(JSON.parse(body).issuer).toBe(servers.b.issuer);
    await api.close();
  });

  test('a key of one never verifies a token of another', async () => {
    proves('RFC 8725 §3.8 issuer');
    const verify = verifier({ issuers: listed('a', 'b', 'c') });
    const name = fc.constantFrom(...NAMES);
    await fc.assert(
      fc.asyncProperty(name, name, fc.boolean(), fc.boolean(), async (iss, by, slash, kid) => {
        const key = KEYS[by];
        const claims = { iss: servers[iss].issuer, sub: 'alice', aud: audience, jti: 'j' };
        const signed = servers[by].token(
          { ...claims, ...(slash && { iss: claims.iss.slice(0, -1) }) },
          { kid: kid ? key.kid : undefined },
          key,
        );
        const isRight = iss === by && !slash;
        const found = await outcome(verify(signed));
        if (isRight) expect(found).toBe('accepted');
        else expect(['signature', 'key', 'issuer']).toContain(found);
      }),
      { numRuns: 100 },
    );
  });

  test('an unknown issuer causes no request at all', async () => {
    const verify = verifier({ issuers: listed('a', 'b') });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          webUrl,
          fc.string(),
          fc.constantFrom(servers.c.issuer, `${servers.a.issuer}x`, `${servers.a.issuer}/`),
        ),
        async (iss) => {
          expect(await outcome(verify(token('c', { iss })))).toBe('issuer');
        },
      ),
      { numRuns: 100 },
    );
    for (const iss of [undefined, null, 5, [servers.a.issuer], {}]) {
      expect(await outcome(verify(token('c', { iss })))).toBe('claim');
    }
    expect(requests()).toEqual([0, 0, 0]);
  });

  test('only the issuer of the token is asked', async () => {
    await verifier({ issuers: listed('a', 'b', 'c') })(token('b'));
    expect(requests()).toEqual([0, 2, 0]);
  });

  test('one that is down answers 503 for its own tokens, and leaves the others alone', async () => {
    const verify = verifier({ issuers: listed('a', 'b') });
    servers.a.goDown();
    expect(await outcome(verify(token('a')))).toBe('503 ERR_ISSUER_UNAVAILABLE');
    expect(await outcome(verify(token('b')))).toBe('accepted');
    servers.a.comeBack();
  });

  test('each has rules of its own, or those of all', async () => {
    const schema = z.object({ plan: z.string() });
    const claims = { namespace: 'https://a.example/', schema };
    const verify = createAccessTokenVerifier({
      audience,
      onEvent: () => {},
      issuers: [
        { issuerBaseURL: servers.a.issuer, audience: 'of-a', claims },
        { issuerBaseURL: servers.b.issuer, profile: 'auth0', scopeClaim: 'roles' },
        { issuer: createIssuer({ issuerBaseURL: servers.c.issuer }), algorithms: ['RS256'] },
      ],
    });
    const ofA = { aud: 'of-a', 'https://a.example/plan': 'free' };
    expect((await verify(token('a', ofA))).claims).toEqual({ plan: 'free' });
    expect(await outcome(verify(token('a', ofA)))).toBe('accepted');
    expect(await outcome(verify(token('a')))).toBe('audience');
    expect(await outcome(verify(token('b')))).toBe('type');
    const jwt = servers.b.token(
      { sub: 'bob', aud: audience, roles: ['read'] },
      { typ: 'JWT' },
      KEYS.b,
    );
    expect((await verify(jwt)).scopes).toEqual(['read']);
    expect(await outcome(verify(token('c')))).toBe('algorithm');
  });

  test('a cached token keeps the rules of its issuer', async () => {
    const now = () => clock;
    let clock = Date.now();
    const verify = verifier({ issuers: listed('a', 'b'), now });
    const value = token('b', { exp: clock / 1000 + 60 });
    for (let use = 0; use < 3; use += 1)
      expect((await verify(value)).issuer).toBe(servers.b.issuer);
    servers.b.rotate({ key: testKey({ kid: 'new' }, 2), dropOld: true });
    clock += 200_000;
    expect(await outcome(verify(value))).toBe('expired');
  });

  test('needs no network with the keys of each', async () => {
    const { publicKey } = KEYS.c;
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'same', alg: 'ES256' };
    const verify = verifier({
      issuers: [...listed('a'), { issuerBaseURL: servers.c.issuer, jwks: { keys: [jwk] } }],
    });
    expect(await outcome(verify(token('c')))).toBe('accepted');
    expect(await outcome(verify(token('c', { iss: servers.c.issuer.slice(0, -1) })))).toBe(
      'issuer',
    );
    expect(requests()).toEqual([0, 0, 0]);
  });

  test('each tenant of a list is an issuer', async () => {
    const { port } = new URL(servers.a.issuer);
    servers.a.fault = ({ url = '' }, response) => {
      const issuer = `http://localhost:${port}${url.slice(0, url.indexOf('/v2.0') + 5)}`;
      const jwk = { ...KEYS.a.publicKey.export({ format: 'jwk' }), kid: 'same', alg: 'RS256' };
      const metadata = { issuer, jwks_uri: `${issuer}/keys` };
      response.end(JSON.stringify(url.endsWith('/keys') ? { keys: [jwk] } : metadata));
    };
    const issuerBaseURL = `http://localhost:${port}/{tenantid}/v2.0`;
    const verify = verifier({ issuerBaseURL, tenants: ['t-1', 't-2'] });
    const of = (tenant: string) => token('a', { iss: issuerBaseURL.replace('{tenantid}', tenant) });
    expect((await verify(of('t-1'))).issuer).toBe(`http://localhost:${port}/t-1/v2.0`);
    expect(await outcome(verify(of('t-2')))).toBe('accepted');
    expect(await outcome(verify(of('t-3')))).toBe('issuer');
    expect(await outcome(verify(of('{tenantid}')))).toBe('issuer');
    expect(servers.a.requests.filter((path) => path.includes('t-3'))).toEqual([]);
  });

  test.each<[string, () => object, string]>([
    ['an empty list', () => ({ issuers: [] }), 'issuers must be'],
    ['an address', () => ({ issuers: servers.a.issuer }), 'issuers must be'],
    ['one twice', () => ({ issuers: listed('a', 'b', 'a') }), 'twice'],
    ['a wrong one', () => ({ issuers: [{ issuerBaseURL: 'http://a.example' }] }), 'issuers[0]: '],
    ['a null', () => ({ issuers: [null] }), 'issuers[0]: '],
    ['an unknown name', () => ({ issuers: [{ ...listed('a')[0], typo: 1 }] }), 'unknown: typo'],
    ['an issuer too', () => ({ ...listed('a')[0], issuers: listed('b') }), 'issuerBaseURL'],
    ['no audience', () => ({ audience: undefined, issuers: listed('a') }), 'audience'],
    [
      'a function without audience',
      () => ({ audience: undefined, issuers: () => undefined }),
      'realm',
    ],
    ['fapi2 of one alone', () => ({ issuers: [{ ...listed('a')[0], profile: 'fapi2' }] }), 'fapi2'],
    ['tenants without a place', () => ({ ...listed('a')[0], tenants: ['t'] }), '{tenantid}'],
    [
      'any tenant',
      () => ({ issuerBaseURL: 'https://login.example.com/{tenantid}/', tenants: ['common'] }),
      'tenants must',
    ],
    [
      'a tenant that is a path',
      () => ({ issuerBaseURL: 'https://login.example.com/{tenantid}/', tenants: ['../x'] }),
      'tenants must',
    ],
    ['an empty scopeClaim', () => ({ ...listed('a')[0], scopeClaim: '' }), 'scopeClaim must'],
    ['a text', () => ({ ...listed('a')[0], subRequired: 'no' }), 'subRequired must'],
    [
      'addresses of an issuer that is made',
      () => ({
        issuer: createIssuer({ issuerBaseURL: servers.a.issuer }),
        jwksURL: 'https://x.example',
      }),
      'jwksURL is an option of createIssuer',
    ],
  ])('%s stops the start', (_, options, text) => {
    const make = () => auth({ audience, ...options() } as never);
    expect(make).toThrow(InvalidOptions);
    expect(make).toThrow(text);
  });
});

describe('a resolver of issuers', () => {
  const known = jest.fn<IssuerResolver<unknown, unknown>>();
  const resolving = (resolve: IssuerResolver<unknown, never> = known) =>
    verifier({ issuers: resolve as never, unsafeAllowHTTP: true });
  beforeEach(() => {
    known.mockReset();
    known.mockImplementation((iss) => {
      const found = NAMES.find((name) => servers[name].issuer === iss);
      return found && { issuerBaseURL: servers[found].issuer };
    });
  });

  test('finds an issuer by a token and its request, and keeps its keys', async () => {
    const verify = resolving();
    const request = { headers: { authorization: `Bearer ${token('b')}` } };
    for (let use = 0; use < 4; use += 1) {
      expect((await verify(request)).issuer).toBe(servers.b.issuer);
    }
    expect(known).toHaveBeenCalledWith(servers.b.issuer, request);
    expect(requests()).toEqual([0, 2, 0]);
  });

  test.each<[string, IssuerResolver<unknown, { url: string }>]>([
    [
      'an audience for each request',
      (iss, { url }) => ({ issuerBaseURL: iss, audience: [audience, url] }),
    ],
    [
      'a new schema each time',
      (iss) => ({
        issuerBaseURL: iss,
        claims: { namespace: 'https://a.example/', schema: z.any() },
      }),
    ],
    ['a list of its own each time', (iss) => ({ issuerBaseURL: iss, audience: [audience] })],
  ])('with %s, keys are fetched once, also for forged tokens', async (_, resolve) => {
    const verify = resolving(((iss: string, request: { url: string }) =>
      iss === servers.a.issuer ? resolve(iss, request) : undefined) as never);
    for (let use = 0; use < 40; use += 1) {
      const signed = token('a', { jti: `${use}` }, use % 2 ? KEYS.b : KEYS.a);
      const headers = { authorization: `Bearer ${signed}` };
      const found = await outcome(verify({ headers, url: `/${use % 20}` }));
      expect(found).toBe(use % 2 ? 'signature' : 'accepted');
    }
    expect(requests()).toEqual([2, 0, 0]);
  });

  test('options with other addresses have keys of their own, also for the same issuer', async () => {
    const jwk = { ...KEYS.b.publicKey.export({ format: 'jwk' }), kid: 'same', alg: 'RS256' };
    const verify = resolving(((iss: string, { url }: { url: string }) =>
      iss === servers.a.issuer
        ? { issuerBaseURL: iss, ...(url === '/b' && { jwks: { keys: [jwk] } }) }
        : undefined) as never);
    const ask = (url: string, signed: string) =>
      outcome(verify({ url, headers: { authorization: `Bearer ${signed}` } }));
    const [own, foreign] = [token('a'), token('a', {}, KEYS.b)];
    for (let use = 0; use < 4; use += 1) {
      expect(await ask('/a', own)).toBe('accepted');
      expect(await ask('/b', own)).toBe('signature');
      expect(await ask('/b', foreign)).toBe('accepted');
      expect(await ask('/a', foreign)).toBe('signature');
    }
  });

  test('has the context of Koa', async () => {
    const hosts: string[] = [];
    const api = await startApi({
      audience,
      unsafeAllowHTTP: true,
      issuers(iss, ctx) {
        hosts.push(ctx.hostname);
        return known(iss, ctx);
      },
    });
    expect((await api.get(token('a'))).status).toBe(200);
    expect(new Set(hosts)).toEqual(new Set(['127.0.0.1']));
    await api.close();
  });

  test('a token of an issuer that it does not know is 401, without a request', async () => {
    known.mockReturnValue(undefined);
    const verify = resolving();
    for (const name of NAMES) expect(await outcome(verify(token(name)))).toBe('issuer');
    expect(requests()).toEqual([0, 0, 0]);
  });

  test('one that answers with the address in the token is refused, and nothing is fetched', async () => {
    const echoes: IssuerResolver<unknown, unknown>[] = [
      (iss) => ({ issuerBaseURL: iss }),
      async (iss) => ({ issuerBaseURL: `${iss}` }),
      (iss) => ({ issuer: createIssuer({ issuerBaseURL: iss, unsafeAllowHTTP: true }) }),
      (iss) => (iss.startsWith('http://127.0.0.1') ? { issuerBaseURL: iss } : undefined),
      (iss) => (iss.includes('127.0.0.1') ? { issuerBaseURL: iss } : undefined),
      (iss) => (/127\.0\.0\.1/.test(iss) ? { issuerBaseURL: iss, jwksURL: iss } : undefined),
    ];
    for (const echo of echoes) {
      const verify = resolving(echo as never);
      expect(await outcome(verify(token('a')))).toBe('503 ERR_ISSUERS_UNAVAILABLE');
    }
    expect(requests()).toEqual([0, 0, 0]);
  });

  test('one that ignores the issuer of the token lets in only the issuer that it returns', async () => {
    const verify = resolving(() => ({ issuerBaseURL: servers.a.issuer }));
    expect(await outcome(verify(token('a')))).toBe('accepted');
    expect(await outcome(verify(token('b')))).toBe('issuer');
    expect(requests()).toEqual([2, 0, 0]);
  });

  test('is asked only for https addresses of public names, of a bounded length', async () => {
    const verify = verifier({ issuers: known as never });
    const wrong = [
      ...['', 'a', 'http://tenant.example.com/', 'ftp://tenant.example.com/', 'file:///etc/passwd'],
      ...[
        'https://127.0.0.1/',
        'https://localhost/',
        'https://a.localhost/',
        'https://localhost./',
      ],
      ...[
        'https://10.0.0.1/',
        'https://169.254.169.254/',
        'https://2130706433/',
        'https://0x7f.1/',
      ],
      ...['https://[::1]/', 'https://[fd00::1]/', 'https://[::ffff:10.0.0.1]/', 'https://8.8.8.8/'],
      ...[
        'https://keycloak/',
        'https://db.internal/',
        'https://db.local/',
        'https://db.internal./',
      ],
      ...[
        'https://a:b@tenant.example.com/',
        'https://tenant.example.com/?a',
        'https://a.example/#',
      ],
      ...[' https://tenant.example.com/', `https://tenant.example.com/${'x'.repeat(512)}`],
      ...['https://tenant.example.com/.well-known/openid-configuration', servers.a.issuer],
    ];
    for (const iss of wrong)
      expect([iss, await outcome(verify(token('a', { iss })))]).toEqual([iss, 'issuer']);
    expect(await outcome(verify(token('a', { iss: 5 })))).toBe('claim');
    expect(known).not.toHaveBeenCalled();
    await outcome(verify(token('a', { iss: 'https://tenant.example.com/' })));
    expect(known).toHaveBeenCalledTimes(1);
  });

  test('one that fails, hangs or answers wrongly is 503', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    try {
      const wrong: unknown[] = [
        () => {
          throw new Error('the database is away');
        },
        async () => {
          throw new Error('the database is away');
        },
        () => 'https://tenant.example.com/',
        () => ({}),
        (iss: string) => ({ issuerBaseURL: iss, audience: '' }),
        (iss: string) => ({ issuerBaseURL: iss, typo: true }),
      ];
      for (const resolve of wrong) {
        expect(await outcome(resolving(resolve as never)(token('a')))).toBe(
          '503 ERR_ISSUERS_UNAVAILABLE',
        );
      }
      const hanging = outcome(resolving((() => new Promise(() => {})) as never)(token('a')));
      await jest.advanceTimersByTimeAsync(2001);
      expect(await hanging).toBe('503 ERR_ISSUERS_UNAVAILABLE');
    } finally {
      jest.useRealTimers();
    }
  });

  test('a change of its answer takes effect at once, also for a cached token', async () => {
    const verify = resolving();
    const value = token('a');
    for (let use = 0; use < 3; use += 1) await verify(value);
    known.mockReturnValue({ issuerBaseURL: servers.a.issuer, audience: 'another' });
    expect(await outcome(verify(value))).toBe('audience');
    known.mockReturnValue({ issuerBaseURL: servers.a.issuer });
    expect(await outcome(verify(value))).toBe('accepted');
    known.mockReturnValue(undefined);
    expect(await outcome(verify(value))).toBe('issuer');
  });

  test('an answer whose object changes later counts as a new answer', async () => {
    const options = { issuerBaseURL: servers.a.issuer, audience: [audience] };
    const verify = resolving((iss) => (iss === servers.a.issuer ? options : undefined));
    const value = token('a');
    for (let use = 0; use < 3; use += 1) await verify(value);
    options.audience[0] = 'another';
    expect(await outcome(verify(value))).toBe('audience');
  });

  test('requests at once make one issuer, and fetch once', async () => {
    const verify = resolving(async (iss) => known(iss, undefined) as never);
    const value = token('a');
    const all = await Promise.all(Array.from({ length: 20 }, () => outcome(verify(value))));
    expect(new Set(all)).toEqual(new Set(['accepted']));
    expect(requests()).toEqual([2, 0, 0]);
  });
});

test('of 1,500 tenants the last 1,000 are kept, with their keys, in less than 64 MiB', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const jwk = { ...KEYS.c.publicKey.export({ format: 'jwk' }), kid: 'same', alg: 'ES256' };
  const resolve = (iss: string) =>
    iss.includes('.invalid') ? undefined : { issuerBaseURL: iss, jwks: { keys: [jwk] } };
  const { issuers } = checkOptions({ audience, issuers: resolve } as AuthOptions<unknown>);
  const resolved = issuers as ResolvedIssuers<unknown>;
  const find = async (index: number) => {
    const { issuer } = await resolved.find(`https://t${index}.example.com/`, undefined);
    await issuer.ready();
  };
  await find(0);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 1; index < 1500; index += 1) await find(index);
  collect();
  expect(resolved.size).toBe(1000);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
});
