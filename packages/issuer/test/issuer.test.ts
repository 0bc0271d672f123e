import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { passTimeouts } from '../../../test/support/pass-timeouts.ts';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { checkMetadata } from '../src/authorization-server-metadata.ts';
import { InvalidOptions, type IssuerError } from '../src/errors.ts';
import { createIssuer, type Issuer, type IssuerOptions } from '../src/issuer.ts';
import { publicJwk } from '../src/testing/test-key.ts';
import { startTestIssuer, type TestIssuer, type TestKey } from '../src/testing.ts';

const keys: TestKey[] = [testKey({ kid: 'one' }), testKey({ kid: 'two' }, 1)];
const METADATA = '/.well-known/openid-configuration';
const OTHER_METADATA = '/.well-known/oauth-authorization-server';
const JWKS = '/.well-known/jwks.json';
const MINUTE = 60_000;
const one = { alg: 'RS256', kid: 'one' };
const two = { alg: 'RS256', kid: 'two' };

let server: TestIssuer;
let clock: number;
let issuer: Issuer;
beforeEach(async () => {
  server = await startTestIssuer({ keys: [keys[0]!] });
  clock = 1_000_000_000_000;
  issuer = create();
});
afterEach(() => server.close());

function zeroBefore(n: string): string {
  return Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')]).toString('base64url');
}

function create(options: Partial<IssuerOptions> = {}): Issuer {
  return createIssuer({ issuerBaseURL: server.issuer, monotonicNow: () => clock, ...options });
}

describe('options', () => {
  test.each([undefined, null, {}])('that are %p: what is missing is named', (options) => {
    expect(() => createIssuer(options as never)).toThrow(InvalidOptions);
    expect(() => createIssuer(options as never)).toThrow(/^issuerBaseURL must /);
  });

  test('all faults are named at once', () => {
    const make = () =>
      createIssuer({
        issuerBaseURL: 'http://example.com',
        timeout: 0,
        maxStale: -1,
        cooldown: NaN,
      });
    expect(make).toThrow(InvalidOptions);
    for (const name of ['issuerBaseURL', 'timeout', 'maxStale', 'cooldown']) {
      expect(make).toThrow(new RegExp(`\\b${name} must `));
    }
  });

  test.each([
    { timeout: Number.POSITIVE_INFINITY },
    { timeout: '5000' as never },
    { timeout: 2 ** 31 },
    { cooldown: '10' as never },
    { cooldown: Number.NaN },
    { maxStale: null as never },
    { timeuot: 5000 as never },
    { http: { prxy: false } as never },
  ])('%p cannot work', (options) => {
    expect(() => create(options)).toThrow(InvalidOptions);
  });

  test.each([{ cooldown: 0 }, { maxStale: 0 }, { timeout: 1 }])('%p can', (options) => {
    expect(create(options).issuerBaseURL).toBe(server.issuer);
  });
});

test('nothing is asked before it is needed, and a cold burst asks once for each document', async () => {
  expect(server.requests).toEqual([]);
  const found = await Promise.all(Array.from({ length: 200 }, () => issuer.signingKey(one)));
  expect(new Set(found).size).toBe(1);
  expect(found[0]?.key.equals(keys[0]!.publicKey)).toBe(true);
  expect(server.requests).toEqual([METADATA, JWKS]);
});

test('ready() fetches what is not held, once, and says so when it can’t', async () => {
  server.goDown();
  await expect(issuer.ready()).rejects.toMatchObject({
    status: 503,
    code: 'ERR_ISSUER_UNAVAILABLE',
  });
  server.comeBack();
  clock += 3000;
  server.requests.length = 0;
  await issuer.ready();
  await issuer.ready();
  await issuer.signingKey(one);
  expect(server.requests).toEqual([METADATA, JWKS]);
  server.goDown();
  clock += 9 * MINUTE;
  await issuer.ready();
});

