import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import { proves } from '../../../../test/support/proves.ts';
import { ApiClient, type ApiTokenSource } from '../../src/api/api.ts';

const TOKEN = 'the-access-token';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** All that a log could show of an error. */
function everythingOf(error: unknown): string {
  const all = { depth: 50, showHidden: true, getters: true, maxStringLength: null };
  const { stack, cause } = error as Error;
  return [inspect(error, all), JSON.stringify(error), stack, inspect(cause, all)].join();
}

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function start(
  listener: RequestListener,
  tokens: ApiTokenSource = async () => TOKEN,
  timeout?: number,
) {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const http = createHttpClient({ timeout, maxBodyBytes: 1000 });
  return { baseURL, api: new ApiClient({ baseURL, http, now: () => NOW }).bind(tokens) };
}

const json = (status: number, body: unknown, headers = {}): RequestListener => {
  return (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
};

describe('the API client', () => {
  test('sends the token in its header alone, no cookie, JSON and search parameters', async () => {
    proves('RFC 6750 §5.3 safeguard');
    const { api } = await start(async (request, response) => {
      const chunks = await request.toArray();
      const { method, url, headers } = request;
      const { authorization, accept, cookie } = headers;
      const body = String(Buffer.concat(chunks as Buffer[]));
      json(201, { method, url, authorization, accept, cookie, body })(request, response);
    });
    const headers = {
      Authorization: 'Bearer other',
      Cookie: 'a=b',
      Host: 'evil.example',
      'Content-Length': '1',
      'Transfer-Encoding': 'chunked',
      'X-Mine': '1',
    };
    const searchParams = { q: 'a b', none: undefined };
    const { status, body } = await api.post('things', { json: { a: 1 }, searchParams, headers });
    expect(status).toBe(201);
    expect(body).toEqual({
      method: 'POST',
      url: '/v1/things?q=a+b',
      authorization: `Bearer ${TOKEN}`,
      accept: 'application/json',
      body: '{"a":1}',
    });
  });

  const refusals: [string, number, Record<string, string>, object][] = [
    [
      '401',
      401,
      { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
      { code: 'ERR_API_TOKEN_REFUSED', status: 401 },
    ],
    [
      '403 insufficient_scope',
      403,
      { 'WWW-Authenticate': 'Bearer realm="x, y", error="insufficient_scope", scope="a:b c"' },
      { code: 'ERR_INSUFFICIENT_SCOPE', status: 403, scope: 'a:b c' },
    ],
    ['403 of another kind', 403, {}, { code: 'ERR_API_REFUSED', status: 403 }],
    ['404', 404, {}, { code: 'ERR_API_REFUSED', status: 404 }],
    ['an unknown status', 499, {}, { code: 'ERR_API_REFUSED', status: 502 }],
    ['422', 422, {}, { code: 'ERR_API_REFUSED', status: 422 }],
    ['500', 500, {}, { code: 'ERR_API_REFUSED', status: 502 }],
    ['503', 503, {}, { code: 'ERR_API_UNAVAILABLE', status: 503 }],
    ['302', 302, { Location: 'http://127.0.0.1:1/' }, { code: 'ERR_API_REFUSED', status: 502 }],
  ];
  test.each(refusals)(
    '%s is a typed error that has the answer, and no token',
    async (_name, status, headers, expected) => {
      const { api } = await start(json(status, { why: 'because' }, headers));
      const error = await api.get('things').catch((e) => e);
      expect(error).toMatchObject({ ...expected, response: { status, body: { why: 'because' } } });
      expect(everythingOf(error)).not.toContain(TOKEN);
    },
  );

  const faults: [string, RequestListener][] = [
    ['a broken connection', (request) => request.socket.destroy()],
    ['no answer', () => {}],
    [
      'a body that never ends',
      (_request, response) => {
        response.writeHead(200);
        response.write('x');
      },
    ],
    ['a body that is too large', (_request, response) => response.end('x'.repeat(200_000))],
    [
      'a body in chunks that is too large',
      (_request, response) => {
        response.write('x'.repeat(100_000));
        response.end('x'.repeat(100_000));
      },
    ],
  ];
  test.each(faults)('%s is a 503 that holds no token', async (_name, listener) => {
    proves('RFC 6750 §5.3 safeguard');
    const { api } = await start(listener, undefined, 150);
    const error = await api.get('things').catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_API_UNAVAILABLE', status: 503 });
    expect(error.response).toBeUndefined();
    expect(everythingOf(error)).not.toContain(TOKEN);
  });

  test('a redirect is not followed, not even to the same API', async () => {
    proves('RFC 9700 §4.9.1');
    const urls: (string | undefined)[] = [];
    const { api } = await start((request, response) => {
      urls.push(request.url);
      response.writeHead(307, { Location: '/v1/elsewhere' }).end();
    });
    await expect(api.get('things')).rejects.toMatchObject({ response: { status: 307 } });
    expect(urls).toEqual(['/v1/things']);
  });

  test('nothing is sent when the path leaves the fence, or no token can be had', async () => {
    let requests = 0;
    const { api } = await start(
      (_request, response) => {
        requests += 1;
        response.end();
      },
      () => Promise.reject(new Error('no token')),
    );
    await expect(api.get('../x')).rejects.toMatchObject({ code: 'ERR_API_URL' });
    await expect(api.get('x')).rejects.toThrow('no token');
    expect(requests).toBe(0);
  });

  test.each([
    [429, '7', { code: 'ERR_API_REFUSED', status: 429, retryAfter: 7 }],
    [503, '7', { code: 'ERR_API_UNAVAILABLE', status: 503, retryAfter: 7 }],
    [503, 'Fri, 02 Jan 2026 03:04:35 GMT', { retryAfter: 30 }],
    [503, '99999999', { retryAfter: 300 }],
    [503, 'tomorrow', { retryAfter: undefined }],
    [500, '7', { code: 'ERR_API_REFUSED', retryAfter: undefined }],
  ])(
    'a %i with Retry-After: %s says how long to wait, bounded',
    async (status, after, expected) => {
      const { api } = await start(json(status, {}, { 'Retry-After': after }));
      const error = await api.get('things').catch((e) => e);
      expect(error).toMatchObject(expected);
      const { retryAfter } = error;
      if (retryAfter) expect(error.headers['Retry-After']).toBe(String(retryAfter));
    },
  );

  test('only named scopes that can be scopes are reported', async () => {
    const scope = String.raw`a b\"x <c> ${'long'.repeat(200)}`;
    const challenge = `Bearer error="insufficient_scope", scope="${scope}"`;
    const { api } = await start(json(403, {}, { 'WWW-Authenticate': challenge }));
    const error = await api.get('things').catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_INSUFFICIENT_SCOPE', scope: 'a <c>' });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'ERR_INSUFFICIENT_SCOPE',
      status: 403,
      message: error.message,
      scope: 'a <c>',
    });
  });

  test('a challenge without scopes names none', async () => {
    const { api } = await start(
      json(403, {}, { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' }),
    );
    await expect(api.get('things')).rejects.toMatchObject({ scope: undefined });
  });

  test.each<[number, string | undefined, string]>([
    [404, undefined, 'it answered 404'],
    [
      401,
      'Bearer error="invalid_token", error_description="expected the audience \\"a\\""',
      'it answered 401 invalid_token: expected the audience "a"',
    ],
    [
      403,
      'Bearer error="insufficient_scope", scope="write delete", error_description="no"',
      'it answered 403 insufficient_scope: scope write delete; no',
    ],
    [
      400,
      `Bearer error_description="${'x '.repeat(300)}"`,
      `it answered 400: ${'x '.repeat(99)}x…`,
    ],
    [
      403,
      `Bearer error="insufficient_scope", scope="read ${'Q7'.repeat(30)}", error_description="of ${'e\\yJ'.repeat(30)}"`,
      'it answered 403 insufficient_scope: scope read …; of …',
    ],
  ])(
    'a %i names the address and what the API says, for the log',
    async (status, challenge, end) => {
      const { api } = await start(
        json(status, {}, challenge ? { 'WWW-Authenticate': challenge } : {}),
      );
      const error = await api.get('things', { searchParams: { q: 'Ada' } }).catch((e) => e);
      expect(error.detail).toMatch(/^GET http:\/\/127\.0\.0\.1:\d+\/v1\/things: it answered/);
      expect(error.detail).toContain(`/v1/things: ${end}`);
      expect(end).toMatch(new RegExp(`^${error.summary}(:|$)`));
    },
  );

  test('an API that shows the request in its error shows no token', async () => {
    const { api } = await start((request, response) => {
      const { authorization = '' } = request.headers;
      response.writeHead(500, { 'X-Debug': authorization, 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ seen: { authorization } }));
    });
    const error = await api.get('things').catch((e) => e);
    expect(error.response.body).toEqual({ seen: { authorization: 'Bearer [access token]' } });
    expect(everythingOf(error)).not.toContain(TOKEN);
  });

  test('a call asks for the token that it names, and no other', async () => {
    proves('RFC 9700 §2.3', 'ASVS 10.2.3');
    const asked: unknown[] = [];
    const { api } = await start(json(200, {}), async (wanted) => {
      asked.push(wanted);
      return TOKEN;
    });
    await api.get('things', { scope: 'read:things', audience: 'https://other.example' });
    await api.get('things');
    expect(asked).toEqual([{ scope: 'read:things', audience: 'https://other.example' }, {}]);
  });

  test.each<[string, object, string, string | undefined]>([
    ['json', { json: { a: 1 } }, '{"a":1}', 'application/json'],
    ['form', { form: { a: 1, b: 'c d' } }, 'a=1&b=c+d', 'application/x-www-form-urlencoded'],
    ['a text', { body: 'text' }, 'text', undefined],
    ['bytes', { body: Buffer.from('bytes') }, 'bytes', undefined],
  ])('sends %s', async (_name, options, body, type) => {
    const { api } = await start(async (request, response) => {
      const chunks = (await request.toArray()) as Buffer[];
      const sent = String(Buffer.concat(chunks));
      json(200, { sent, type: request.headers['content-type'] })(request, response);
    });
    expect((await api.put('things', options)).body).toEqual({ sent: body, type });
  });

  test.each<[string, object]>([
    ['a stream', { body: Readable.from(['x']) }],
    ['two bodies', { json: 1, body: 'x' }],
  ])('%s is a TypeError, and nothing is sent', async (_name, options) => {
    let requests = 0;
    const { api } = await start((_request, response) => {
      requests += 1;
      response.end();
    });
    await expect(api.post('things', options)).rejects.toBeInstanceOf(TypeError);
    await expect(api.get('things', { json: 1 })).rejects.toThrow('a GET has no body');
    expect(requests).toBe(0);
  });

  test('a call that is given up is a 503 that holds no token', async () => {
    const giveUp = new AbortController();
    const { api } = await start(() => giveUp.abort());
    const error = await api.get('things', { signal: giveUp.signal }).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_API_UNAVAILABLE' });
    expect(everythingOf(error)).not.toContain(TOKEN);
  });

  test('a body that is no JSON, though it says so, is its text', async () => {
    const { api } = await start((_request, response) => {
      response.setHeader('Content-Type', 'application/problem+json');
      response.end('{');
    });
    expect((await api.get('things')).body).toBe('{');
  });
});
