import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { got } from 'got';
import Koa from 'koa';
import { pino } from 'pino';
import { answerErrors } from '../../src/views/error-page.tsx';

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
])('%s is a page with %d that tells nothing inside', async (path, status, title) => {
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