test('the metadata is given out as the server has it, slash included', async () => {
  issuer = create({ issuerBaseURL: server.issuer.slice(0, -1) });
  expect((await issuer.metadata()).issuer).toBe(server.issuer);
});

test('a rotation: the first header with the new key finds it', async () => {
  const before = await issuer.signingKey(one);
  server.keys.splice(0, 1, keys[1]!);
  expect(await issuer.signingKey(two)).toMatchObject({ kid: 'two' });
  expect(issuer.hasKey(before)).toBe(false);
  expect(server.requests).toEqual([METADATA, JWKS, JWKS]);
});

test('keys of one issuer never serve another (RFC 8725 §3.8)', async () => {
  proves('RFC 8725 §3.8 issuer');
  const other = await startTestIssuer({ keys: [testKey({ kid: 'one' }, 2)] });
  const fromOther = await createIssuer({ issuerBaseURL: other.issuer }).signingKey(one);
  const ours = await issuer.signingKey(one);
  expect(ours.key.equals(fromOther.key)).toBe(false);
  expect(issuer.hasKey(fromOther)).toBe(false);
  await other.close();
});

test('metadata that names another issuer is rejected, and its keys are never fetched', async () => {
  proves('RFC 9700 §2.6 metadata', 'ASVS 10.5.3', 'FAPI 2.0 §5.3.3.1-11');
  server.fault = (_, response) =>
    response.end(JSON.stringify({ issuer: 'http://127.0.0.1:1/', jwks_uri: server.issuer }));
  await expect(issuer.signingKey(one)).rejects.toMatchObject({ code: 'ERR_INVALID_METADATA' });
  expect(server.requests).toEqual([METADATA, OTHER_METADATA]);
});

describe('the wall clock is set back by a day', () => {
  const DAY = 24 * 60 * MINUTE;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask'] });
    issuer = createIssuer({ issuerBaseURL: server.issuer });
  });
  afterEach(() => {
    jest.useRealTimers();
  });
  const setBack = () => jest.setSystemTime(Date.now() - DAY);

  test('keys do not live on: they are fetched again when they have expired', async () => {
    await issuer.signingKey(one);
    server.rotate({ key: keys[1]!, dropOld: true });
    setBack();
    jest.advanceTimersByTime(10 * MINUTE);
    await expect(issuer.signingKey(one)).rejects.toMatchObject({
      code: 'ERR_SIGNING_KEY_NOT_FOUND',
    });
  });

  test('what failed is tried again, and an unknown key looked for', async () => {
    server.goDown();
    await expect(issuer.signingKey(one)).rejects.toMatchObject({ status: 503 });
    setBack();
    server.comeBack();
    jest.advanceTimersByTime(3000);
    expect(await issuer.signingKey(one)).toMatchObject({ kid: 'one' });

    await expect(issuer.signingKey(two)).rejects.toMatchObject({
      code: 'ERR_SIGNING_KEY_NOT_FOUND',
    });
    server.rotate({ key: keys[1]! });
    setBack();
    jest.advanceTimersByTime(10_000);
    expect(await issuer.signingKey(two)).toMatchObject({ kid: 'two' });
  });
});

test('keys are old after a machine slept, whose monotonic clock stood still', async () => {
  let wall = Date.now();
  const sleeper = create({ now: () => wall });
  await sleeper.signingKey(one);
  const fetchesAfter = async (milliseconds: number) => {
    const { length } = server.requests;
    wall += milliseconds;
    await sleeper.signingKey(one);
    return server.requests.slice(length).filter((path) => path === JWKS).length;
  };
  expect(await fetchesAfter(-24 * 60 * MINUTE)).toBe(0);
  expect(await fetchesAfter(MINUTE)).toBe(0);
  expect(await fetchesAfter(10 * MINUTE)).toBe(1);
});

