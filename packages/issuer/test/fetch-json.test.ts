import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { IssuerUnavailable } from '../src/errors.ts';
import { fetchJson } from '../src/fetch-json.ts';
import { selfSigned } from './support/self-signed.ts';

const limits = { timeout: 5000, maxBytes: 100_000 };

describe('what is asked and answered', () => {
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
    expect(await fetchJson(`${origin}/doc`, limits)).toEqual({
      status: 200,
      body: { ok: true },
      maxAge: undefined,
    });
    expect(headers).toMatchObject({ accept: 'application/json', 'user-agent': 'koa-oauth' });
    expect(headers).not.toHaveProperty('accept-encoding');
    expect(headers).not.toHaveProperty('cookie');
    expect(headers).not.toHaveProperty('authorization');
  });

  test.each([
    ['max-age=300', 300_000],
    ['public, max-age=300, must-revalidate', 300_000],
    ['MAX-AGE="60"', 60_000],
    ['s-maxage=5', undefined],
    ['x-max-age=5', undefined],
    ['max-age=-5', undefined],
    ['max-age=soon', undefined],
    ['no-store', 0],
    ['no-cache, max-age=300', 0],
    ['max-age=300, No-Store', 0],
    ['x-no-store, max-age=300', 300_000],
    ['', undefined],
  ])('Cache-Control: %s keeps it %s ms (RFC 9111 §5.2.2)', async (value, maxAge) => {
    nock(origin).get('/doc').reply(200, '{}', { 'cache-control': value });
    expect((await fetchJson(`${origin}/doc`, limits)).maxAge).toBe(maxAge);
  });

  test.each([204, 301, 302, 307, 400, 404, 500, 503])(
    'status %i is given out without a body, and no redirect followed',
    async (status) => {
      nock(origin)
        .get('/doc')
        .reply(status, '', { location: `${origin}/elsewhere` });
      const elsewhere = nock(origin).get('/elsewhere').reply(200, { evil: true });
      expect(await fetchJson(`${origin}/doc`, limits)).toMatchObject({ status, body: undefined });
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
    await expect(fetchJson(`${origin}/doc`, limits)).rejects.toMatchObject({
      name: 'IssuerUnavailable',
      detail: `GET ${origin}/doc: the body is not JSON`,
    });
  });

  test('a compressed body is not unfolded', async () => {
    const bomb = gzipSync(JSON.stringify({ keys: 'x'.repeat(10_000_000) }));
    nock(origin).get('/doc').reply(200, bomb, { 'content-encoding': 'gzip' });
    await expect(fetchJson(`${origin}/doc`, limits)).rejects.toBeInstanceOf(IssuerUnavailable);
  });

  test('a failed connection is told by its code, and not tried again', async () => {
    const scope = nock(origin)
      .get('/doc')
      .replyWithError(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
      .get('/doc')
      .reply(200, {});
    await expect(fetchJson(`${origin}/doc`, limits)).rejects.toMatchObject({
      detail: `GET ${origin}/doc: ECONNREFUSED`,
    });
    expect(scope.isDone()).toBe(false);
  });
});

describe('a server that misbehaves', () => {
  async function against(
    listener: RequestListener,
    { timeout = 5000, maxBytes = 100_000 } = {},
  ): Promise<unknown> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      return await fetchJson(`http://127.0.0.1:${port}/`, { timeout, maxBytes }).catch(
        (error: unknown) => error,
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

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
    expect(error).toBeInstanceOf(IssuerUnavailable);
    expect(error).toMatchObject({ detail: expect.stringContaining('more than 100000 bytes') });
    // What lay in the sockets' buffers on both sides was sent too.
    expect(await poured).toBeLessThan(30 * 2 ** 20);
  });

  test('a body of exactly the limit is taken, one byte more is not', async () => {
    const body = (length: number) => `"${'x'.repeat(length - 2)}"`;
    const answer = (length: number) =>
      against((_, response) => response.end(body(length)), { maxBytes: 5000 });
    expect(await answer(5000)).toMatchObject({ status: 200 });
    expect(await answer(5001)).toBeInstanceOf(IssuerUnavailable);
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
    expect(error).toBeInstanceOf(IssuerUnavailable);
    expect(error).toMatchObject({ detail: expect.stringContaining('ETIMEDOUT') });
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
    ['speaks no HTTP', (request) => request.socket.end('220 smtp ready\r\n')],
  ])('one that %s is no answer', async (_, listener) => {
    expect(await against(listener)).toBeInstanceOf(IssuerUnavailable);
  });
});

describe('the certificate of the server', () => {
  const { key, cert } = selfSigned();
  const directory = mkdtempSync(join(tmpdir(), 'certificate-'));
  const trusted = join(directory, 'cert.pem');
  writeFileSync(trusted, cert);
  afterAll(() => rmSync(directory, { recursive: true }));

  // In a process of its own: Node reads both variables where no test can set them.
  const SCRIPT = `
    const { fetchJson } = await import(process.argv[1]);
    const answer = fetchJson(process.argv[2], { timeout: 5000, maxBytes: 100 });
    console.log(await answer.then(({ status }) => status, ({ detail }) => detail));
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
    let received = 0;
    const server = createTlsServer({ key, cert }, (_, response) => {
      received += 1;
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const file = new URL('../dist/fetch-json.js', import.meta.url).href;
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
