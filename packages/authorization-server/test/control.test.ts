import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { got } from 'got';
import type { AuthorizationServer } from '../src/index.ts';
import { startDemo, stopServers } from './demo-server.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo(undefined, { control: 0 });
});
afterAll(stopServers);

const control = () =>
  got.extend({
    prefixUrl: server.control?.url,
    headers: { authorization: `Bearer ${server.control?.token}` },
    throwHttpErrors: false,
    retry: { limit: 0 },
  });

test('faults are added, listed, met and cleared', async () => {
  const fault = { endpoint: '/userinfo', status: 503, times: 2 };
  const added = await control().post('faults', { json: fault });
  expect(added.statusCode).toBe(201);
  await got(`${server.url}/userinfo`, { throwHttpErrors: false, retry: { limit: 0 } });
  const { body } = await control().get('faults');
  expect(JSON.parse(body)).toEqual({ faults: [{ ...fault, left: 1 }] });
  expect((await control().delete('faults')).statusCode).toBe(204);
  expect(server.faults.list()).toEqual([]);
});

test('the log is JSON, the same as in process', async () => {
  const { body, headers } = await control().get('log');
  expect(JSON.parse(body)).toEqual({ transactions: JSON.parse(JSON.stringify(server.log())) });
  expect(headers['cache-control']).toBe('no-store');
});

test.each([
  ['a wrong field', '{"endpoint":"/oauth/token","status":200}', 'status'],
  ['no endpoint', '{"status":503}', 'endpoint'],
])('%s: 400 that names it', async (_name, body, field) => {
  const answer = await control().post('faults', {
    body,
    headers: { 'content-type': 'application/json' },
  });
  expect(answer.statusCode).toBe(400);
  expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_fault', field });
});

test.each([
  ['broken JSON', '{', 'application/json', 400],
  ['a form', 'status=503', 'application/x-www-form-urlencoded', 415],
  ['too much', JSON.stringify({ endpoint: 'x'.repeat(20_000) }), 'application/json', 400],
])('%s is refused', async (_name, body, type, status) => {
  const answer = await control().post('faults', { body, headers: { 'content-type': type } });
  expect([answer.statusCode, answer.body]).toEqual([status, expect.stringContaining('error')]);
});

test.each([
  ['no token', {}],
  ['a wrong token', { authorization: `Bearer ${'x'.repeat(43)}` }],
  ['a token too short', { authorization: 'Bearer x' }],
  ['another scheme', { authorization: 'Basic eDp5' }],
])('%s: 401, whatever is asked for', async (_name, headers) => {
  for (const path of ['faults', 'log', 'nowhere']) {
    const answer = await got(`${server.control?.url}/${path}`, {
      headers,
      throwHttpErrors: false,
      retry: { limit: 0 },
    });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  }
});

test('elsewhere: 404', async () => {
  expect((await control().get('nowhere')).statusCode).toBe(404);
});

test('off by default: no port, and no page at /log', async () => {
  const plain = await startDemo();
  expect(plain.control).toBeUndefined();
  const page = await got(`${plain.issuer}log`, { throwHttpErrors: false });
  expect(page.statusCode).toBe(404);
});

test('a control port in use stops the start and names the setting', async () => {
  const taken = Number(new URL(server.control?.url ?? '').port);
  await expect(startDemo(undefined, { control: taken })).rejects.toThrow('set CONTROL');
});