describe('an outage', () => {
  const down = (_: IncomingMessage, response: ServerResponse) => response.writeHead(503).end();

  test('keys held are used past their time, and not past the stale window', async () => {
    issuer = create({ maxStale: 60 * MINUTE });
    await issuer.signingKey(one);
    server.fault = down;
    for (const minutes of [1, 11, 30, 27]) {
      clock += minutes * MINUTE;
      expect(await issuer.signingKey(one)).toMatchObject({ kid: 'one' });
    }
    clock += MINUTE;
    await expect(issuer.signingKey(one)).rejects.toMatchObject({ code: 'ERR_ISSUER_UNAVAILABLE' });
    await expect(issuer.metadata()).rejects.toMatchObject({ status: 503 });
    server.fault = undefined;
    clock += 2000;
    expect(await issuer.signingKey(one)).toMatchObject({ kid: 'one' });
  });

  test('cold: 503, asked again at most every back-off step, and good again within 3 s', async () => {
    server.fault = down;
    await expect(issuer.signingKey(one)).rejects.toMatchObject({
      status: 503,
      headers: { 'Retry-After': '2' },
    });
    const burst = Array.from({ length: 100 }, () => issuer.signingKey(one).catch(() => 'down'));
    expect(new Set(await Promise.all(burst))).toEqual(new Set(['down']));
    expect(server.requests).toEqual([METADATA, OTHER_METADATA]);
    for (let i = 0; i < 10; i += 1) {
      clock += 5000;
      await issuer.signingKey(one).catch(() => {});
    }
    server.fault = undefined;
    clock += 2_000;
    // Both documents must come back; a client told to retry after 2 s finds them.
    expect(await issuer.signingKey(one)).toMatchObject({ kid: 'one' });
  });

  test('each caller gets an error of its own: what one handler writes the next does not see', async () => {
    server.fault = down;
    const errors = await Promise.all(
      [1, 2].flatMap(() => [
        issuer.signingKey(one).catch((error: unknown) => error),
        issuer.metadata().catch((error: unknown) => error),
      ]),
    );
    errors.push(await issuer.metadata().catch((error: unknown) => error));
    expect(new Set(errors).size).toBe(5);
    for (const error of errors) {
      expect(error).toMatchObject({
        code: 'ERR_ISSUER_UNAVAILABLE',
        detail: expect.stringContaining('503'),
      });
    }
    expect(new Set(errors.map((error) => (error as IssuerError).headers)).size).toBe(5);
  });

  test('what is wrong with the metadata stays ERR_INVALID_METADATA for each', async () => {
    server.fault = (_, response) => response.end('{}');
    await expect(issuer.metadata()).rejects.toMatchObject({ code: 'ERR_INVALID_METADATA' });
    await expect(issuer.metadata()).rejects.toMatchObject({ code: 'ERR_INVALID_METADATA' });
  });
});

describe('a key set that', () => {
  const endless = (response: ServerResponse) => {
    const chunk = Buffer.alloc(64 * 1024, ' ');
    const write = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', write);
    write();
  };
  const CUT = 'is cut';
  const faults: [string, (request: IncomingMessage, response: ServerResponse) => void][] = [
    ['stalls', () => {}],
    ['stalls in its body', (_, response) => response.writeHead(200).write('{"keys":[')],
    [CUT, (request) => request.socket.destroy()],
    ['never ends', (_, response) => endless(response)],
    ['is HTML', (_, response) => response.end('<!doctype html>')],
    ['is empty', (_, response) => response.end('{"keys":[]}')],
    ['is no set', (_, response) => response.end('{}')],
    ['redirects', (_, response) => response.writeHead(302, { Location: JWKS }).end()],
    ['is missing', (_, response) => response.writeHead(404).end()],
  ];

  test.each(faults)('%s: 503 cold, and good keys are used on', async (name, fault) => {
    const cold = create();
    await Promise.all([issuer.signingKey(one), cold.metadata()]);
    const documents = server.requests.length;
    server.fault = fault;
    if (name.startsWith('stalls')) passTimeouts(server);
    await expect(cold.signingKey(one)).rejects.toMatchObject({ code: 'ERR_ISSUER_UNAVAILABLE' });
    // A reused connection that is gone is replaced once (RFC 9112 §9.3.1).
    expect(server.requests.slice(documents)).toEqual(name === CUT ? [JWKS, JWKS] : [JWKS]);
    clock += 11 * MINUTE;
    expect(await issuer.signingKey(one)).toMatchObject({ kid: 'one' });
    jest.useRealTimers();
    server.fault = undefined;
    clock += 3000;
    expect(await cold.signingKey(one)).toMatchObject({ kid: 'one' });
  });
});

