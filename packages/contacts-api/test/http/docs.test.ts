import { readFileSync } from 'node:fs';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningApp, startApp } from '../support/running-app.ts';

let running: RunningApp;

beforeAll(async () => {
  running = await startApp();
});
afterAll(() => running.close());

const fetchText = (path: string) => running.api(path, { responseType: 'text' });

test('GET /openapi.json answers the document', async () => {
  const { statusCode, headers, body } = await fetchText('openapi.json');
  expect(statusCode).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'",
  });
  expect(JSON.parse(body)).toMatchObject({ openapi: '3.1.0', info: { title: 'Contacts' } });
});

test('GET /docs answers a page that loads its viewer and nothing from another host', async () => {
  const { statusCode, headers, body } = await fetchText('docs');
  expect(statusCode).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  });
  expect(String(headers['content-security-policy']).split(';').sort()).toEqual([
    "base-uri 'none'",
    "connect-src 'self'",
    "default-src 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    'img-src data:',
    "script-src 'self'",
    "style-src 'unsafe-inline'",
  ]);
  // Relative, because a proxy may serve the API below a path.
  expect([...body.matchAll(/ (?:src|spec-url|server-url)="([^"]*)"/g)].map(([, to]) => to)).toEqual(
    [
      expect.stringMatching(/^docs\/sign-in\.js\?v=[\w-]{16}$/),
      expect.stringMatching(/^docs\/viewer\.js\?v=[\w-]{16}$/),
      'openapi.json',
      '.',
    ],
  );
});

describe('GET /docs/viewer.js', () => {
  const fetchViewer = async (headers: Record<string, string>, path?: string) => {
    const page = (await fetchText('docs')).body;
    const [, address = ''] = /src="(docs\/viewer\.js[^"]+)"/.exec(page) ?? [];
    return running.api(path ?? address, { headers, responseType: 'buffer', decompress: false });
  };

  test.each<[string, string | undefined, (body: Buffer) => Buffer]>([
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['gzip', 'gzip', gunzipSync],
    ['br;q=0, *', 'gzip', gunzipSync],
    ['BR', 'br', brotliDecompressSync],
    ['deflate', undefined, (body) => body],
    ['identity', undefined, (body) => body],
    ['', undefined, (body) => body],
  ])('with Accept-Encoding %j has the content coding %s', async (accepted, coding, decode) => {
    const { statusCode, headers, body } = await fetchViewer({ 'accept-encoding': accepted });
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      vary: 'Accept-Encoding',
      'content-length': String(body.length),
    });
    expect(headers['content-encoding']).toBe(coding);
    const plain = readFileSync(new URL('../../dist/viewer.js', import.meta.url));
    expect(decode(body).equals(plain)).toBe(true);
    if (coding) expect(body.length).toBeLessThan(plain.length / 2);
  });

  test('is 304 for its ETag, in any content coding', async () => {
    const { etag = '' } = (await fetchViewer({ 'accept-encoding': 'br' })).headers;
    for (const coding of ['br', 'gzip', 'identity']) {
      const condition = { 'if-none-match': `"other", ${etag}`, 'accept-encoding': coding };
      const { statusCode, headers, body } = await fetchViewer(condition);
      expect([statusCode, body.length]).toEqual([304, 0]);
      expect(headers).toMatchObject({ etag, vary: 'Accept-Encoding' });
    }
    const changed = await fetchViewer({ 'if-none-match': 'W/"0000000000000000"' });
    expect(changed.statusCode).toBe(200);
  });

  test.each(['docs/viewer.js', 'docs/viewer.js?v=older'])('%s is not kept', async (path) => {
    const { statusCode, headers } = await fetchViewer({}, path);
    expect([statusCode, headers['cache-control']]).toEqual([200, 'no-cache']);
  });
});

describe('GET /', () => {
  test('leads a browser to the page', async () => {
    const headers = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
    const answer = await running.api('', { headers, followRedirect: false, responseType: 'text' });
    expect([answer.statusCode, answer.headers.location]).toEqual([
      302,
      'http://localhost:3001/docs',
    ]);
  });

  test.each(['*/*', 'application/json', 'application/problem+json, */*;q=0.5'])(
    'is 404 for a program that accepts %s, and names the page',
    async (accept) => {
      const { statusCode, headers, body } = await running.api('', { headers: { accept } });
      expect(statusCode).toBe(404);
      expect(headers.link).toBe('<http://localhost:3001/docs>; rel="service-doc"');
      expect(body).toMatchObject({
        code: 'ERR_NOT_FOUND',
        detail: 'there is nothing here; see http://localhost:3001/docs',
      });
    },
  );
});

describe('the sign-in of /docs', () => {
  const section = async (app: RunningApp) => {
    const { body, headers } = await app.api('docs', { responseType: 'text' });
    const csp = String(headers['content-security-policy']);
    return { html: /<div id="sign-in"[^>]*>/.exec(body)?.[0], body, csp };
  };

  test('is absent without a client', async () => {
    const { html, body } = await section(running);
    expect(html).toBeUndefined();
    expect(body).not.toContain('sign-in is not available');
  });

  test('names the client, and the policy allows the origin of the issuer alone', async () => {
    const app = await startApp({ docsClientId: 'docs "&<' });
    const { html, csp } = await section(app);
    const { issuer } = app.issuer;
    await app.close();
    expect(html).toContain('data-client-id="docs &#34;&#38;&#60;"');
    expect(html).toContain(`data-issuer="${issuer}"`);
    expect(html).toContain('data-scope="read:contacts create:contacts');
    expect(csp.split(';')).toContain(`connect-src 'self' ${new URL(issuer).origin}`);
    expect(csp).toContain("script-src 'self';");
  });

  test('is not offered while the issuer is unavailable', async () => {
    const app = await startApp({ docsClientId: 'docs' });
    app.issuer.goDown();
    const { html, body } = await section(app);
    await app.close();
    expect(html).toBeUndefined();
    expect(body).toContain('The sign-in is not available now. Set a token instead.');
  });
});
