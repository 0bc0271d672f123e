import { request } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import { bodyParser } from '@koa/bodyparser';
import { readForm } from '@koa-oauth/issuer';
import Koa from 'koa';
import { cookieJar } from '../../src/browser/cookies.ts';
import {
  isNavigation,
  isPrefetch,
  isScript,
  refuseCrossSite,
} from '../../src/browser/fetch-metadata.ts';
import { type Served, serve } from '../support/browser.ts';

describe('fetch metadata', () => {
  const BASE_URL = 'https://app.example';

  test.each([
    ['a form of ours', { 'sec-fetch-site': 'same-origin' }, 200],
    ['typed by the user', { 'sec-fetch-site': 'none' }, 200],
    ['an older browser, ours', { 'sec-fetch-site': '', origin: BASE_URL }, 200],
    ['no browser', { 'sec-fetch-site': '' }, 200],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
    [
      'another site that claims our origin',
      { 'sec-fetch-site': 'cross-site', origin: BASE_URL },
      403,
    ],
    ['a sibling subdomain', { 'sec-fetch-site': 'same-site' }, 403],
    [
      'an older browser, another site',
      { 'sec-fetch-site': '', origin: 'https://evil.example' },
      403,
    ],
    ['another port', { 'sec-fetch-site': '', origin: `${BASE_URL}:444` }, 403],
    ['http instead of https', { 'sec-fetch-site': '', origin: 'http://app.example' }, 403],
    ['a sandboxed frame', { 'sec-fetch-site': '', origin: 'null' }, 403],
  ])('%s', async (_name, headers, status) => {
    const app = new Koa();
    app.silent = true;
    app.use(refuseCrossSite({ baseURL: BASE_URL }));
    app.use(async (ctx) => {
      ctx.body = 'done';
    });
    const served = await serve(app, BASE_URL);
    const response = await served.browser().post('/', headers as Record<string, string>);
    expect(response.status).toBe(status);
    expect((await served.browser().get('/', headers as Record<string, string>)).status).toBe(200);
    await served.close();
  });

  const request = (headers: Record<string, string>, method = 'GET') => {
    const lower = new Map(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    return { method, get: (name: string) => lower.get(name.toLowerCase()) ?? '' };
  };

  describe('isPrefetch: pages that the user has not asked for yet', () => {
    test.each([
      ['Sec-Purpose', 'prefetch', true],
      ['Sec-Purpose', 'prefetch;prerender', true],
      ['Sec-Purpose', 'prefetch;anonymous-client-ip', true],
      ['sec-purpose', 'Prefetch', true],
      ['X-Sec-Purpose', 'prefetch', true],
      ['Purpose', 'prefetch', true],
      ['X-Purpose', 'preview', true],
      ['X-Moz', 'prefetch', true],
      ['Next-Router-Prefetch', '1', true],
      ['Next-Router-Segment-Prefetch', '/_tree', true],
      ['X-Middleware-Prefetch', '1', true],
      ['Purpose', 'navigation', false],
      ['Sec-Purpose', 'prefetched', false],
      ['X-Other', 'prefetch', false],
    ])('%s: %s', (name, value, expected) => {
      expect(isPrefetch(request({ [name]: value }))).toBe(expected);
    });
  });

  describe('isScript: requests that could not follow a redirect to another origin', () => {
    test.each([
      ['Sec-Fetch-Dest', 'empty', true],
      ['X-Requested-With', 'XMLHttpRequest', true],
      ['Sec-Fetch-Dest', 'document', false],
      ['Sec-Fetch-Mode', 'cors', false],
      ['Accept', 'application/json', false],
    ])('%s: %s', (name, value, expected) => {
      expect(isScript(request({ [name]: value }))).toBe(expected);
    });

    test('a service worker that passes on a navigation is none', () => {
      const passedOn = { 'Sec-Fetch-Dest': 'empty', 'Sec-Fetch-Mode': 'navigate' };
      expect(isScript(request(passedOn))).toBe(false);
      expect(isScript(request({ ...passedOn, 'X-Requested-With': 'XMLHttpRequest' }))).toBe(true);
    });
  });

  describe('isNavigation: requests for a page', () => {
    const html = 'text/html,application/xhtml+xml,*/*;q=0.8';
    const rows: [string, Record<string, string>, boolean][] = [
      [
        'a browser',
        { Accept: html, 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-Mode': 'navigate' },
        true,
      ],
      ['an older browser', { Accept: html }, true],
      [
        'a navigation that a service worker passes on',
        { Accept: html, 'Sec-Fetch-Dest': 'empty', 'Sec-Fetch-Mode': 'navigate' },
        true,
      ],
      ['a client that asks for HTML', { Accept: 'text/html', 'Sec-Fetch-Mode': 'cors' }, true],
      ['a command line', { Accept: '*/*' }, true],
      ['nothing said', {}, true],
      [
        'fetch() in a page',
        { Accept: '*/*', 'Sec-Fetch-Dest': 'empty', 'Sec-Fetch-Mode': 'cors' },
        false,
      ],
      ['fetch() for HTML', { Accept: html, 'Sec-Fetch-Dest': 'empty' }, false],
      ['fetch() of a server', { Accept: '*/*', 'Sec-Fetch-Mode': 'cors' }, false],
      ['an image', { Accept: 'image/*,*/*', 'Sec-Fetch-Dest': 'image' }, false],
      ['XMLHttpRequest', { Accept: html, 'X-Requested-With': 'XMLHttpRequest' }, false],
      ['JSON wanted', { Accept: 'application/json' }, false],
      ['JSON preferred', { Accept: 'application/json, */*' }, false],
    ];
    test.each(rows)('%s', (_name, headers, expected) => {
      expect(isNavigation(request(headers))).toBe(expected);
    });

    test('a form is never one', () => {
      expect(isNavigation(request({ Accept: html }, 'POST'))).toBe(false);
    });
  });
});

describe('form fields', () => {
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
      ctx.body = { value: (await readForm(ctx, 100))('a') };
    });
    served = await serve(app, 'https://app.example');
    const { port } = new URL(served.origin);
    const chunks = [body].flat();
    return new Promise<unknown>((resolve, reject) => {
      const headers = {
        'Content-Type': type || 'application/x-www-form-urlencoded',
        ...(length && { 'Content-Length': String(Buffer.byteLength(chunks.join(''))) }),
      };
      const sent = request(
        { host: '127.0.0.1', port, method: 'POST', headers },
        async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve((JSON.parse(text) as { value?: unknown }).value);
        },
      );
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
});

describe('cookies', () => {
  function jarOf(header: string) {
    const written: string[] = [];
    const cookies = {
      secure: undefined,
      // Keeps what it compiled of each name for ever, and callers choose names.
      get: () => {
        throw new Error("the cookies module's own get was asked");
      },
      set: (name: string, value: string) => written.push(`${name}=${value}`),
    };
    const res = { getHeader: () => [], setHeader: () => {} };
    const ctx = { cookies, get: () => header, res } as unknown as Parameters<typeof cookieJar>[0];
    return { jar: cookieJar(ctx, false), written };
  }

  describe('the cookies of a request', () => {
    test.each([
      ['a=1', 'a', '1'],
      ['a=1; b=2', 'b', '2'],
      ['a=1;b=2', 'b', '2'],
      ['a= 1 ', 'a', '1'],
      ['b=x=y', 'b', 'x=y'],
      ['a=first; a=second', 'a', 'first'],
      ['a=; a=second', 'a', undefined],
      ['a', 'a', undefined],
      ['=1', '', undefined],
      ['xa=1', 'a', undefined],
      ['', 'a', undefined],
      ['a=1', '.', undefined],
      ['a=1', '__proto__', undefined],
      // Browsers let a sibling subdomain plant these: they do not begin with "__Host-".
      ['\u00a0__Host-a=1', '__Host-a', undefined],
      ['b=2; \u00a0__Host-a=1', '__Host-a', undefined],
      ['\ufeff__Host-a=1', '__Host-a', undefined],
      ['\u000b__Host-a=1', '__Host-a', undefined],
      [' \t__Host-a=1', '__Host-a', '1'],
    ])('%j: %s is %j', (header, name, value) => {
      expect(jarOf(header).jar.get(name)).toBe(value);
    });

    test('are named once each, those that fit, in their order', () => {
      const { jar } = jarOf('b.2=x; a=1; b.1=y; b.2=z; xb.3=x; b.é=x');
      expect(jar.names(/^b\.\d$/)).toEqual(['b.2', 'b.1']);
    });

    test('are bounded in number', () => {
      const header = Array.from({ length: 5000 }, (_, index) => `c${index}=1`).join(';');
      expect(jarOf(header).jar.names(/^c/)).toHaveLength(1000);
    });
  });
});
