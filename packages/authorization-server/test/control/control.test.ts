import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { got } from 'got';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, callbackOf, requestTokens, tokensFor } from '../support/sign-in.ts';

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

test('faults are added, listed, applied and cleared', async () => {
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

test('the clock is set and read', async () => {
  expect(JSON.parse((await control().get('clock')).body)).toEqual({ clock: 0 });
  const answer = await control().put('clock', { json: { clock: -60 } });
  expect([answer.statusCode, JSON.parse(answer.body)]).toEqual([200, { clock: -60 }]);
  expect(server.clock).toBe(-60);
  for (const json of [{ clock: 0.5 }, { clock: '5' }, {}, { clock: 1, x: 1 }]) {
    expect((await control().put('clock', { json })).statusCode).toBe(400);
  }
  expect(server.clock).toBe(-60);
});

test('reset removes everything except the keys', async () => {
  const { browser, tokens } = await tokensFor(server);
  server.faults.add({ endpoint: '/userinfo', status: 503 });
  server.clock = 5;
  const keys = await kids();
  expect((await control().post('reset')).statusCode).toBe(204);
  expect([server.log(), server.faults.list(), server.clock]).toEqual([[], [], 0]);
  expect(await kids()).toEqual(keys);
  const silent = await browser.get(authorizationRequest(server, { prompt: 'none' }).url);
  expect(callbackOf(silent).get('error')).toBe('login_required');
  const refresh_token = tokens.refresh_token ?? '';
  const refreshed = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
  expect(refreshed.status).toBe(403);
  // The server asks for consent again.
  const login = await browser.get(authorizationRequest(server).url);
  const consent = await browser.submit(login, {
    username: 'alice@example.com',
    password: 'alice-demo',
  });
  expect(consent.url).toContain('/u/consent/');
});

const kids = async () => {
  const { keys } = await got(`${server.url}/.well-known/jwks.json`).json<{
    keys: { kid: string }[];
  }>();
  return keys.map(({ kid }) => kid);
};

test('keys are rotated and revoked', async () => {
  const [first, second] = await kids();
  expect((await control().post('rotate-keys')).statusCode).toBe(204);
  expect(await kids()).toEqual([second, expect.any(String), first]);
  expect((await control().post('revoke-previous-key')).statusCode).toBe(204);
  const [, third] = await kids();
  expect(await kids()).toEqual([second, third]);
  const answer = await control().post('rotate-keys', { json: { revoke: true } });
  expect(answer.statusCode).toBe(204);
  expect(await kids()).toEqual([third, expect.any(String)]);
});

test.each([
  ['revoke as text', { json: { revoke: 'yes' } }, 400],
  ['an unknown field', { json: { revok: true } }, 400],
  ['a list', { json: [true] }, 400],
  ['a form', { form: { revoke: 'true' } }, 415],
])('rotate-keys with %s is refused, and the keys stay', async (_name, sent, status) => {
  const before = await kids();
  const answer = await control().post('rotate-keys', sent);
  expect([answer.statusCode, answer.body]).toEqual([status, expect.stringContaining('error')]);
  expect(await kids()).toEqual(before);
});

test.each([
  ['a wrong field', '{"endpoint":"/oauth/token","status":200}', 'status'],
  ['no endpoint', '{"status":503}', 'endpoint'],
])('%s is refused with 400 and the name of the field', async (_name, body, field) => {
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
  ['too much', JSON.stringify({ endpoint: 'x'.repeat(20_000) }), 'application/json', 413],
])('%s is refused', async (_name, body, type, status) => {
  const answer = await control().post('faults', { body, headers: { 'content-type': type } });
  expect([answer.statusCode, answer.body]).toEqual([status, expect.stringContaining('error')]);
});

test.each([
  ['no token', {}],
  ['a wrong token', { authorization: `Bearer ${'x'.repeat(43)}` }],
  ['a token too short', { authorization: 'Bearer x' }],
  ['another scheme', { authorization: 'Basic eDp5' }],
])('%s is refused with 401 at every path', async (_name, headers) => {
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

test.each([
  ['a page of another site', { origin: 'http://evil.example' }],
  ['a page without an origin of its own', { origin: 'null' }],
  ['a page of this machine', { origin: 'http://localhost:3000' }],
  ['a page whose name was made to lead here', { host: 'evil.example' }],
  ['a name that only begins like a loopback one', { host: '127.0.0.1.evil.example' }],
])('%s is refused with 403, even with the token', async (_name, headers) => {
  const answer = await control().post('reset', { headers });
  expect([answer.statusCode, answer.headers['access-control-allow-origin']]).toEqual([
    403,
    undefined,
  ]);
});

test('a preflight of a browser is refused without CORS headers', async () => {
  const answer = await got(`${server.control?.url}/reset`, {
    method: 'OPTIONS',
    headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    throwHttpErrors: false,
  });
  expect([answer.statusCode, answer.headers['access-control-allow-origin']]).toEqual([
    403,
    undefined,
  ]);
});

test.each([
  ['evil.example', 403],
  ['localhost.evil.example:80', 403],
  ['localhost:1234', 200],
  ['127.0.0.1', 200],
  ['[::1]:80', 200],
])('the page at /log under the name "%s" is answered with %i', async (host, status) => {
  await tokensFor(server);
  const page = await got(`${server.url}/log`, { headers: { host }, throwHttpErrors: false });
  expect([page.statusCode, page.body.includes('auth0|alice')]).toEqual([status, status === 200]);
});

test('an unknown path is answered with 404', async () => {
  expect((await control().get('nowhere')).statusCode).toBe(404);
});

test('by default there is no control port, and no page at /log', async () => {
  const plain = await startDemo();
  expect(plain.control).toBeUndefined();
  const page = await got(`${plain.issuer}log`, { throwHttpErrors: false });
  expect(page.statusCode).toBe(404);
});

test('a control port in use stops the start and names the setting', async () => {
  const taken = Number(new URL(server.control?.url ?? '').port);
  await expect(startDemo(undefined, { control: taken })).rejects.toThrow('set CONTROL');
});
