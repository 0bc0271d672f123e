import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIssuer } from '@koa-oauth/issuer';
import { got } from 'got';
import * as client from 'openid-client';
import { Faults, InvalidFault } from '../../src/control/faults.ts';
import type { AuthorizationServer, Fault } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { requestTokens, tokensFor } from '../support/sign-in.ts';

describe('the list of faults', () => {
  const any = () => true;

  test('a fault applies as often as it says, the first added first', () => {
    const faults = new Faults();
    faults.add({ endpoint: '/userinfo', status: 500, times: 2 });
    faults.add({ endpoint: '/userinfo', reset: true });
    expect(faults.list().map(({ left }) => left)).toEqual([2, 1]);
    const met = [1, 2, 3, 4].map(() => faults.consume('/userinfo', any));
    expect(met.map((fault) => fault?.status ?? fault?.reset)).toEqual([500, 500, true, undefined]);
    expect(faults.list()).toEqual([]);
  });

  test('a fault for another endpoint waits, and clear removes it', () => {
    const faults = new Faults();
    faults.add({ endpoint: '/userinfo', delay: 5 });
    expect(faults.consume('/oauth/token', any)).toBeUndefined();
    expect(faults.list()).toHaveLength(1);
    faults.clear();
    expect(faults.list()).toEqual([]);
  });

  test('a fault for every third request applies to the third and sixth, as often as it says', () => {
    const faults = new Faults();
    faults.add({ endpoint: '/userinfo', status: 500, every: 3, times: 2 });
    faults.add({ endpoint: '/userinfo', status: 503, every: 2, times: 9 });
    const met = [1, 2, 3, 4, 5, 6, 7, 8].map(() => faults.consume('/userinfo', any)?.status);
    // The second sees none of the requests that met the first.
    expect(met).toEqual([undefined, 503, 500, undefined, 503, 500, undefined, 503]);
    expect(faults.list()).toEqual([
      { endpoint: '/userinfo', status: 503, every: 2, times: 9, left: 6 },
    ]);
  });

  describe('bad input names its field', () => {
    const right = { endpoint: '/oauth/token', status: 503 };
    const wrong: [string, unknown, string][] = [
      ['no object', 'x', 'body'],
      ['nothing', undefined, 'body'],
      ['no endpoint', { status: 503 }, 'endpoint'],
      ['an endpoint that is not there', { ...right, endpoint: '/token' }, 'endpoint'],
      ['a status of success', { ...right, status: 200 }, 'status'],
      ['a status as text', { ...right, status: '503' }, 'status'],
      ['no kind', { endpoint: '/oauth/token' }, 'status'],
      ['two kinds', { ...right, reset: true }, 'reset'],
      ['times 0', { ...right, times: 0 }, 'times'],
      ['half a time', { ...right, times: 0.5 }, 'times'],
      ['a delay for ever', { endpoint: '/oauth/token', delay: 1e9 }, 'delay'],
      ['retryAfter alone', { endpoint: '/oauth/token', delay: 1, retryAfter: 1 }, 'retryAfter'],
      ['reset false', { endpoint: '/oauth/token', reset: false }, 'reset'],
      ['an unknown field', { ...right, time: 1 }, 'time'],
      ['every 0', { ...right, every: 0 }, 'every'],
      [
        'a content type that is none',
        { endpoint: '/userinfo', contentType: 'x\r\ny: z' },
        'contentType',
      ],
      ['garbage and a status', { ...right, garbage: true }, 'garbage'],
      ['an empty key set elsewhere', { endpoint: '/userinfo', emptyKeySet: true }, 'endpoint'],
      ['wrong kids elsewhere', { endpoint: '/userinfo', wrongKids: true }, 'endpoint'],
      ['another issuer elsewhere', { endpoint: '/userinfo', otherIssuer: true }, 'endpoint'],
      [
        'a lost refresh elsewhere',
        { endpoint: '/userinfo', loseRefreshResponse: true },
        'endpoint',
      ],
    ];
    test.each(wrong)('%s', (_name, given, field) => {
      const faults = new Faults();
      const add = () => faults.add(given as Fault);
      expect(add).toThrow(InvalidFault);
      expect(add).toThrow(`"${field}": `);
      expect(faults.list()).toEqual([]);
    });
  });
});

