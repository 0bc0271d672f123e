import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { createGunzip, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GracefulServer } from '../src/server.ts';

const GRACE_MS = 10_000;

let server: GracefulServer;
let port: number;
const agent = new Agent({ keepAlive: true });

beforeEach(async () => {
  server = new GracefulServer({ maxHeaderBytes: 24 * 1024 });
  await server.start(0, '127.0.0.1');
  port = server.port;
});
afterEach(async () => {
  server.closeAllConnections();
  if (server.listening) await once(server.close(), 'close');
});

/** Sends a request. Returns its answer and the response that the test must end. */
async function ask(): Promise<{ answer: Promise<IncomingMessage>; response: ServerResponse }> {
  const answer = once(get({ port, agent }), 'response').then(([incoming]) => incoming);
  const [, response] = await once(server, 'request');
  return { answer, response };
}

/** Sends bytes on a new connection. @returns all bytes that come back until the server ends it */
async function send(...chunks: string[]): Promise<string> {
  const socket = await open();
  const answer = text(socket);
  for (const chunk of chunks) await new Promise((resolve) => socket.write(chunk, resolve));
  return answer;
}

async function open(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
  return socket;
}

describe('start', () => {
  test.each([
    ['PORT', 'stop what listens there or set PORT'],
    ['METRICS_PORT', 'stop what listens there or set METRICS_PORT'],
  ])('names a port in use, and the setting %s', async (setting, text) => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(new GracefulServer().start(port, '127.0.0.1', setting)).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: `port ${port} on 127.0.0.1 is in use: ${text}`,
    });
    other.close();
  });

  test('names an address that this machine does not have', async () => {
    await expect(new GracefulServer().start(0, '192.0.2.1')).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
      message: "can't listen on port 0 of 192.0.2.1 (EADDRNOTAVAIL): set PORT or HOST",
    });
  });
});

test('a connection that the system could not hand over stops no other', async () => {
  const failed = Object.assign(new Error('accept ENFILE'), { code: 'ENFILE', syscall: 'accept' });
  for (let i = 0; i < 2; i += 1) server.emit('error', failed);
  const { answer, response } = await ask();
  response.end('answered');
  expect(await text(await answer)).toBe('answered');
});

