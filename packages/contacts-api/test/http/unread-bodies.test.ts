import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bearer, type RunningApp, startApp } from '../support/running-app.ts';

const SPACES = Buffer.alloc(2_000_000, ' ');
// Incompressible text, so that the end of a compressed body is far behind its limit.
const NOISE = Buffer.from(
  Array.from({ length: 200_000 }, (_, i) => Math.imul(i, 2_654_435_761) >>> 0).join(''),
);
const QUICK = { [constants.BROTLI_PARAM_QUALITY]: 1 };
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

let running: RunningApp;
let good: Record<string, string>;
beforeAll(async () => {
  running = await startApp();
  good = bearer(running.token('read:contacts create:contacts')).headers;
});
afterAll(() => running.close());

type Headers = Readonly<Record<string, string>>;

/** Sends a request with a large body and, behind it, one of another user. @returns both answers */
async function send(
  { port, token }: RunningApp,
  target: string,
  headers: Headers,
  body: Buffer = SPACES,
): Promise<(string | undefined)[]> {
  const socket = connect(port, '127.0.0.1');
  const answers = text(socket);
  const write = (line: string, fields: Headers) => {
    const lines = Object.entries({ Host: 'localhost', ...fields });
    const head = lines.map(([name, value]) => `${name}: ${value}`);
    socket.write([`${line} HTTP/1.1`, ...head, '', ''].join('\r\n'));
  };
  const inChunks = headers['transfer-encoding'] !== undefined;
  write(target, inChunks ? headers : { 'content-length': String(body.length), ...headers });
  if (inChunks) socket.write(`${body.length.toString(16)}\r\n`);
  socket.write(body);
  if (inChunks) socket.write('\r\n0\r\n\r\n');
  const { authorization } = bearer(token('', { sub: 'auth0|bob' })).headers;
  write('GET /me', { authorization, connection: 'close' });
  const received = await answers;
  const statuses = received.match(/(?<=HTTP\/1.1 )[2-5]\d\d/g) ?? [];
  return [...statuses, /auth0\|\w+/.exec(received)?.[0]];
}

describe('a request that is refused before its body was read (RFC 9112 §9.3)', () => {
  test.each<[string, string, string, () => Headers]>([
    ['401', 'no token', 'POST /contacts', () => ({})],
    ['401', 'a wrong token', 'POST /contacts', () => bearer(running.token('', { exp: 1 })).headers],
    ['400', 'malformed credentials', 'POST /contacts', () => ({ authorization: 'Bearer a b' })],
    ['403', 'no scope', 'POST /contacts', () => bearer(running.token('read:contacts')).headers],
    ['404', 'an unknown path', 'POST /nowhere', () => ({})],
    ['405', 'a wrong method', 'PUT /contacts', () => ({})],
    ['413', 'a long body', 'POST /contacts', () => ({ ...good, 'content-type': JSON_TYPE })],
    ['413', 'a long form', 'POST /contacts', () => ({ 'content-type': FORM })],
    ['415', 'a wrong type', 'POST /contacts', () => ({ ...good, 'content-type': 'text/plain' })],
    [
      '415',
      'an unknown coding',
      'POST /contacts',
      () => ({ ...good, 'content-type': JSON_TYPE, 'content-encoding': 'zstd' }),
    ],
    ['200', 'a body for a GET', 'GET /contacts', () => good],
  ])('with %s for %s delays no request of another user', async (status, _, target, headers) => {
    const expected = [status, '200', 'auth0|bob'];
    expect(await send(running, target, headers())).toEqual(expected);
    const inChunks = { ...headers(), 'transfer-encoding': 'chunked' };
    expect(await send(running, target, inChunks)).toEqual(expected);
    expect(await send(running, target, { ...headers(), expect: '100-continue' })).toEqual(expected);
  });

  test.each<[string, (body: Buffer) => Buffer]>([
    ['gzip', (body) => gzipSync(body)],
    ['deflate', (body) => deflateSync(body)],
    ['br', (body) => brotliCompressSync(body, { params: QUICK })],
  ])('for its size in %s delays no request of another user', async (coding, compress) => {
    const body = compress(NOISE);
    for (const headers of [{ 'content-type': FORM }, { ...good, 'content-type': JSON_TYPE }]) {
      const coded = { ...headers, 'content-encoding': coding };
      const answers = await send(running, 'POST /contacts', coded, body);
      expect(answers).toEqual(['413', '200', 'auth0|bob']);
    }
  });

  test('with 429 or 503 delays no request of another user', async () => {
    const limited = await startApp({ perSubject: 1 });
    const one = bearer(limited.token('create:contacts')).headers;
    await limited.api('me', { headers: one });
    expect(await send(limited, 'POST /contacts', one)).toEqual(['429', '200', 'auth0|bob']);
    await limited.close();

    const cold = await startApp({ issuerBaseURL: running.issuer.issuer });
    running.issuer.goDown();
    const [status] = await send(cold, 'POST /contacts', good);
    running.issuer.comeBack();
    await cold.close();
    expect(status).toBe('503');
  });

  test('counts as a refused token of its address does', async () => {
    const limited = await startApp({ refusedPerAddress: 3 });
    const bomb = gzipSync(SPACES);
    const form = { 'content-type': FORM, 'content-encoding': 'gzip' };
    const answers = [
      await send(limited, 'POST /contacts', form, bomb),
      await send(limited, 'POST /nowhere', {}),
      await send(limited, 'POST /contacts', {}),
      await send(limited, 'POST /contacts', form, bomb),
      await send(limited, 'POST /nowhere', {}),
    ];
    // A small bomb has arrived before it is refused: it costs the unpacking.
    const { statusCode } = await limited.api.post('contacts', {
      headers: form,
      body: gzipSync(Buffer.alloc(100_000, ' ')),
    });
    await limited.close();
    expect(answers.map(([status]) => status)).toEqual(['413', '404', '401', '429', '429']);
    expect(answers.every(([, next]) => next === '200')).toBe(true);
    expect(statusCode).toBe(429);
  });
});
