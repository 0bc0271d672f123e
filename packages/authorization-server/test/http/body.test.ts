import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GracefulServer } from '@koa-oauth/service';
import Koa from 'koa';
import { pino } from 'pino';
import { readBody, readForm, readJson } from '../../src/http/body.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { sendRaw } from '../support/raw-request.ts';

describe('a body', () => {
  let server: GracefulServer;
  let url: string;
  let failures: unknown[] = [];
  beforeAll(async () => {
    const app = new Koa();
    app.use(async (_ctx, next) => {
      try {
        await next();
      } catch (error) {
        failures.push(error);
        throw error;
      }
    });
    app.use(async (ctx) => {
      if (ctx.path === '/form') ctx.body = await readForm(ctx);
      else if (ctx.path === '/json') ctx.body = await readJson(ctx, 20);
      else ctx.body = await readBody(ctx, 20);
    });
    app.silent = true;
    server = new GracefulServer();
    server.on('request', app.callback());
    await server.start(0, '127.0.0.1');
    url = `http://127.0.0.1:${server.port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const post = async (path: string, body: BodyInit, headers: Record<string, string> = {}) => {
    const answer = await fetch(url + path, {
      method: 'POST',
      body,
      headers,
      duplex: 'half',
    } as RequestInit);
    return { status: answer.status, text: await answer.text() };
  };
  const stream = (...parts: string[]) =>
    new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });

  describe('the body', () => {
    test('is read to its end in any pieces, also within a character', async () => {
      expect(await post('/', 'x'.repeat(20))).toEqual({ status: 200, text: 'x'.repeat(20) });
      const [head, tail] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)];
      const cut = new ReadableStream({
        start(controller) {
          controller.enqueue(head);
          controller.enqueue(tail);
          controller.close();
        },
      });
      expect(await post('/', cut)).toEqual({ status: 200, text: 'ü' });
    });

    test.each([
      ['announced', 'x'.repeat(21)],
      ['in pieces', stream('x'.repeat(20), 'x')],
    ])('is refused with 413 for one byte too many, %s', async (_name, body) => {
      expect((await post('/', body)).status).toBe(413);
    });

    test('leaves the connection usable after one that is too long', async () => {
      const socket = connect(server.port, '127.0.0.1');
      const long = 'x'.repeat(200_000);
      socket.write(
        `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${long.length.toString(16)}\r\n${long}\r\n0\r\n\r\n`,
      );
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnext');
      let received = '';
      for await (const chunk of socket) {
        received += chunk;
        if (received.endsWith('next')) break;
      }
      expect(received).toContain('HTTP/1.1 413');
    });

    test('is refused with 415 when it is compressed', async () => {
      const body = new Uint8Array(gzipSync('x'.repeat(100_000)));
      expect((await post('/', body, { 'content-encoding': 'gzip' })).status).toBe(415);
    });

    test('is refused with 400 when it breaks off', async () => {
      failures = [];
      const received = once(server, 'request');
      const socket = connect(server.port, '127.0.0.1');
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf');
      await received;
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.destroy();
      while (failures.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(failures).toEqual([expect.objectContaining({ status: 400 })]);
    });
  });

  describe('JSON', () => {
    test('is an object or empty', async () => {
      expect(await post('/json', '{"a":[1]}')).toEqual({ status: 200, text: '{"a":[1]}' });
      expect(await post('/json', '')).toEqual({ status: 200, text: '{}' });
    });

    test.each(['{', '[1]', '"a"', 'null', '1', 'secret'])(
      '%s: 400 that repeats nothing',
      async (body) => {
        const answer = await post('/json', body);
        expect([answer.status, answer.text]).toEqual([400, 'the body is no JSON object']);
      },
    );
  });

  describe('a form', () => {
    const form = (body: string) =>
      post('/form', body, { 'content-type': 'application/x-www-form-urlencoded' });

    test('has a text for each field, and a list for a repeated field', async () => {
      expect(JSON.parse((await form('a=1&b=x+%C3%BC&a=2&c=')).text)).toEqual({
        a: ['1', '2'],
        b: 'x ü',
        c: '',
      });
      expect(JSON.parse((await form('a=1&a=2&a=3')).text)).toEqual({ a: ['1', '2', '3'] });
    });

    test('may have fields with names of object members', async () => {
      const { text } = await form('__proto__=1&constructor=2&a[b]=3');
      expect(text).toBe('{"__proto__":"1","constructor":"2","a[b]":"3"}');
    });

    test('has no fields with another type or none', async () => {
      expect((await post('/form', '{"a":1}', { 'content-type': 'application/json' })).text).toBe(
        '{}',
      );
      expect((await post('/form', 'a=1', { 'content-type': 'text/plain' })).text).toBe('{}');
    });

    test('is refused with 413 above 10 kB', async () => {
      expect((await form(`a=${'x'.repeat(10_240)}`)).status).toBe(413);
    });
  });
});

describe('a request', () => {
  afterAll(stopServers);

  test('with a body that was not read delays no next request (RFC 9112 §9.3)', async () => {
    const server = await startDemo();
    const body = 'x'.repeat(2_000_000);
    const next = 'GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    for (const [path, type, status] of [
      ['/oauth/token', 'application/json', '400'],
      ['/oauth/token', 'application/x-www-form-urlencoded', '400'],
      ['/oauth/par', 'application/x-www-form-urlencoded', '400'],
      ['/continue', 'application/x-www-form-urlencoded', '413'],
      ['/nowhere', 'text/plain', '404'],
    ]) {
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n`;
      for (const rest of [
        `Content-Length: ${body.length}\r\n\r\n${body}`,
        `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      ]) {
        const answers = await sendRaw(server, head + rest + next);
        const statuses = answers.match(/(?<=HTTP\/1.1 )\d{3}/g);
        expect([path, ...(statuses ?? [])]).toEqual([path, status, '200']);
      }
    }
  });

  test.each([
    ['http://[/x?code=SECRET', 400],
    ['a://?code=SECRET', 400],
    ['http://%zz/x?code=SECRET', 404],
    ['//[/x?code=SECRET', 404],
  ])('for the target %s is a %i page, and its query in no log', async (target, status) => {
    const log: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
    const answer = await sendRaw(
      await startDemo(undefined, { logger }),
      `GET ${target} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/^content-type: text\/html/im);
    expect(answer).toMatch(/^content-security-policy: /im);
    expect([answer, ...log].join()).not.toContain('SECRET');
  });
});
