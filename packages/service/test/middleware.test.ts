import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import {
  callerAddress,
  logBrokenAnswers,
  rejectMalformedTarget,
  requestLog,
  securityHeaders,
} from '../src/middleware.ts';

const OWN_ID = expect.stringMatching(/^[0-9a-f-]{36}$/);

type Line = Record<string, unknown> & { level: string; text: string };

let lines: Line[];
let app: Koa;
let server: Server;
let origin: string;

const logger = {
  info: (line: object, text: string) => lines.push({ ...line, level: 'info', text }),
  error: (line: object, text: string) => lines.push({ ...line, level: 'error', text }),
};

beforeEach(async () => {
  lines = [];
  app = new Koa();
  app.silent = true;
  server = createServer({ requireHostHeader: false }, (request, response) =>
    app.callback()(request, response),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('requestLog', () => {
  const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
  const traceparent = `00-${TRACE}-00f067aa0ba902b7-01`;

  test('logs one line with the path, without the query, under the id of the answer', async () => {
    app.use(requestLog({ logger }));
    app.use((ctx) => {
      ctx.body = ctx.state.requestId;
    });
    const response = await fetch(`${origin}/callback?code=s3cr3t`);
    const requestId = response.headers.get('x-request-id');
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(await response.text()).toBe(requestId);
    expect(lines).toEqual([
      {
        ...{ requestId, method: 'GET', path: '/callback', status: 200, ms: expect.any(Number) },
        ...{ level: 'info', text: 'answered' },
      },
    ]);
  });

  test('adds ctx.state.failure, and logs a 5xx as an error', async () => {
    app.use(requestLog({ logger }));
    app.use((ctx) => {
      ctx.status = 503;
      ctx.state.failure = { code: 'ERR_AWAY' };
    });
    await fetch(origin);
    expect(lines).toMatchObject([{ level: 'error', status: 503, code: 'ERR_AWAY' }]);
  });

  test('bounds the path, and hides a segment that is as long as a token', async () => {
    app.use(requestLog({ logger }));
    await fetch(`${origin}/a/${'t'.repeat(65)}/b`);
    await fetch(`${origin}${'/abc'.repeat(100)}`);
    expect(lines[0]?.path).toBe('/a/…/b');
    expect(lines[1]?.path).toHaveLength(200);
  });

  test.each([
    [true, traceparent, TRACE],
    [false, traceparent, OWN_ID],
    [true, `${traceparent} `.repeat(2), OWN_ID],
    [true, `${traceparent}, ${traceparent}`, OWN_ID],
    [true, traceparent.toUpperCase(), OWN_ID],
    [true, `${traceparent}-more`, OWN_ID],
    [true, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, OWN_ID],
    [true, `00-${TRACE}-${'0'.repeat(16)}-01`, OWN_ID],
    [true, `ff-${TRACE}-00f067aa0ba902b7-01`, OWN_ID],
    [true, `01-${TRACE}-00f067aa0ba902b7-01`, TRACE],
    [true, `cc-${TRACE}-00f067aa0ba902b7-01-more`, TRACE],
    [true, `01-${TRACE}-00f067aa0ba902b7-01more`, OWN_ID],
    [true, `01-${'0'.repeat(32)}-00f067aa0ba902b7-01-more`, OWN_ID],
  ])(
    'chooses the id (W3C Trace Context §3.2.2) with continueTrace %s and traceparent %s',
    async (continueTrace, traceparent, expected) => {
      app.use(requestLog({ logger, continueTrace }));
      const response = await fetch(origin, { headers: { traceparent } });
      expect(response.headers.get('x-request-id')).toEqual(expected);
    },
  );
});

test.each<[string, string, string[]]>([
  [
    'an IPv4 address',
    '203.0.113.9',
    [
      '203.0.113.9:50000',
      ' 203.0.113.9 ',
      '"203.0.113.9:443"',
      '::ffff:203.0.113.9',
      '::FFFF:cb00:7109',
      '[::ffff:203.0.113.9]:443',
      '0:0:0:0:0:ffff:203.0.113.9',
    ],
  ],
  [
    'an IPv6 address',
    '2001:db8:0:12::/64',
    [
      '2001:db8:0:12::1',
      '2001:DB8:0:0012::2',
      '2001:db8::12:0:0:0:3',
      '2001:db8:0:12:a:b:c:d',
      '2001:db8:0:12:a:b:192.0.2.1',
      '[2001:db8:0:12::1]',
      '[2001:db8:0:12::1]:443',
      '"[2001:db8:0:12::1]:443"',
      '2001:db8:0:12::1%eth0',
    ],
  ],
  ['an address with a zone', 'fe80:0:0:0::/64', ['fe80::1%eth0', '[fe80::2%25eth0]:1', 'fe80::3']],
  ['loopback', '0:0:0:0::/64', ['::1', '::']],
  [
    'what is no address',
    'unknown',
    ['', 'unknown', '_hidden', '203.0.113.009', '1.2.3', '1.2.3.4.5', '::1::', '[::1', 'a.example'],
  ],
])('callerAddress gives %s one text', (_, expected, texts) => {
  expect(texts.map(callerAddress)).toEqual(texts.map(() => expected));
});

test.each([
  ['ECONNRESET', true, 'debug'],
  ['EPIPE', true, 'debug'],
  ['HPE_INVALID_METHOD', true, 'debug'],
  ['ERR_STREAM_PREMATURE_CLOSE', true, 'debug'],
  ['ECONNRESET', undefined, 'error'],
  ['ENOENT', true, 'error'],
  [undefined, true, 'error'],
])('logBrokenAnswers logs %s, after the head: %s, at %s', (code, headerSent, level) => {
  const write = (level: string) => (line: object, text: string) =>
    lines.push({ ...line, level, text });
  const log = logBrokenAnswers({ debug: write('debug'), error: write('error') });
  const error = Object.assign(new Error('x'), { code, headerSent, rawPacket: 'secret' });
  log(error);
  expect(lines).toEqual([
    level === 'debug'
      ? { level, text: 'the connection broke off', code }
      : { level, text: 'unexpected error', err: error },
  ]);
});

const MALFORMED = /^HTTP\/1\.1 400 .*\{"code":"ERR_MALFORMED_TARGET","expose":true,/s;

// Origin-form, absolute-form, and the headers with it (RFC 9112 §3.2).
test.each<[string, string, RegExp]>([
  ['http://[/', 'Host: a', MALFORMED],
  ['http://a b/', 'Host: a', /^HTTP\/1\.1 400 /],
  ['/x', 'Host: a\r\nhOST: a', MALFORMED],
  ['/x', 'Host: a\r\nX-Y: z\r\nHost: b', MALFORMED],
  ['http://a/x', 'Host: a\r\nHost: b', MALFORMED],
  ['/x', 'Host: a@b', MALFORMED],
  ['/x', 'Host: a/b', MALFORMED],
  ['/x', 'Host: a b', MALFORMED],
  ['/x', 'Host: a:b', MALFORMED],
  ['/x', 'Host: [::1', MALFORMED],
  ['/x', 'X-Y: z', MALFORMED],
  ['/x', 'Host: a', /^HTTP\/1\.1 200 .*\/x$/s],
  ['/x', 'Host: a_b.example:', /^HTTP\/1\.1 200 /],
  ['/x', 'Host: [fe80::1%25eth0]:8080', /^HTTP\/1\.1 200 /],
  ['/x', 'Host: ', /^HTTP\/1\.1 200 /],
])('rejectMalformedTarget or the parser answers %s with %j', async (target, host, expected) => {
  app.use(requestLog({ logger }));
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const { status, code, expose, message } = error as Record<string, unknown>;
      ctx.status = status as number;
      ctx.body = { code, expose, message };
    }
  });
  app.use(rejectMalformedTarget());
  app.use((ctx) => {
    ctx.body = ctx.path;
  });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(`GET ${target} HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
  expect(await text(socket)).toMatch(expected);
});

describe('securityHeaders', () => {
  test('allows nothing by default', async () => {
    app.use(securityHeaders({ strictTransportSecurity: false }));
    const { headers } = await fetch(origin);
    expect(headers.get('content-security-policy')?.split(';').sort()).toEqual([
      "base-uri 'none'",
      "default-src 'none'",
      "frame-ancestors 'none'",
    ]);
    expect(Object.fromEntries(headers)).toMatchObject({
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    });
    expect(headers.has('strict-transport-security')).toBe(false);
  });

  test('allows what its options allow', async () => {
    app.use(
      securityHeaders({
        directives: { scriptSrc: ["'self'"] },
        strictTransportSecurity: true,
        referrerPolicy: 'same-origin',
        crossOriginResourcePolicy: false,
      }),
    );
    const { headers } = await fetch(origin);
    expect(headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(headers.get('strict-transport-security')).toMatch(/^max-age=\d+/);
    expect(headers.get('referrer-policy')).toBe('same-origin');
    expect(headers.has('cross-origin-resource-policy')).toBe(false);
  });
});

test('an adapter of a serverless platform leaves rawHeaders empty', async () => {
  const paths: string[] = [];
  app.use(rejectMalformedTarget());
  app.use((ctx) => void paths.push(ctx.path));
  server.prependListener('request', (request) => request.rawHeaders.splice(0));
  await fetch(`${origin}/x`);
  expect(paths).toEqual(['/x']);
});
