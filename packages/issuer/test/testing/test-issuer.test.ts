import { once } from 'node:events';
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { testKey } from '../../../../test/support/test-keys.ts';
import { createIssuer } from '../../src/issuer.ts';
import { startTestIssuer, type TestIssuer } from '../../src/testing/test-issuer.ts';
import { createTestKey, TEST_ALGORITHMS } from '../../src/testing/test-key.ts';
import { startIssuer } from '../../src/testing.ts';

const METADATA = '/.well-known/openid-configuration';
const JWKS = '/.well-known/jwks.json';
const one = testKey({ kid: 'one' });

let issuer: TestIssuer;
beforeEach(async () => {
  issuer = await startTestIssuer({ keys: [one] });
});
afterEach(() => issuer.close());

const ask = (path: string) => fetch(new URL(path, issuer.issuer));
const published = async () => ((await (await ask(JWKS)).json()) as { keys: object[] }).keys;
const decode = (token: string) =>
  token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));

test('it publishes metadata and its keys on loopback (RFC 8414 §3.2, RFC 7517 §5)', async () => {
  expect(issuer.issuer).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  const metadata = await (await ask(METADATA)).json();
  expect(metadata).toMatchObject({
    issuer: issuer.issuer,
    jwks_uri: `${issuer.issuer}${JWKS.slice(1)}`,
  });
  const keys = await published();
  expect(keys).toEqual([expect.objectContaining({ kid: 'one', alg: 'RS256', use: 'sig' })]);
  expect(keys[0]).not.toHaveProperty('d');
  expect((await ask('/constructor')).status).toBe(404);
  expect(issuer.requests).toEqual([METADATA, JWKS, '/constructor']);
});

test.each(TEST_ALGORITHMS)('a key for %s is found by what its token says', async (alg) => {
  const other = await startTestIssuer({ keys: [testKey({ alg })] });
  const [header] = decode(other.token());
  const found = await createIssuer({ issuerBaseURL: other.issuer }).signingKey(header);
  expect(found.alg).toBe(alg);
  expect(found.key.equals(other.keys[0]!.publicKey)).toBe(true);
  await other.close();
});

test('other keys are published as they are', async () => {
  const odd = [{ kty: 'oct', k: 'AA' }, null];
  const other = await startTestIssuer({ keys: [one], otherKeys: odd });
  const { keys } = (await (await fetch(`${other.issuer}${JWKS.slice(1)}`)).json()) as {
    keys: unknown[];
  };
  expect(keys.slice(1)).toEqual(odd);
  await other.close();
});

describe('tokens', () => {
  test('have the usual claims unless told otherwise', () => {
    const [header, payload] = decode(
      issuer.token({ sub: 'alice', exp: undefined }, { typ: 'JWT' }),
    );
    expect(header).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'one' });
    expect(payload).toEqual({ iss: issuer.issuer, iat: expect.any(Number), sub: 'alice' });
  });

  test('take their times from the clock given', async () => {
    const other = await startTestIssuer({ keys: [one], now: () => 1_800_000_000_500 });
    expect(decode(other.token())[1]).toMatchObject({ iat: 1_800_000_000, exp: 1_800_003_600 });
    await other.close();
  });

  test('are signed by the first key, or by any other', () => {
    const other = createTestKey({ kid: 'other', alg: 'ES256' });
    expect(decode(issuer.token({}, {}, other))[0]).toMatchObject({ kid: 'other', alg: 'ES256' });
  });

  test('of a hostile kind bear the name of this issuer', () => {
    const tokens = issuer.hostileTokens({ aud: 'api' });
    expect(decode(tokens['exp missing'])[1]).toMatchObject({ iss: issuer.issuer, aud: 'api' });
  });

  test('there are none without a key', async () => {
    issuer.keys.pop();
    expect(() => issuer.token()).toThrow(/no key/);
    expect(() => issuer.hostileTokens({ aud: 'api' })).toThrow(/no key/);
  });
});

// Each of them would be refused because of its audience alone.
test.each([undefined, {}, { aud: '' }, { aud: [] }])('no hostile tokens for %j', (claims) => {
  expect(() => issuer.hostileTokens(claims as never)).toThrow('claims.aud must name the API');
});

describe('a rotation', () => {
  test('puts a new key of the same algorithm first, and the old one stays', async () => {
    const two = issuer.rotate();
    expect(two).toMatchObject({ alg: 'RS256' });
    expect(decode(issuer.token())[0]).toMatchObject({ kid: two.kid });
    expect(await published()).toMatchObject([{ kid: two.kid }, { kid: 'one' }]);
  });

  test('can bring a key of its own, and drop the old ones', async () => {
    const key = createTestKey({ kid: 'new', alg: 'EdDSA' });
    expect(issuer.rotate({ key, dropOld: true })).toBe(key);
    expect(await published()).toMatchObject([{ kid: 'new', alg: 'EdDSA' }]);
  });

  test('without an option of this name is an error', async () => {
    expect(() => issuer.rotate({ dropold: true } as never)).toThrow('unknown: dropold');
    await expect(startTestIssuer({ key: [one] } as never)).rejects.toThrow('unknown: key');
  });

  test('does not change the keys that it was started with', async () => {
    const keys = [one];
    const other = await startTestIssuer({ keys });
    other.rotate({ key: createTestKey({ alg: 'ES256' }) });
    expect(keys).toEqual([one]);
    await other.close();
  });
});

describe('in trouble', () => {
  test('down, it cuts every connection; back, it answers', async () => {
    issuer.goDown();
    await expect(ask(METADATA)).rejects.toThrow();
    issuer.comeBack();
    expect((await ask(METADATA)).status).toBe(200);
    expect(issuer.requests).toEqual([METADATA, METADATA]);
  });

  test('a fault answers in its place, until it is taken away', async () => {
    issuer.fault = (_, response) => response.writeHead(500).end();
    expect((await ask(JWKS)).status).toBe(500);
    issuer.fault = undefined;
    expect((await ask(JWKS)).status).toBe(200);
  });

  test('a delay keeps every answer back', async () => {
    issuer.delay = 50;
    let answered = false;
    const slow = ask(JWKS).then(({ status }) => {
      answered = true;
      return status;
    });
    while (issuer.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    expect(await slow).toBe(200);
  });
});

describe('close', () => {
  test('can be called again, at once and later', async () => {
    await Promise.all([issuer.close(), issuer.close()]);
    await issuer.close();
    await expect(ask(METADATA)).rejects.toThrow();
  });

  test('does not wait for a stall or a delay', async () => {
    issuer.delay = 60_000;
    const waiting = request(new URL(METADATA, issuer.issuer)).end();
    const cut = once(waiting, 'error');
    while (issuer.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await issuer.close();
    await cut;
  });
});

test('tests of users can start it by its old name', () => {
  expect(startIssuer).toBe(startTestIssuer);
});
