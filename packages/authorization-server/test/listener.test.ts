import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from '@jest/globals';
import { close, listen, portOf } from '../src/listener.ts';

test('a free port, and free again once it is closed', async () => {
  const server = await listen('127.0.0.1', 0);
  const port = portOf(server);
  expect(port).toBeGreaterThan(0);
  await expect(listen('127.0.0.1', port, 'CONTROL')).rejects.toMatchObject({
    code: 'EADDRINUSE',
    message: `port ${port} on 127.0.0.1 is in use: stop what listens there or set CONTROL`,
  });
  await close(server);
  await close(await listen('127.0.0.1', port));
});

test('an address that is not ours names what to set', async () => {
  await expect(listen('192.0.2.1', 0)).rejects.toMatchObject({
    name: 'StartError',
    message: expect.stringMatching(
      /^can't listen on port 0 of 192\.0\.2\.1 \(\w+\): set PORT or HOST$/,
    ),
  });
});

test('a request that never ends is cut', async () => {
  const server = await listen('127.0.0.1', 0);
  server.on('request', () => {});
  const socket = connect(portOf(server), '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(server, 'request');
  const ended = once(socket.resume(), 'close');
  await Promise.all([close(server), ended]);
});
