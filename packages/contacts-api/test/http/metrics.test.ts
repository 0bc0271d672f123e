import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import got from 'got';
import { answerMetrics, countToken, measureRequests } from '../../src/http/metrics.ts';
import { bearer, type RunningApp, startApp } from '../support/running-app.ts';

let running: RunningApp;
const server = createServer(answerMetrics);
let url: string;

beforeAll(async () => {
  running = await startApp({ metrics: { measureRequests, countToken } });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await running.close();
});

test('the metrics count requests by declared route and tokens by outcome', async () => {
  const { api, token } = running;
  const good = bearer(token('read:contacts'));
  for (let i = 0; i < 3; i += 1) await api('contacts', good);
  await api('contacts/00000000-0000-4000-8000-000000000000', good);
  await api('contacts', bearer(token('read:contacts', { exp: 1 })));
  await api('no-such-route-SECRET', good);
  await api('contacts', { method: 'PROPFIND' as 'GET' });

  const text = await got(`${url}/metrics`).text();
  const value = (line: string) => Number(text.split(`${line} `)[1]?.split('\n')[0]);
  const count = (labels: string) => value(`http_request_duration_seconds_count{${labels}}`);
  expect(count('method="GET",route="/contacts",status="200"')).toBe(3);
  expect(count('method="GET",route="/contacts",status="401"')).toBe(1);
  expect(count('method="GET",route="/contacts/:id",status="404"')).toBe(1);
  expect(count('method="any",route="none",status="404"')).toBe(1);
  expect(value('access_tokens_total{outcome="verified"}')).toBe(2);
  expect(value('access_tokens_total{outcome="cached"}')).toBe(2);
  expect(value('access_tokens_total{outcome="expired"}')).toBe(1);
  expect(text).toContain('process_cpu_seconds_total');
  expect(text).not.toMatch(/SECRET|PROPFIND|auth0|0000-4000/);
});

test('any other path is 404', async () => {
  const { statusCode } = await got(`${url}/contacts`, {
    throwHttpErrors: false,
    retry: { limit: 0 },
  });
  expect(statusCode).toBe(404);
});
