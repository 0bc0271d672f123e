import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { got } from 'got';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser } from '../support/sign-in.ts';

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
  ['style.css', 'text/css'],
  ['pico.min.css', 'text/css'],
  ['icon.svg', 'image/svg+xml'],
])('%s is served', async (name, type) => {
  const { headers, statusCode } = await got(`${server.issuer}assets/${name}`);
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
