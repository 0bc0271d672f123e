import { request } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { bodyParser } from '@koa/bodyparser';
import Koa from 'koa';
import { readFormField } from '../../src/login/back-channel-logout.ts';
import { type Served, serve } from '../support/browser.ts';

let served: Served | undefined;

afterEach(() => served?.close());

async function post(
  body: string | string[],
  { type = '', parsed = false, length = true, end = true } = {},
) {
  const app = new Koa();
  app.silent = true;
  if (parsed) app.use(bodyParser());
  app.use(async (ctx) => {
    ctx.body = { value: await readFormField(ctx, 'a', 100) };
  });
  served = await serve(app, 'https://app.example');
  const { port } = new URL(served.origin);
  const chunks = [body].flat();
  return new Promise<unknown>((resolve, reject) => {
    const headers = {
      'Content-Type': type || 'application/x-www-form-urlencoded',
      ...(length && { 'Content-Length': String(Buffer.byteLength(chunks.join(''))) }),
    };
    const sent = request({ host: '127.0.0.1', port, method: 'POST', headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve((JSON.parse(text) as { value?: unknown }).value);
    });
    sent.on('error', reject);
    for (const chunk of chunks) sent.write(chunk);
    if (end) sent.end();
  });
}

test.each([
  ['a=b', 'b'],
  ['x=y&a=b%20c+d', 'b c d'],
  ['a=', ''],
  ['', undefined],
  ['b=a', undefined],
  ['a=b&a=c', undefined],
  ['a[]=b', undefined],
  ['__proto__=b', undefined],
])('%j is read as %j', async (form, value) => {
  expect(await post(form)).toBe(value);
});

test.each([
  ['a=b', 'b'],
  ['a=b&a=c', undefined],
  ['a[b]=c', undefined],
  ['', undefined],
])('%j is found as %j where a body parser read it', async (form, value) => {
  expect(await post(form, { parsed: true })).toBe(value);
});

test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])(
  'another type, %s, is not read',
  async (type) => {
    expect(await post('a=b', { type })).toBeUndefined();
  },
);

test('in pieces, up to the limit', async () => {
  expect(await post(['a=b', 'c&d=', 'x'.repeat(92)], { length: false })).toBe('bc');
});

test('what says that it is longer is not read', async () => {
  expect(await post(`a=b&c=${'x'.repeat(100)}`)).toBeUndefined();
});

test('what goes on beyond the limit is read no further', async () => {
  const pieces = ['a=b&c=', 'x'.repeat(50), 'x'.repeat(50)];
  const long = post(pieces, { length: false, end: false });
  expect(await long).toBeUndefined();
});
