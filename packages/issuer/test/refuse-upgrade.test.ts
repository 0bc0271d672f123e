import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { IssuerUnavailable } from '../src/errors.ts';
import { fetchJson } from '../src/fetch-json.ts';

let server: Server;
let origin: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    response.writeHead(101, { Connection: 'upgrade', Upgrade: 'other' });
    response.flushHeaders();
    request.socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  await once(server.close(), 'close');
});

test('an answer that changes the protocol is no answer, and nobody waits for another', async () => {
  const fetched = fetchJson(`${origin}/doc`, { timeout: 2000, maxBytes: 1000 });
  const error = await fetched.catch((e) => e);
  expect(error).toBeInstanceOf(IssuerUnavailable);
  expect(error).toMatchObject({ detail: `GET ${origin}/doc: ERR_UNWANTED_UPGRADE` });
});
