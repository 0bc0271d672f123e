import { afterAll, afterEach, expect, test } from '@jest/globals';
import nock from 'nock';
import { createHttpClient } from '../src/http-client.ts';
import { fetchJson } from '../src/kept-fresh.ts';

const http = createHttpClient();

const origin = 'https://tenant.example.com';
afterEach(() => nock.cleanAll());
afterAll(() => nock.restore());

test('a GET that accepts JSON, uncompressed, and carries nothing else', async () => {
  let headers: Record<string, unknown> = {};
  nock(origin)
    .get('/doc')
    .reply(function () {
      headers = { ...this.req.headers };
      return [200, { ok: true }];
    });
  expect(await fetchJson(`${origin}/doc`, http)).toEqual({
    status: 200,
    body: { ok: true },
    maxAge: undefined,
  });
  // Some servers answer 406 unless the type of a key set is named (RFC 7517 §8.5.2).
  const accept = 'application/json, application/jwk-set+json';
  expect(headers).toMatchObject({ accept, 'user-agent': 'koa-oauth' });
  expect(headers).toMatchObject({ 'accept-encoding': 'identity' });
  expect(headers).not.toHaveProperty('cookie');
  expect(headers).not.toHaveProperty('authorization');
});

test.each([
  ['max-age=300', 300_000],
  ['public, max-age=300, must-revalidate', 300_000],
  ['MAX-AGE="60"', 60_000],
  ['s-maxage=5', undefined],
  ['x-max-age=5', undefined],
  ['max-age=-5', 0],
  ['max-age=soon', 0],
  ['max-age=1.5', 0],
  ['max-age', 0],
  ['max-age=600, max-age=5', 600_000],
  ['max-age = 60', 60_000],
  ['s-maxage=5, max-age=600', 600_000],
  ['ext="no-store, max-age=5", max-age=300', 300_000],
  ['ext="\\", no-store", max-age=300', 300_000],
  ['private="set-cookie", max-age=300', 300_000],
  ['no-cache="set-cookie", max-age=300', 0],
  [',;=", max-age=300', 300_000],
  ['no-store', 0],
  ['no-cache, max-age=300', 0],
  ['max-age=300, No-Store', 0],
  ['x-no-store, max-age=300', 300_000],
  ['', undefined],
])('Cache-Control: %s keeps it %s ms (RFC 9111 §5.2.2)', async (value, maxAge) => {
  nock(origin).get('/doc').reply(200, '{}', { 'cache-control': value });
  expect((await fetchJson(`${origin}/doc`, http)).maxAge).toBe(maxAge);
});

test.each([
  ['10', 290_000],
  ['300', 0],
  ['9999999999', 0],
  ['0', 300_000],
  ['10, 20', 290_000],
  ['-10', 300_000],
  ['1.5', 300_000],
  ['soon', 300_000],
  ['', 300_000],
])('Age: %s leaves %d ms of five minutes (RFC 9111 §4.2.3, §5.1)', async (age, maxAge) => {
  nock(origin).get('/doc').reply(200, '{}', { 'cache-control': 'max-age=300', age });
  expect((await fetchJson(`${origin}/doc`, http)).maxAge).toBe(maxAge);
});

test('an Age without max-age says nothing', async () => {
  nock(origin).get('/doc').reply(200, '{}', { age: '10' });
  expect((await fetchJson(`${origin}/doc`, http)).maxAge).toBeUndefined();
});

test('members that are null are left out, entries of lists stay', async () => {
  const body = '{"a":null,"b":{"c":null,"d":0},"keys":[null,{"use":null}],"__proto__":null}';
  nock(origin).get('/doc').reply(200, body);
  const document = await fetchJson(`${origin}/doc`, http);
  expect(JSON.stringify(document.body)).toBe('{"b":{"d":0},"keys":[null,{}]}');
  nock(origin).get('/doc').reply(200, 'null');
  expect((await fetchJson(`${origin}/doc`, http)).body).toBeUndefined();
});

test.each([204, 301, 302, 307, 400, 404, 500, 503])(
  'status %i is given out without a body, and no redirect followed',
  async (status) => {
    nock(origin)
      .get('/doc')
      .reply(status, '', { location: `${origin}/elsewhere` });
    const elsewhere = nock(origin).get('/elsewhere').reply(200, { evil: true });
    expect(await fetchJson(`${origin}/doc`, http)).toMatchObject({ status, body: undefined });
    expect(elsewhere.isDone()).toBe(false);
  },
);

test.each([
  ['HTML', '<!doctype html><title>hello</title>'],
  ['nothing', ''],
  ['cut JSON', '{"keys":['],
  ['two documents', '{}{}'],
])('a 200 with %s is no answer', async (_, body) => {
  nock(origin).get('/doc').reply(200, body);
  await expect(fetchJson(`${origin}/doc`, http)).rejects.toMatchObject({
    code: 'ERR_ISSUER_UNAVAILABLE',
    detail: `GET ${origin}/doc: the body is not JSON`,
  });
});
