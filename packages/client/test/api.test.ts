import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type ApiError, createApi } from '../src/api.ts';
import { resolveApiURL } from '../src/api-url.ts';

const BASE = 'https://api.example/v1';
const TOKEN = 'the-access-token';

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function start(listener: RequestListener, options = {}) {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const bind = createApi({ baseURL, timeout: 500, maxResponseSize: 1000, ...options });
  return { baseURL, api: bind(async () => TOKEN) };
}

const json = (status: number, body: unknown, headers = {}): RequestListener => {
  return (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
};

describe('the fence', () => {
  test.each([
    ['things', '/v1/things'],
    ['/things', '/v1/things'],
    ['things/1?x=/../..', '/v1/things/1?x=/../..'],
    ['a:b', '/v1/a:b'],
    ['https:x', '/v1/https:x'],
    ['a/../b', '/v1/b'],
    ['', '/v1/'],
    ['https://evil.example/', '/v1/https://evil.example/'],
    ['//evil.example/x', '/v1//evil.example/x'],
  ])('%s stays inside, as %s', (path, expected) => {
    const url = resolveApiURL(BASE, path);
    expect(url.origin).toBe('https://api.example');
    expect(url.href.slice(url.origin.length)).toBe(expected);
  });

  test.each([
    '..',
    '../x',
    '/../x',
    '../v2/x',
    '../v1x',
    'a/../../x',
    '%2e%2e/x',
    '.%2e/x',
    '%2E%2E/x',
    '..%2fx',
    '..%2Fx',
    'a/..%2f..%2fx',
    '%2e%2e%2fx',
    '..%5cx',
    '..\\x',
    '\\\\evil.example',
    '\\/evil.example',
    'a\u0000b',
    'a\nb',
    '%',
    '%zz',
    '%ff',
  ])('%j is refused', (path) => {
    expect(() => resolveApiURL(BASE, path)).toThrow('outside the API');
  });

  test('whatever the path, the request goes below the API or nowhere', () => {
    const piece = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '@',
      ':',
      '?',
      '#',
      'https:',
      'evil.example',
      'a',
    );
    const path = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((p) => p.join('')),
    );
    fc.assert(
      fc.property(path, (value) => {
        let url: URL;
        try {
          url = resolveApiURL(BASE, value);
        } catch (error) {
          expect((error as ApiError).code).toBe('ERR_API_URL');
          return;
        }
        expect(url.href.startsWith('https://api.example/v1/')).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('the API client', () => {
  test('sends the token, JSON and search parameters', async () => {
    const { api } = await start(async (request, response) => {
      const chunks = await request.toArray();
      const { method, url, headers } = request;
      const { authorization, accept, cookie } = headers;
      const body = String(Buffer.concat(chunks as Buffer[]));
      json(201, { method, url, authorization, accept, cookie, body })(request, response);
    });
    const headers = { Authorization: 'Bearer other', Cookie: 'a=b', 'X-Mine': '1' };
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
    ['a status nobody knows', 499, {}, { code: 'ERR_API_REFUSED', status: 502 }],
    ['422', 422, {}, { code: 'ERR_API_REFUSED', status: 422 }],
    ['500', 500, {}, { code: 'ERR_API_REFUSED', status: 502 }],
    ['503', 503, {}, { code: 'ERR_API_UNAVAILABLE', status: 503 }],
    ['302', 302, { Location: 'http://127.0.0.1:1/' }, { code: 'ERR_API_REFUSED', status: 502 }],
  ];
  test.each(refusals)(
    '%s is a typed error that has the answer',
    async (_name, status, headers, expected) => {
      const { api } = await start(json(status, { why: 'because' }, headers));
      const error = await api.get('things').catch((e) => e);
      expect(error).toMatchObject({ ...expected, response: { status, body: { why: 'because' } } });
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(TOKEN);
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
    const { api } = await start(listener);
    const error = await api.get('things').catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_API_UNAVAILABLE', status: 503 });
    expect(error.response).toBeUndefined();
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(TOKEN);
  });

  test('a redirect is not followed', async () => {
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
    const { api, baseURL } = await start((_request, response) => {
      requests += 1;
      response.end();
    });
    await expect(api.get('../x')).rejects.toMatchObject({ code: 'ERR_API_URL' });
    const none = createApi({ baseURL, timeout: 500, maxResponseSize: 1000 })(() =>
      Promise.reject(new Error('no token')),
    );
    await expect(none.get('x')).rejects.toThrow('no token');
    expect(requests).toBe(0);
  });

  test('a body that is no JSON, though it says so, is its text', async () => {
    const { api } = await start((_request, response) => {
      response.setHeader('Content-Type', 'application/problem+json');
      response.end('{');
    });
    expect((await api.get('things')).body).toBe('{');
  });
});
