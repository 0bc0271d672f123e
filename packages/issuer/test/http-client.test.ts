import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http, {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import https, { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import {
  type AddressInfo,
  connect,
  createServer as createNetServer,
  type Server,
  type Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import {
  createHttpClient,
  type HttpClientOptions,
  HttpError,
  type HttpRequest,
} from '../src/http-client.ts';
import { selfSigned } from './support/self-signed.ts';

const limits = { timeout: 5000, maxBodyBytes: 100_000 };
const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** Sends a request to a server that answers like this. @returns the answer, or the error */
async function against(
  listener: RequestListener,
  options: HttpClientOptions = {},
  request?: HttpRequest,
  host = '127.0.0.1',
): Promise<unknown> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const http = createHttpClient({ ...limits, ...options });
    const url = `http://${host}:${portOf(server)}/path?secret=1`;
    return await http(url, request).catch((error: unknown) => error);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('each address of a name has a second to connect', async () => {
  const createConnection = jest.spyOn(http.Agent.prototype, 'createConnection');
  try {
    const answer = await against((_, response) => response.end('ok'), {}, undefined, 'localhost');
    expect(answer).toMatchObject({ status: 200, body: 'ok' });
    const [options] = createConnection.mock.calls[0] ?? [];
    expect(options).toMatchObject({ host: 'localhost', autoSelectFamilyAttemptTimeout: 1000 });
  } finally {
    createConnection.mockRestore();
  }
});

test('a name under localhost is this machine, whatever a resolver says (RFC 6761 §6.3)', async () => {
  const echo: RequestListener = ({ headers }, response) => response.end(headers.host);
  const answer = await against(echo, {}, undefined, 'auth.acme.localhost');
  expect(answer).toMatchObject({
    status: 200,
    body: expect.stringMatching(/^auth\.acme\.localhost:/),
  });
});

test.each([
  ['AbortSignal.timeout', () => AbortSignal.timeout(20), 'ETIMEDOUT'],
  ['AbortSignal.abort', () => AbortSignal.abort(), 'ERR_ABORTED'],
])('a request that %s ends has a code', async (_, makeSignal, code) => {
  const error = await against(() => {}, {}, { signal: makeSignal() });
  expect(error).toMatchObject({
    name: 'HttpError',
    code,
    message: expect.stringMatching(`: ${code}$`),
  });
});

describe('a content coding that was not asked for (RFC 9110 §12.5.3)', () => {
  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', (text: string) => Buffer.from(text)],
  ])('%s is decoded', async (coding, encode) => {
    const asked: unknown[] = [];
    const answer = await against((request, response) => {
      asked.push(request.headers['accept-encoding']);
      response.writeHead(200, { 'content-encoding': coding }).end(encode('{"ok":true}'));
    });
    expect(asked).toEqual(['identity']);
    expect(answer).toMatchObject({ status: 200, body: '{"ok":true}' });
  });

  test.each([
    ['a coding of another name', 'zstd', Buffer.from('x'), 'ERR_HTTP_CODING'],
    ['two codings', 'gzip, br', gzipSync('x'), 'ERR_HTTP_CODING'],
    ['a body that is not gzip', 'gzip', Buffer.from('{}'), 'ERR_HTTP_CODING'],
    ['a cut gzip body', 'gzip', gzipSync('x'.repeat(99)).subarray(0, 20), 'ERR_HTTP_CODING'],
    ['10 MB in 10 kB', 'gzip', gzipSync('x'.repeat(10_000_000)), 'ERR_HTTP_TOO_LARGE'],
    ['10 MB in 20 bytes', 'br', brotliCompressSync('x'.repeat(10_000_000)), 'ERR_HTTP_TOO_LARGE'],
  ])('%s is an error with a code', async (_, coding, body, code) => {
    const error = await against((_request, response) =>
      response.writeHead(200, { 'content-encoding': coding }).end(body),
    );
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ code });
  });
});

