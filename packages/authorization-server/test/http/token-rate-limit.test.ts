import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import Koa from 'koa';
import { tokenRateLimit } from '../../src/http/limits.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API } from '../support/sign-in.ts';

const servers: Server[] = [];
afterAll(async () => {
  await stopServers();
  for (const server of servers) server.close();
});

const post = async (url: string, path = 'oauth/token', form: Record<string, string> = {}) => {
  const answer = await got.post(new URL(path, url), {
    form: {
      grant_type: 'client_credentials',
      client_id: 'contacts-cli',
      client_secret: 'contacts-cli-demo-secret',
      audience: API,
      ...form,
    },
    throwHttpErrors: false,
  });
  const { 'x-ratelimit-limit': limit, 'x-ratelimit-remaining': left } = answer.headers;
  return { status: answer.statusCode, limit, left, answer };
};

describe('over HTTP', () => {
  test('is off unless the tenant turns it on', async () => {
    const { issuer } = await startDemo();
    expect(await post(issuer)).toMatchObject({ status: 200, limit: undefined, left: undefined });
  });

  test("counts down, then refuses in Auth0's words", async () => {
    const { issuer } = await startDemo((tenant) => {
      tenant.rate_limits = { token: { limit: 3, window: 60 } };
    });
    expect(await post(issuer)).toMatchObject({ status: 200, limit: '3', left: '2' });
    // A refusal counts too, and so does another spelling of the path that the engine takes.
    const wrong = await post(issuer, 'oauth/token', { client_secret: 'wrong' });
    expect(wrong).toMatchObject({ status: 401, left: '1' });
    expect(await post(issuer, 'OAuth/token/')).toMatchObject({ left: '0' });

    const { status, answer } = await post(issuer);
    expect(status).toBe(429);
    expect(JSON.parse(answer.body)).toEqual({
      error: 'too_many_requests',
      error_description:
        'Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.',
    });
    const reset = Number(answer.headers['x-ratelimit-reset']) - Date.now() / 1000;
    expect(reset).toBeGreaterThan(0);
    expect(reset).toBeLessThanOrEqual(60);
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);

    const metadata = await got(`${issuer}.well-known/openid-configuration`);
    expect(metadata.headers).not.toHaveProperty('x-ratelimit-limit');
  });
});

test('begins again when the window is over', async () => {
  const clock = { now: 1_000_000_500 };
  const app = new Koa();
  app.use(tokenRateLimit({ limit: 1, window: 10 }, () => clock.now));
  app.use((ctx) => {
    ctx.body = 'ok';
  });
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  expect(await post(url)).toMatchObject({ status: 200, left: '0' });
  const refused = await post(url);
  expect(refused.status).toBe(429);
  expect(refused.answer.headers).toMatchObject({
    'x-ratelimit-reset': '1000010',
    'retry-after': '10',
  });
  clock.now += 9500;
  expect(await post(url)).toMatchObject({ status: 200, left: '0' });
});
