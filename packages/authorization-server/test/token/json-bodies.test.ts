import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, tokensFor } from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

const post = async (path: string, body: string) => {
  const answer = await got.post(server.issuer + path, {
    body,
    headers: { 'content-type': 'application/json' },
    throwHttpErrors: false,
  });
  return { status: answer.statusCode, body: answer.body };
};

const client = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };

test('the token endpoint accepts JSON', async () => {
  const machine = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
  const form = { ...machine, grant_type: 'client_credentials', audience: API, state: null };
  const { status, body } = await post('oauth/token', JSON.stringify(form));
  expect(status).toBe(200);
  expect(decodeJwt((JSON.parse(body) as Record<string, string>).access_token ?? '').aud).toBe(API);
});

test('the revocation endpoint accepts JSON', async () => {
  const { tokens } = await tokensFor(server);
  const token = tokens.refresh_token;
  expect(await post('oauth/revoke', JSON.stringify({ ...client, token }))).toEqual({
    status: 200,
    body: '',
  });
  const again = { ...client, grant_type: 'refresh_token', refresh_token: token };
  expect((await post('oauth/token', JSON.stringify(again))).status).toBe(403);
});

describe('a body that is no JSON object of plain fields is refused with 400', () => {
  test.each([
    ['no JSON', '{"grant_type"'],
    ['a list', '[1]'],
    ['a text', '"client_id"'],
    ['an object for a field', JSON.stringify({ ...client, grant_type: { a: 1 } })],
  ])('%s', async (_name, body) => {
    const answer = await post('oauth/token', body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_request' });
  });
});

test('an empty body is refused with 401 because it names no client', async () => {
  const answer = await post('oauth/token', '');
  expect(answer.status).toBe(401);
  expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_client' });
});

test('the path ignores case and a slash at its end, as with a form', async () => {
  const answer = await post('OAuth/Token/', JSON.stringify({ ...client, grant_type: 'x' }));
  expect(JSON.parse(answer.body)).toMatchObject({ error: 'unsupported_grant_type' });
});
