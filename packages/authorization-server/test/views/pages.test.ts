import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import Koa from 'koa';
import { pino } from 'pino';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { answerErrors } from '../../src/views/error-page.tsx';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser } from '../support/sign-in.ts';

describe('an error page', () => {
  const app = new Koa();
  app.use(answerErrors('Tenant', pino({ level: 'silent' })));
  app.use((ctx) => {
    if (ctx.path === '/broken') throw new Error('the secret reason');
    if (ctx.path === '/large') ctx.throw(413, 'too large');
  });
  const server = app.listen(0, '127.0.0.1');
  let url: string;
  beforeAll(async () => {
    if (!server.listening) await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.close();
  });

  test.each([
    ['/broken', 500, 'Something went wrong here'],
    ['/large', 413, 'Bad request'],
    ['/nowhere', 404, 'Not found'],
  ])('%s is a page with %d that reveals nothing internal', async (path, status, title) => {
    const page = await got(url + path, {
      headers: { accept: 'text/html' },
      throwHttpErrors: false,
      retry: { limit: 0 },
    });
    expect(page.statusCode).toBe(status);
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).toContain(title);
    expect(page.body).not.toContain('secret reason');
    expect(page.body).not.toMatch(/\bat .*:\d+:\d+/);
  });
});

describe('the front page', () => {
  afterAll(stopServers);

  test('the front page says what this is, and its links lead somewhere', async () => {
    const { url } = await startDemo();
    const page = await got(url);
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).toContain('This authorization server is up');
    const links = [...page.body.matchAll(/<a href="([^"]+)"/g)].map(([, path]) => path);
    expect(links).toEqual(['/.well-known/openid-configuration', '/.well-known/jwks.json']);
    for (const path of links) expect((await got(url + path)).statusCode).toBe(200);
  });
});

describe('security headers', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  test.each(['login', 'error', 'not found'])(
    'the %s page has strict security headers',
    async (which) => {
      proves('RFC 9700 §4.2', 'RFC 9700 §4.16');
      const urls: Record<string, string> = {
        login: authorizationRequest(server).url,
        error: authorizationRequest(server, { redirect_uri: 'http://evil.example/' }).url,
        'not found': `${server.issuer}nowhere`,
      };
      const { headers } = await openBrowser().get(urls[which] ?? '');
      expect(headers['content-security-policy']).toBe(
        "default-src 'none';frame-ancestors 'none';base-uri 'none';img-src 'self' data:;style-src 'self';script-src 'self'",
      );
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      });
    },
  );

  test.each([
    ['assets/style.css', 'text/css'],
    ['assets/pico.min.css', 'text/css'],
    ['assets/icon.svg', 'image/svg+xml'],
    // Browsers ask for it at pages without an icon of their own, such as metadata.
    ['favicon.ico', 'image/svg+xml'],
  ])('%s is served', async (path, type) => {
    const { headers, statusCode } = await got(server.issuer + path);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toContain(type);
  });

  test('an unknown path is answered with JSON for a script', async () => {
    const answer = await got(`${server.issuer}nowhere`, {
      throwHttpErrors: false,
      responseType: 'json',
    });
    expect(answer.statusCode).toBe(404);
    expect(answer.body).toEqual({
      error: 'Not found',
      error_description: 'There is no such page here.',
    });
  });
});
