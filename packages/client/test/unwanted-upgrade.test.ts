import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import { ApiClient } from '../src/api/api.ts';
import { postToEndpoint } from '../src/oauth/token-endpoint.ts';

// For Node an answer of 101 ends the exchange without a response: a client could wait forever.

const credentials = { clientID: 'client-1', clientAuthMethod: 'none' } as const;
const http = createHttpClient({ timeout: 2000 });

let server: Server;
let origin: string;
/** Number of refusals before the first 101. */
let refusals: number;

beforeAll(async () => {
  server = createServer((request, response) => {
    request.socket.on('error', () => {});
    refusals -= 1;
    if (refusals >= 0) {
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end();
    } else response.writeHead(101, { Connection: 'upgrade', Upgrade: 'other' }).flushHeaders();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

beforeEach(() => {
  refusals = 0;
});

afterAll(async () => {
  server.closeAllConnections();
  await once(server.close(), 'close');
});

test('an endpoint that changes the protocol gave no answer', async () => {
  const [url, parameters] = [`${origin}token`, { refresh_token: 'r' }];
  const seconds = () => 1_700_000_000;
  const request = postToEndpoint({ url, issuer: origin, credentials, parameters, http, seconds });
  const error = await request.catch((e) => e);
  expect(error).toMatchObject({
    code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
    detail: `POST ${origin}token: ERR_UNWANTED_UPGRADE`,
  });
});

test.each([0, 1])('nor did an API, after %i refused tokens', async (count) => {
  refusals = count;
  const api = new ApiClient({ baseURL: origin, http, now: Date.now }).bind(
    async ({ insteadOf }) => `${insteadOf ?? 'token'}-1`,
  );
  const error = await api.get('things').catch((e) => e);
  expect(error).toMatchObject({
    code: 'ERR_API_UNAVAILABLE',
    detail: `GET ${origin}things: ERR_UNWANTED_UPGRADE`,
  });
});