describe('addresses', () => {
  const outer = 'https://sso.example.com/realms/acme';

  /** Has the test issuer name another identifier, as one that is reached by an inner address does. */
  function nameOuter(jwks_uri = `${server.issuer}certs`) {
    server.fault = ({ url }, response) => {
      const keySet = { keys: keys.slice(0, 1).map(publicJwk) };
      const isKeySet = url === '/certs' || url?.endsWith(JWKS);
      response.end(JSON.stringify(isKeySet ? keySet : { issuer: outer, jwks_uri }));
    };
  }

  test('the metadata may be elsewhere, if it names the identifier', async () => {
    nameOuter();
    const metadataURL = `${server.issuer}inner/metadata?p=b2c`;
    issuer = create({ issuerBaseURL: outer, metadataURL });
    expect(await issuer.signingKey(one)).toMatchObject(one);
    expect((await issuer.metadata()).issuer).toBe(outer);
    expect(server.requests).toEqual(['/inner/metadata?p=b2c', '/certs']);
    const other = create({ issuerBaseURL: 'https://sso.example.com/realms/other', metadataURL });
    await expect(other.signingKey(one)).rejects.toMatchObject({ code: 'ERR_INVALID_METADATA' });
  });

  test('without it an inner address is refused, because it names another issuer', async () => {
    nameOuter();
    await expect(create().signingKey(one)).rejects.toMatchObject({ code: 'ERR_INVALID_METADATA' });
  });

  test('the keys may be elsewhere, and no metadata is fetched', async () => {
    nameOuter();
    issuer = create({ issuerBaseURL: outer, jwksURL: `${server.issuer}certs` });
    await issuer.ready();
    expect(await issuer.signingKey(one)).toMatchObject(one);
    expect(await issuer.metadata()).toEqual({ issuer: outer, jwks_uri: `${server.issuer}certs` });
    expect(server.requests).toEqual(['/certs']);
  });

  test.each<[string, (n: string) => object]>([
    ['padding', (n) => ({ n: `${n}==` })],
    ['a zero before the modulus', (n) => ({ n: zeroBefore(n) })],
    ['members that are null', () => ({ use: null, key_ops: null, x5t: null })],
  ])('a key set given can have %s, as one that is fetched', async (_, change) => {
    const [jwk] = keys.map(publicJwk);
    const jwks = { keys: [{ ...jwk, ...change(String(jwk?.n)) }] };
    issuer = create({ jwks });
    expect(await issuer.signingKey(one)).toMatchObject(one);
    server.fault = (_, response) => response.end(JSON.stringify(jwks));
    issuer = create({ jwksURL: `${server.issuer}certs` });
    expect(await issuer.signingKey(one)).toMatchObject(one);
  });

  test('a key set given needs no network', async () => {
    issuer = create({ jwks: { keys: [{ kty: 'oct', k: 'x' }, ...keys.map(publicJwk)] } });
    await issuer.ready();
    expect(await issuer.signingKey(two)).toMatchObject(two);
    expect(await issuer.metadata()).toEqual({ issuer: server.issuer });
    const unknown = { alg: 'RS256', kid: 'x' };
    await expect(issuer.signingKey(unknown)).rejects.toMatchObject({
      code: 'ERR_SIGNING_KEY_NOT_FOUND',
    });
    clock += 24 * 60 * MINUTE;
    expect(await issuer.signingKey(two)).toMatchObject(two);
    expect(server.requests).toEqual([]);
  });

  test('http is accepted on loopback, and on any host with unsafeAllowHTTP', async () => {
    const inside = 'http://keycloak:8080/realms/acme';
    const document = { issuer: inside, jwks_uri: `${inside}/certs` };
    expect(() => create({ issuerBaseURL: inside })).toThrow(/^issuerBaseURL must use https/);
    create({ issuerBaseURL: inside, unsafeAllowHTTP: true });
    expect(checkMetadata({ issuerBaseURL: inside, unsafeAllowHTTP: true }, document)).toBe(
      document,
    );
    expect(() => checkMetadata({ issuerBaseURL: inside }, document)).toThrow();
    // An outer identifier with inner addresses.
    const rules = {
      issuerBaseURL: outer,
      metadataURL: `${inside}/metadata`,
      unsafeAllowHTTP: true,
    };
    const mixed = { ...document, issuer: outer };
    expect(checkMetadata(rules, mixed)).toBe(mixed);
    expect(() => checkMetadata({ ...rules, unsafeAllowHTTP: false }, mixed)).toThrow();
  });

  test('localhost with the dot of the root is loopback', async () => {
    const issuerBaseURL = server.issuer.replace('127.0.0.1', 'localhost.');
    server.fault = ({ url }, response) => {
      const keySet = { keys: keys.slice(0, 1).map(publicJwk) };
      const metadata = { issuer: issuerBaseURL, jwks_uri: `${issuerBaseURL}certs` };
      response.end(JSON.stringify(url === '/certs' ? keySet : metadata));
    };
    expect(await create({ issuerBaseURL }).signingKey(one)).toMatchObject(one);
  });

  const jwk = publicJwk(keys[0]!);
  const cyclic: Record<string, unknown> = { keys: [jwk] };
  cyclic.self = cyclic;
  test.each<[string, object, string]>([
    ['metadata over http', { metadataURL: 'http://keycloak/metadata' }, 'metadataURL must'],
    ['metadata at a path', { metadataURL: '/metadata' }, 'metadataURL must'],
    ['keys with a password', { jwksURL: 'https://a:b@example.com/' }, 'jwksURL must'],
    ['keys as a file', { jwksURL: 'file:///keys.json' }, 'jwksURL must'],
    ['keys with a fragment', { jwksURL: 'https://example.com/#keys' }, 'jwksURL must'],
    ['two places', { jwksURL: 'https://example.com/', jwks: { keys: [jwk] } }, 'only one of'],
    ['no key', { jwks: { keys: [] } }, 'jwks must'],
    ['a list of keys', { jwks: [jwk] }, 'jwks must'],
    ['a key with a BigInt', { jwks: { keys: [{ ...jwk, x: 1n }] } }, 'jwks must be JSON'],
    ['a key set in a cycle', { jwks: cyclic }, 'jwks must be JSON'],
    ['a function', { jwks: () => {} }, 'jwks must'],
    ['a private key', { jwks: { keys: [{ ...jwk, d: 'x' }] } }, 'private or symmetric key'],
    ['a shared secret', { jwks: { keys: [{ kty: 'oct', k: 'x' }] } }, 'private or symmetric key'],
    ['null', { jwks: null }, 'jwks must'],
    ['unsafeAllowHTTP as text', { unsafeAllowHTTP: 'false' }, 'unsafeAllowHTTP must'],
    [
      'an option as text does not allow http',
      { issuerBaseURL: 'http://keycloak/', unsafeAllowHTTP: 'yes' },
      'issuerBaseURL must use https',
    ],
  ])('%s cannot work', (_, options, text) => {
    expect(() => create(options)).toThrow(InvalidOptions);
    expect(() => create(options)).toThrow(text);
  });
});
