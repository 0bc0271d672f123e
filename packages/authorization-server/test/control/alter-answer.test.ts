import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createIssuer } from '@koa-oauth/issuer';
import { got } from 'got';
import * as client from 'openid-client';
import type { AuthorizationServer, Fault } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterEach(() => server.faults.clear());
afterAll(stopServers);

const JWKS = '/.well-known/jwks.json';
const METADATA = '/.well-known/openid-configuration';
const fetchFrom = async (path: string) => {
  const { statusCode, headers, body } = await got(server.url + path, {
    throwHttpErrors: false,
    retry: { limit: 0 },
  });
  return { status: statusCode, type: headers['content-type'], body };
};

test('garbage comes under the type of the answer, and is no JSON', async () => {
  server.faults.add({ endpoint: JWKS, garbage: true });
  const { status, type, body } = await fetchFrom(JWKS);
  expect([status, type]).toEqual([200, expect.stringContaining('json')]);
  expect(() => JSON.parse(body)).toThrow(SyntaxError);
});

test('another content type, with the same body', async () => {
  const { body: right } = await fetchFrom(METADATA);
  server.faults.add({ endpoint: METADATA, contentType: 'text/html' });
  expect(await fetchFrom(METADATA)).toEqual({ status: 200, type: 'text/html', body: right });
});

test('too much: the answer and 8 MiB more', async () => {
  server.faults.add({ endpoint: JWKS, oversized: true });
  const { body } = await fetchFrom(JWKS);
  expect(body.length).toBeGreaterThan(8 * 1024 * 1024);
  expect(JSON.parse(body).keys).toHaveLength(2);
});

test('a page is altered too', async () => {
  server.faults.add({ endpoint: '/oidc/logout', oversized: true });
  const { type, body } = await fetchFrom('/oidc/logout');
  expect(type).toContain('html');
  expect(body.length).toBeGreaterThan(8 * 1024 * 1024);
});

test('the metadata of another issuer, all else as it is', async () => {
  const right = JSON.parse((await fetchFrom(METADATA)).body);
  server.faults.add({ endpoint: METADATA, otherIssuer: true });
  expect(JSON.parse((await fetchFrom(METADATA)).body)).toEqual({
    ...right,
    issuer: 'https://other-issuer.example/',
  });
});

test('a key set without keys, and one whose keys bear other names', async () => {
  const right = JSON.parse((await fetchFrom(JWKS)).body) as { keys: { n: string }[] };
  server.faults.add({ endpoint: JWKS, emptyKeySet: true });
  expect(JSON.parse((await fetchFrom(JWKS)).body)).toEqual({ keys: [] });
  server.faults.add({ endpoint: JWKS, wrongKids: true });
  expect(JSON.parse((await fetchFrom(JWKS)).body)).toEqual({
    keys: right.keys.map((key, index) => ({ ...key, kid: `other-${index + 1}` })),
  });
});

describe('a relying party', () => {
  const garbage: Fault = { endpoint: JWKS, garbage: true, times: 5 };
  test.each<[string, Fault, string]>([
    ['garbage for keys', garbage, 'ERR_ISSUER_UNAVAILABLE'],
    [
      'too large a key set',
      { endpoint: JWKS, oversized: true, times: 5 },
      'ERR_ISSUER_UNAVAILABLE',
    ],
    ['another issuer', { endpoint: METADATA, otherIssuer: true, times: 5 }, 'ERR_INVALID_METADATA'],
  ])('that meets %s is not ready, and is again afterwards', async (_name, fault, code) => {
    server.faults.add(fault);
    await expect(createIssuer({ issuerBaseURL: server.issuer }).ready()).rejects.toMatchObject({
      code,
    });
    server.faults.clear();
    await createIssuer({ issuerBaseURL: server.issuer }).ready();
  });

  test('of another maker refuses the metadata of another issuer', async () => {
    server.faults.add({ endpoint: METADATA, otherIssuer: true });
    const discover = () =>
      client.discovery(new URL(server.issuer), 'contacts-web', 'x', undefined, {
        execute: [client.allowInsecureRequests],
      });
    await expect(discover()).rejects.toThrow(/issuer/);
    expect((await discover()).serverMetadata().issuer).toBe(server.issuer);
  });
});