test('a byte order mark is not part of the text (RFC 8259 §8.1)', async () => {
  expect(await against((_, response) => response.end('\ufeff{}'))).toMatchObject({ body: '{}' });
});

test('an error holds nothing of the request but its method, origin and path', async () => {
  const error = await against(
    (request) => request.socket.destroy(),
    {},
    {
      method: 'POST',
      body: 'client_secret=s3cret',
      headers: { authorization: 'Bearer s3cret' },
    },
  );
  expect(error).toBeInstanceOf(HttpError);
  expect((error as Error).message).toMatch(/^POST http:\/\/127\.0\.0\.1:\d+\/path: ECONNRESET$/);
  expect(JSON.stringify({ ...(error as object), cause: (error as Error).cause })).not.toContain(
    's3cret',
  );
});

describe('a reused connection that the server has closed (RFC 9112 §9.3.1)', () => {
  async function secondOf(
    method: string,
    headers?: HttpRequest['headers'],
  ): Promise<{ second: unknown; requests: number; numbers: unknown[] }> {
    let requests = 0;
    const numbers: unknown[] = [];
    const perSocket = new WeakMap<object, number>();
    const server = createServer((request, response) => {
      requests += 1;
      numbers.push(request.headers['x-number']);
      const count = (perSocket.get(request.socket) ?? 0) + 1;
      perSocket.set(request.socket, count);
      if (count > 1) request.socket.destroy();
      else response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const http = createHttpClient(limits);
      const url = `http://127.0.0.1:${portOf(server)}/`;
      await http(url, { method });
      const second = await http(url, { method, headers }).catch((error: unknown) => error);
      return { second, requests, numbers };
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  test('a GET is sent once more', async () => {
    expect(await secondOf('GET')).toMatchObject({ second: { status: 200 }, requests: 3 });
  });

  test('with other headers, if they are a function', async () => {
    let number = 0;
    const { numbers } = await secondOf('GET', () => {
      number += 1;
      return { 'x-number': `${number}` };
    });
    expect(numbers).toEqual([undefined, '1', '2']);
  });

  test('a POST is not sent once more', async () => {
    const { second, requests } = await secondOf('POST');
    expect(second).toMatchObject({ code: 'ECONNRESET' });
    expect(requests).toBe(2);
  });

  test('a GET on a new connection is not', async () => {
    let requests = 0;
    await against((request) => {
      requests += 1;
      request.socket.destroy();
    });
    expect(requests).toBe(1);
  });
});

describe('a proxy', () => {
  const HOST = 'tenant.example.com';
  const { key, cert } = selfSigned(HOST);
  const forProxy = selfSigned();
  const asked: string[] = [];
  let answer = 'HTTP/1.1 200 OK\r\n\r\n';
  let target: TlsServer;
  let proxy: Server;
  let tlsProxy: TlsServer;
  let proxyURL: string;
  const environment = { ...process.env };
  const closeLater: Server[] = [];

  beforeAll(async () => {
    target = createTlsServer({ key, cert }, (_, response) => response.end('{"through":true}'));
    const openTunnel = (request: IncomingMessage, socket: Duplex) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
      socket.on('error', () => {});
      socket.write(answer);
      if (!answer.includes(' 200 ')) return void socket.end();
      const tunnel = connect(portOf(target), '127.0.0.1');
      tunnel.on('error', () => {}).on('close', () => socket.destroy());
      socket.pipe(tunnel).pipe(socket);
    };
    proxy = createServer().on('connect', openTunnel);
    tlsProxy = createTlsServer(forProxy).on('connect', openTunnel);
    for (const server of [target, proxy, tlsProxy]) {
      await once(server.listen(0, '127.0.0.1'), 'listening');
    }
    proxyURL = `http://127.0.0.1:${portOf(proxy)}`;
  });
  afterEach(() => {
    asked.length = 0;
    answer = 'HTTP/1.1 200 OK\r\n\r\n';
    process.env = { ...environment };
    for (const server of closeLater.splice(0)) server.close();
  });
  afterAll(() => {
    target.closeAllConnections();
    target.close();
    proxy.close();
    tlsProxy.close();
  });

  /** Starts a proxy that does this with each connection. @returns its port */
  async function startOddProxy(handle: (socket: Socket) => void): Promise<number> {
    const server = createNetServer((socket) => handle(socket.on('error', () => {})));
    closeLater.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return portOf(server);
  }

  test('named by option carries https requests, credentials and all', async () => {
    const http = createHttpClient({ proxy: proxyURL.replace('//', '//user:pass@'), ca: cert });
    expect(await http(`https://${HOST}/x`)).toMatchObject({
      status: 200,
      body: '{"through":true}',
    });
    expect(asked).toEqual([`${HOST}:443 Basic ${btoa('user:pass')}`]);
  });

  test('named by HTTPS_PROXY does too, unless NO_PROXY or the option excludes it', async () => {
    Object.assign(process.env, { HTTPS_PROXY: proxyURL, NO_PROXY: 'other.invalid' });
    expect(await createHttpClient({ ca: cert })(`https://${HOST}/`)).toMatchObject({ status: 200 });
    const direct = { code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) };
    await expect(createHttpClient()('https://other.invalid/')).rejects.toMatchObject(direct);
    const never = createHttpClient({ proxy: false });
    await expect(never('https://issuer.invalid/')).rejects.toMatchObject(direct);
    expect(asked).toEqual([`${HOST}:443`]);
  });

  test('named by HTTPS_PROXY without a scheme is an http proxy', async () => {
    Object.assign(process.env, { HTTPS_PROXY: proxyURL.replace('http://', ''), NO_PROXY: '' });
    expect(await createHttpClient({ ca: cert })(`https://${HOST}/`)).toMatchObject({ status: 200 });
    expect(asked).toEqual([`${HOST}:443`]);
  });

  test.each(['socks5://127.0.0.1:1080', 'http://', '://', 'http://user:se%cret@proxy'])(
    'named by HTTPS_PROXY as %s is an error that names the variable',
    async (value) => {
      Object.assign(process.env, { HTTPS_PROXY: value, NO_PROXY: '' });
      await expect(createHttpClient()(`https://${HOST}/`)).rejects.toMatchObject({
        name: 'HttpError',
        code: 'ERR_HTTP_PROXY',
        message: expect.stringContaining('HTTPS_PROXY must be a URL such as http://'),
      });
    },
  );

  test('named by another variable is not asked', async () => {
    Object.assign(process.env, { ALL_PROXY: proxyURL, HTTPS_PROXY: '', NO_PROXY: '' });
    await expect(createHttpClient()('https://issuer.invalid/')).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
    });
    expect(asked).toEqual([]);
  });

  test('of the global agents, as with NODE_USE_ENV_PROXY, is not asked', async () => {
    const { globalAgent } = http;
    const { globalAgent: globalTlsAgent } = https;
    const refuse = () => {
      throw new Error('the global agent was used');
    };
    http.globalAgent = Object.assign(new http.Agent(), { createConnection: refuse });
    https.globalAgent = Object.assign(new https.Agent(), { createConnection: refuse });
    try {
      expect(await against((_, response) => response.end())).toMatchObject({ status: 200 });
      const never = createHttpClient({ proxy: false });
      await expect(never('https://issuer.invalid/')).rejects.toMatchObject({
        code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
      });
    } finally {
      http.globalAgent = globalAgent;
      https.globalAgent = globalTlsAgent;
    }
  });

  test('can itself be reached over https', async () => {
    const proxyURL = `https://user:pass@127.0.0.1:${portOf(tlsProxy)}`;
    const http = createHttpClient({ proxy: proxyURL, ca: [cert, forProxy.cert] });
    expect(await http(`https://${HOST}/x`)).toMatchObject({ body: '{"through":true}' });
    expect(asked).toEqual([`${HOST}:443 Basic ${btoa('user:pass')}`]);
    const code = 'DEPTH_ZERO_SELF_SIGNED_CERT';
    const untrusting = createHttpClient({ proxy: proxyURL, ca: cert });
    await expect(untrusting(`https://${HOST}/x`)).rejects.toMatchObject({ code });
  });

  test.each(['http', 'https'])(
    'reached over %s that closes the connection ends the request, not the process',
    async (scheme) => {
      const port = await startOddProxy((socket) => socket.once('data', () => socket.end()));
      const http = createHttpClient({ proxy: `${scheme}://127.0.0.1:${port}` });
      await expect(http(`https://${HOST}/`)).rejects.toMatchObject({ code: 'ECONNRESET' });
      // An error that nothing handles fails the test.
      await new Promise((resolve) => setTimeout(resolve, 50));
    },
  );

  test('that does not answer loses its connection after the time of the request', async () => {
    let closed: Promise<unknown> | undefined;
    const port = await startOddProxy((socket) => {
      closed = once(socket.resume(), 'close');
    });
    const http = createHttpClient({ proxy: `http://127.0.0.1:${port}`, timeout: 100 });
    const code = expect.stringMatching(/^(ETIMEDOUT|ERR_HTTP_PROXY)$/);
    await expect(http(`https://${HOST}/`)).rejects.toMatchObject({ code });
    expect(closed).toBeDefined();
    await closed;
  });

  test('is not asked for a loopback address', async () => {
    const http = createHttpClient({ proxy: proxyURL, ca: cert });
    await expect(http(`https://127.0.0.1:${portOf(target)}/`)).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(asked).toEqual([]);
  });

  test.each([400, 401, 407, 502])(
    'that answers %i itself gives no answer of the server',
    async (status) => {
      answer = `HTTP/1.1 ${status} No\r\nContent-Length: 25\r\n\r\n{"error":"invalid_grant"}`;
      const http = createHttpClient({ proxy: proxyURL, ca: cert });
      await expect(http(`https://${HOST}/`)).rejects.toMatchObject({
        code: 'ERR_HTTP_PROXY',
        message: `GET https://${HOST}/: the proxy answered ${status}`,
      });
    },
  );

  test('sees no certificate accepted that is not trusted', async () => {
    await expect(createHttpClient({ proxy: proxyURL })(`https://${HOST}/`)).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });
});