describe('injected faults', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterEach(() => server.faults.clear());
  afterAll(stopServers);

  const JWKS = '/.well-known/jwks.json';
  const METADATA = '/.well-known/openid-configuration';
  const fetchFrom = async (path: string) => {
    const { statusCode, headers, body } = await got(server.url + path, {
      throwHttpErrors: false,
      retry: { limit: 0 },
    });
    return { status: statusCode, type: headers['content-type'], body };
  };
  const fetchKeys = () =>
    got(`${server.url}${JWKS}`, { retry: { limit: 0 }, throwHttpErrors: false });

  test('a status with Retry-After is sent as often as requested, then the server works again', async () => {
    server.faults.add({ endpoint: '/oauth/token', status: 503, retryAfter: 7, times: 2 });
    const ask = () =>
      got.post(`${server.url}/oauth/token`, { retry: { limit: 0 }, throwHttpErrors: false });
    for (const _ of [1, 2]) {
      const { statusCode, headers, body } = await ask();
      expect(statusCode).toBe(503);
      expect(headers['retry-after']).toBe('7');
      expect(JSON.parse(body)).toMatchObject({ error: 'temporarily_unavailable' });
    }
    expect((await ask()).statusCode).toBe(401);
  });

  test('the key set fails', async () => {
    server.faults.add({ endpoint: JWKS, status: 500 });
    expect((await fetchKeys()).statusCode).toBe(500);
    expect(JSON.parse((await fetchKeys()).body)).toHaveProperty('keys');
  });

  test('a delay comes before the answer', async () => {
    server.faults.add({ endpoint: JWKS, delay: 80 });
    const begin = performance.now();
    expect((await fetchKeys()).statusCode).toBe(200);
    expect(performance.now() - begin).toBeGreaterThan(70);
  });

  test('a connection is reset', async () => {
    server.faults.add({ endpoint: JWKS, reset: true });
    await expect(fetchKeys()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await fetchKeys()).statusCode).toBe(200);
  });

  test('half a body is less than the announced length', async () => {
    const whole = (await fetchKeys()).rawBody;
    server.faults.add({ endpoint: JWKS, halfBody: true });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write(`GET ${JWKS} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const answer = Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
    const [head, body] = answer.split('\r\n\r\n');
    expect(head).toContain('200 OK');
    expect(head?.toLowerCase()).toContain(`content-length: ${whole.length}`);
    expect(body).toBe(whole.toString('latin1').slice(0, Math.floor(whole.length / 2)));
  });

  test('rateLimited sends 429 with the headers and text of Auth0', async () => {
    server.faults.add({ endpoint: '/oauth/token', rateLimited: true });
    const { statusCode, headers, body } = await got.post(`${server.url}/oauth/token`, {
      retry: { limit: 0 },
      throwHttpErrors: false,
    });
    expect(statusCode).toBe(429);
    expect(headers).toMatchObject({
      'x-ratelimit-limit': '1',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
      'retry-after': '1',
    });
    expect(JSON.parse(body)).toMatchObject({ error: 'too_many_requests' });
  });

  test('a lost refresh response comes after the rotation, which used up the token', async () => {
    const rotating = await startDemo((tenant) => {
      const web = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
      Object.assign(web?.refresh_token ?? {}, { rotation_type: 'rotating', leeway: 0 });
    });
    const { tokens } = await tokensFor(rotating);
    rotating.faults.add({ endpoint: '/oauth/token', loseRefreshResponse: true });
    const refresh = (token = '') =>
      requestTokens(rotating, { grant_type: 'refresh_token', refresh_token: token });
    // A refused refresh does not meet it.
    expect((await refresh('bogus')).status).toBe(403);
    await expect(refresh(tokens.refresh_token)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(rotating.faults.list()).toEqual([]);
    expect(rotating.log()[0]?.steps.map(({ step }) => step)).toEqual([
      'request',
      'actions',
      'tokens',
      'fault',
    ]);
    expect((await refresh(tokens.refresh_token)).status).toBe(403);
  });

  test('garbage has the type of the answer, and is no JSON', async () => {
    server.faults.add({ endpoint: JWKS, garbage: true });
    const { status, type, body } = await fetchFrom(JWKS);
    expect([status, type]).toEqual([200, expect.stringContaining('json')]);
    expect(() => JSON.parse(body)).toThrow(SyntaxError);
  });

  test('another content type keeps the body', async () => {
    const { body: right } = await fetchFrom(METADATA);
    server.faults.add({ endpoint: METADATA, contentType: 'text/html' });
    expect(await fetchFrom(METADATA)).toEqual({ status: 200, type: 'text/html', body: right });
  });

  test('an oversized answer has 8 MiB more', async () => {
    server.faults.add({ endpoint: JWKS, oversized: true });
    const { body } = await fetchFrom(JWKS);
    expect(body.length).toBeGreaterThan(8 * 1024 * 1024);
    expect(JSON.parse(body).keys).toHaveLength(2);
  });

  test('a page is altered too', async () => {
    server.faults.add({ endpoint: '/oidc/logout', oversized: true });
    const { type, body } = await fetchFrom('/oidc/logout');
    expect(type).toContain('html');
    expect(body.length).toBeGreaterThan(8 * 1024 * 1024);
  });

  test('the metadata of another issuer differs in the issuer only', async () => {
    const right = JSON.parse((await fetchFrom(METADATA)).body);
    server.faults.add({ endpoint: METADATA, otherIssuer: true });
    expect(JSON.parse((await fetchFrom(METADATA)).body)).toEqual({
      ...right,
      issuer: 'https://other-issuer.example/',
    });
  });

  test('a fault of the metadata is met at both of its places', async () => {
    server.faults.add({ endpoint: METADATA, otherIssuer: true, times: 2 });
    for (const place of [METADATA, '/.well-known/oauth-authorization-server']) {
      expect((await fetchFrom(place)).body).toContain('https://other-issuer.example/');
    }
  });

  test('a key set can be empty, or have other kids', async () => {
    const right = JSON.parse((await fetchFrom(JWKS)).body) as { keys: { n: string }[] };
    server.faults.add({ endpoint: JWKS, emptyKeySet: true });
    expect(JSON.parse((await fetchFrom(JWKS)).body)).toEqual({ keys: [] });
    server.faults.add({ endpoint: JWKS, wrongKids: true });
    expect(JSON.parse((await fetchFrom(JWKS)).body)).toEqual({
      keys: right.keys.map((key, index) => ({ ...key, kid: `other-${index + 1}` })),
    });
  });

  describe('a relying party', () => {
    const garbage: Fault = { endpoint: JWKS, garbage: true, times: 5 };
    test.each<[string, Fault, string]>([
      ['garbage for keys', garbage, 'ERR_ISSUER_UNAVAILABLE'],
      [
        'too large a key set',
        { endpoint: JWKS, oversized: true, times: 5 },
        'ERR_ISSUER_UNAVAILABLE',
      ],
      [
        'another issuer',
        { endpoint: METADATA, otherIssuer: true, times: 5 },
        'ERR_INVALID_METADATA',
      ],
    ])('that meets %s is not ready, and is again afterwards', async (_name, fault, code) => {
      server.faults.add(fault);
      await expect(createIssuer({ issuerBaseURL: server.issuer }).ready()).rejects.toMatchObject({
        code,
      });
      server.faults.clear();
      await createIssuer({ issuerBaseURL: server.issuer }).ready();
    });

    test('of another maker refuses the metadata of another issuer', async () => {
      server.faults.add({ endpoint: METADATA, otherIssuer: true });
      const discover = () =>
        client.discovery(new URL(server.issuer), 'contacts-web', 'x', undefined, {
          execute: [client.allowInsecureRequests],
        });
      await expect(discover()).rejects.toThrow(/issuer/);
      expect((await discover()).serverMetadata().issuer).toBe(server.issuer);
    });
  });
});
