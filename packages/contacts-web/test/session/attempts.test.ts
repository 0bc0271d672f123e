import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { tryApi } from '../../src/session/attempts.ts';

const tokens = { accessToken: 'opaque', idToken: 'opaque' };
let stop = () => {};

afterEach(() => stop());

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('returns the answer, with a bounded part of the body', async () => {
  const url = await serve((_request, response) => {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end('x'.repeat(10_000));
  });
  const answer = await tryApi(url, 'none', tokens);
  expect(answer).toMatchObject({ status: 401, challenge: 'Bearer' });
  expect(answer?.body).toHaveLength(2000);
});

test('follows no redirect', async () => {
  const url = await serve((_request, response) => {
    response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end();
  });
  expect(await tryApi(url, 'none', tokens)).toMatchObject({ status: 302 });
});

test('a body without end is no answer', async () => {
  const url = await serve((_request, response) => {
    const more = () => {
      if (!response.destroyed && response.write('x'.repeat(16_384))) setImmediate(more);
      else response.once('drain', more);
    };
    more();
  });
  expect(await tryApi(url, 'none', tokens)).toBeUndefined();
});

test('a token that is no JWT cannot be changed', async () => {
  expect(await tryApi('http://127.0.0.1:1', 'expired', tokens)).toBeUndefined();
});

test('an unwanted change of the protocol is no answer', async () => {
  const url = await serve((request) => {
    request.socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    );
  });
  expect(await tryApi(url, 'none', tokens, 300)).toBeUndefined();
});