test.each<[string, object, string]>([
  ['a timeout of 0', { timeout: 0 }, 'timeout must be a number above 0'],
  ['a limit that is no number', { maxBodyBytes: '5' }, 'maxBodyBytes must be a number above 0'],
  ['a proxy without a scheme', { proxy: 'proxy:3128' }, 'proxy must be false, or a URL'],
  ['a SOCKS proxy', { proxy: 'socks5://proxy:1080' }, 'proxy must be false, or a URL'],
  ['the path of a certificate', { ca: '/etc/ca.pem' }, 'ca must be PEM certificates'],
])('%s is refused at once', (_, options, message) => {
  expect(() => createHttpClient(options)).toThrow(message);
});

describe('a server that misbehaves', () => {
  /** Writes for as long as the reader takes it; answers with how much that was. */
  function pour(response: ServerResponse, total: number): Promise<number> {
    const chunk = Buffer.alloc(64 * 1024, ' ');
    let sent = 0;
    return new Promise((resolve) => {
      response.on('close', () => resolve(sent));
      const write = () => {
        while (sent < total && !response.destroyed) {
          sent += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', write);
        }
        if (!response.destroyed) response.end();
      };
      write();
    });
  }

  test.each([200, 404])('300 MB with status %i are cut off early', async (status) => {
    let poured: Promise<number> | undefined;
    const error = await against((_, response) => {
      response.writeHead(status);
      poured = pour(response, 300 * 2 ** 20);
    });
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ message: expect.stringContaining('more than 100000 bytes') });
    // The buffers of the sockets on both sides were sent too.
    expect(await poured).toBeLessThan(30 * 2 ** 20);
  });

  test('a body of exactly the limit is taken, one byte more is not', async () => {
    const body = (length: number) => `"${'x'.repeat(length - 2)}"`;
    const answer = (length: number) =>
      against((_, response) => response.end(body(length)), { maxBodyBytes: 5000 });
    expect(await answer(5000)).toMatchObject({ status: 200 });
    expect(await answer(5001)).toBeInstanceOf(HttpError);
  });

  test.each<[string, RequestListener]>([
    ['says nothing', () => {}],
    ['stalls after its headers', (_, response) => response.writeHead(200).flushHeaders()],
    ['stalls in the body', (_, response) => response.writeHead(200).write('{"keys":[')],
    [
      'drips',
      (_, response) => {
        const drip = setInterval(() => response.write(' '), 10);
        response.on('close', () => clearInterval(drip));
      },
    ],
  ])('one that %s is given up on: the limit is for the whole exchange', async (_, listener) => {
    const error = await against(listener, { timeout: 100 });
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ message: expect.stringContaining('ETIMEDOUT') });
  });

  test.each<[string, RequestListener]>([
    ['hangs up at once', (request) => request.socket.destroy()],
    [
      'cuts a chunked body',
      (request, response) => {
        response.writeHead(200).write('{"keys":[]');
        setTimeout(() => request.socket.destroy(), 10);
      },
    ],
    [
      'cuts a body of known length',
      (request, response) => {
        response.writeHead(200, { 'Content-Length': '50' }).write('{"keys":[]}');
        setTimeout(() => request.socket.destroy(), 10);
      },
    ],
    [
      'changes the protocol (RFC 9110 §15.2.2)',
      (_, response) => {
        response.writeHead(101, { Connection: 'upgrade', Upgrade: 'other' });
        response.flushHeaders();
      },
    ],
    ['speaks no HTTP', (request) => request.socket.end('220 smtp ready\r\n')],
  ])('one that %s is no answer', async (_, listener) => {
    expect(await against(listener)).toBeInstanceOf(HttpError);
  });
});