describe('stop', () => {
  test('answers a request in flight and closes its connection', async () => {
    const { answer, response } = await ask();
    const stopped = server.stop(GRACE_MS);
    response.end('done');
    const incoming = await answer;
    expect(await text(incoming)).toBe('done');
    expect(incoming.headers.connection).toBe('close');
    await stopped;
    await expect(once(get({ port }), 'response')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('sends an answer to its end', async () => {
    const size = 32 * 1024 * 1024;
    const { answer, response } = await ask();
    response.end(Buffer.alloc(size));
    const incoming = await answer;
    const stopped = server.stop(GRACE_MS);
    let length = 0;
    for await (const chunk of incoming) length += chunk.length;
    expect(length).toBe(size);
    await stopped;
  });

  test('does not wait for connections without a request', async () => {
    const fresh = await open();
    const { answer, response } = await ask();
    response.end('done');
    await text(await answer);
    await Promise.all([server.stop(GRACE_MS), once(fresh, 'close')]);
  });

  test('closes the connection of an unanswered request after the grace time', async () => {
    const { answer } = await ask();
    const broken = expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' });
    await server.stop(50);
    await broken;
  });

  test('answers pipelined requests', async () => {
    const socket = await open();
    const answers = text(socket);
    const pending: ServerResponse[] = [];
    server.on('request', (_, response) => pending.push(response));
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2));
    await once(server, 'request');
    const stopped = server.stop(GRACE_MS);
    for (const [index, response] of [...pending.entries()].reverse()) response.end(`${index + 1}`);
    expect((await answers).match(/^Connection: .*(?=\r)|^\d/gm)).toEqual([
      'Connection: keep-alive',
      '1',
      'Connection: close',
      '2',
    ]);
    await stopped;
  });
});

test('a peer that reads nothing of its answer loses the connection', async () => {
  server.timeout /= 500;
  server.on('request', (_, response) => response.end(Buffer.alloc(32 * 1024 * 1024)));
  const peer = connect(port, '127.0.0.1');
  const [connection] = await once(server, 'connection');
  peer.on('error', () => {}).pause();
  peer.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(connection, 'close');
  peer.destroy();
});

test('a peer that waits for its answer keeps the connection', async () => {
  server.timeout /= 500;
  const { answer, response } = await ask();
  await once(server, 'timeout');
  response.end('done');
  expect(await text(await answer)).toBe('done');
});

describe('an answer before the body was read (RFC 9112 §9.3)', () => {
  const size = 4_000_000;
  const spaces = Buffer.alloc(size, ' ');
  const zipped = gzipSync(randomBytes(size));
  const head = (...lines: string[]) =>
    ['POST /refused HTTP/1.1', 'Host: localhost', ...lines, '', ''].join('\r\n');
  const next = 'GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const bodies: [string, string, Buffer][] = [
    ['with a length', head(`Content-Length: ${size}`), spaces],
    [
      'in chunks',
      head('Transfer-Encoding: chunked'),
      Buffer.concat([
        Buffer.from(`${size.toString(16)}\r\n`),
        spaces,
        Buffer.from('\r\n0\r\n\r\n'),
      ]),
    ],
    ['that is compressed', head(`Content-Length: ${zipped.length}`), zipped],
    ['announced', head(`Content-Length: ${size}`, 'Expect: 100-continue'), spaces],
  ];
  const readers: [string, (request: IncomingMessage) => unknown][] = [
    ['none of it is read', () => {}],
    ['a part of it is read', (request) => once(request, 'data').then(() => request.pause())],
    ['a decompressor has it', (request) => request.pipe(createGunzip()).on('error', () => {})],
  ];

  function refuse(read: (request: IncomingMessage) => unknown): void {
    server.on('request', async (request, response) => {
      if (request.url === '/next') return response.setHeader('Content-Length', 6).end('served');
      await read(request);
      await setImmediate();
      return response.writeHead(413, { 'Content-Length': 7 }).end('refused');
    });
  }

  describe.each(readers)('where %s', (_, read) => {
    test.each(bodies)('a body %s delays no next request', async (_, head, body) => {
      refuse(read);
      const socket = await open();
      const answers = text(socket);
      socket.write(head);
      socket.write(body);
      socket.write(next);
      expect((await answers).match(/HTTP\/1.1 [2-5].*(?=\r)|refused|served/g)).toEqual([
        'HTTP/1.1 413 Payload Too Large',
        'refused',
        'HTTP/1.1 200 OK',
        'served',
      ]);
    });

    test.each(bodies)('a body %s costs no last answer', async (_, head, body) => {
      refuse(read);
      const socket = await open();
      const answer = text(socket);
      socket.write(head.replace('Host:', 'Connection: close\r\nHost:'));
      socket.write(body);
      expect(await answer).toMatch(/refused$/);
    });
  });

  test('a body that does not come ends the connection, without a second answer', async () => {
    refuse(() => {});
    expect(await send(head('Content-Length: 9'), 'x')).toMatch(/^HTTP\/1.1 413 [\s\S]*refused$/);
  });

  test('an unknown expectation is ignored, and its body too', async () => {
    refuse(() => {});
    const answer = await send(head('Content-Length: 9', 'Expect: the-unexpected'), 'x');
    expect(answer).toMatch(/^HTTP\/1.1 413 [\s\S]*refused$/);
  });

  test('a body that breaks the rules gets no second answer', async () => {
    refuse(() => {});
    const socket = await open();
    const answer = text(socket);
    socket.write(head('Transfer-Encoding: chunked'));
    await once(socket, 'data');
    socket.write('no chunk\r\n');
    expect((await answer).match(/HTTP/g)).toHaveLength(1);
  });

  test('a stop waits for no body of an answered request', async () => {
    refuse(() => {});
    const socket = await open();
    socket.write(head('Content-Length: 9'));
    await once(socket, 'data');
    await Promise.all([server.stop(GRACE_MS), once(socket, 'close')]);
  });

  test('a connection that was answered so ends as any other', async () => {
    refuse(() => {});
    const socket = await open();
    socket.write(`${head('Content-Length: 2')}ok`);
    await once(socket, 'data');
    socket.write(next);
    await once(socket, 'end');
  });
});

describe('a request that the parser rejects', () => {
  const secret = 'c2VjcmV0';

  test.each([
    [
      'a header over 24 kB',
      [`GET / HTTP/1.1\r\nAuthorization: ${secret.repeat(4000)}\r\n\r\n`],
      431,
    ],
    [
      'a header of 1 MB in pieces',
      [`GET / HTTP/1.1\r\nAuthorization: ${secret}`, ...Array(16).fill(secret.repeat(8000))],
      431,
    ],
    ['random bytes', [`${secret}\r\n\r\n`], 400],
    ['an unknown method', [`${secret} / HTTP/1.1\r\nHost: localhost\r\n\r\n`], 400],
    ['TLS', [`\x16\x03\x01\x02\x00\x01${secret}`], 400],
    [
      'two content lengths',
      [
        `POST / HTTP/1.1\r\nHost: ${secret}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n${secret}`,
      ],
      400,
    ],
  ])(
    'with %s is answered as application/problem+json that repeats no part of it',
    async (_, chunks, status) => {
      const answer = await send(...chunks);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toMatch(/\r\nContent-Type: application\/problem\+json\r\n/);
      expect(answer).toMatch(/\r\nConnection: close\r\n/);
      const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
      expect(JSON.parse(body)).toMatchObject({ type: 'about:blank', status });
      expect(answer).not.toContain(secret);
    },
  );

  test('is not one with a token of 16 kB', async () => {
    server.on('request', (_, response) => response.end());
    const answer = get({
      port,
      agent,
      headers: { authorization: `Bearer ${'x'.repeat(16 * 1024)}` },
    });
    expect((await once(answer, 'response'))[0].statusCode).toBe(200);
  });

  test('does not delay a stop', async () => {
    const socket = await open();
    socket.write('garbage\r\n\r\n');
    await once(socket, 'data');
    await server.stop(GRACE_MS);
  });
});
