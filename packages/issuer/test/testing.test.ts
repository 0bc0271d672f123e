import { verify } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestKey, signJws, startIssuer, type TestIssuer } from '../src/testing.ts';

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startIssuer();
});
afterAll(() => issuer.close());

const decode = (token: string) =>
  token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));

test('it publishes metadata and its keys on loopback', async () => {
  expect(issuer.issuer).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  const metadata = await (await fetch(`${issuer.issuer}.well-known/openid-configuration`)).json();
  expect(metadata).toMatchObject({ issuer: issuer.issuer });
  const { jwks_uri } = metadata as { jwks_uri: string };
  const { keys } = (await (await fetch(jwks_uri)).json()) as { keys: Record<string, unknown>[] };
  expect(keys).toEqual([expect.objectContaining({ kid: 'key-1', alg: 'RS256', use: 'sig' })]);
  expect(keys[0]).not.toHaveProperty('d');
  expect(issuer.requests.slice(-2)).toEqual([
    '/.well-known/openid-configuration',
    '/.well-known/jwks.json',
  ]);
  expect((await fetch(`${issuer.issuer}constructor`)).status).toBe(404);
});

test('it signs what it is told, with usual claims unless told otherwise', () => {
  const token = issuer.token({ sub: 'alice', exp: undefined }, { typ: 'JWT' });
  const [header, payload] = decode(token);
  expect(header).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'key-1' });
  expect(payload).toEqual({ iss: issuer.issuer, iat: expect.any(Number), sub: 'alice' });
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const { publicKey } = issuer.keys[0]!;
  expect(verify('sha256', Buffer.from(token.slice(0, end)), publicKey, signature)).toBe(true);
});

test('signJws takes text and bytes as they are', () => {
  const { privateKey } = createTestKey('any');
  expect(signJws('{"a":1,"a":2}', Buffer.from([0xff]), privateKey)).toMatch(
    new RegExp(`^${Buffer.from('{"a":1,"a":2}').toString('base64url')}\\._w\\.`),
  );
});

test('a fault answers in its place, until it is taken away', async () => {
  issuer.fault = (_, response) => response.writeHead(500).end();
  expect((await fetch(issuer.issuer)).status).toBe(500);
  issuer.fault = undefined;
  expect((await fetch(`${issuer.issuer}.well-known/jwks.json`)).status).toBe(200);
});

test('it signs with the first key, or with any other', () => {
  const other = createTestKey('other');
  expect(decode(issuer.token({}, {}, other))[0]).toMatchObject({ kid: 'other' });
});

test('without a key it says so', async () => {
  const empty = await startIssuer({ keys: [] });
  expect(() => empty.token()).toThrow(/no key/);
  await empty.close();
});