test('a server that supports TLS 1.1 at most is not used', async () => {
  proves('FAPI 2.0 §5.2.1');
  const { key, cert } = selfSigned();
  const old = {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  } as const;
  const server = createTlsServer({ key, cert, ...old }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const request = createHttpClient({ ca: cert })(`https://127.0.0.1:${port}/`);
    await expect(request).rejects.toMatchObject({ code: 'EPROTO' });
  } finally {
    server.close();
  }
});

describe('the certificate of the server', () => {
  const { key, cert } = selfSigned();
  const directory = mkdtempSync(join(tmpdir(), 'certificate-'));
  const trusted = join(directory, 'cert.pem');
  writeFileSync(trusted, cert);
  afterAll(() => rmSync(directory, { recursive: true }));

  // In a process of its own: Node reads both variables where no test can set them.
  const SCRIPT = `
    const { createHttpClient } = await import(process.argv[1]);
    const answer = createHttpClient()(process.argv[2]);
    console.log(await answer.then(({ status }) => status, ({ message }) => message));
  `;

  test.each<[string, Record<string, string>, string, number]>([
    ['one that is vouched for is accepted', { NODE_EXTRA_CA_CERTS: trusted }, '200', 1],
    ['no other is accepted', {}, 'DEPTH_ZERO_SELF_SIGNED_CERT', 0],
    [
      'no other is accepted, whatever the environment says',
      { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      0,
    ],
  ])('%s (RFC 6750 §5.3)', async (_, env, expected, requests) => {
    proves('RFC 6750 §5.3 certificates', 'FAPI 2.0 §5.2.1');
    let received = 0;
    const server = createTlsServer({ key, cert }, (_, response) => {
      received += 1;
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const file = new URL('../dist/http-client.js', import.meta.url).href;
      const args = ['--input-type=module', '-e', SCRIPT, file, `https://127.0.0.1:${port}/`];
      const { stdout } = await promisify(execFile)(process.execPath, args, {
        env: { PATH: process.env.PATH, ...env },
      });
      expect(stdout).toContain(expected);
      expect(received).toBe(requests);
    } finally {
      server.close();
    }
  });
});
