import { describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import {
  isNavigation,
  isPrefetch,
  isScript,
  refuseCrossSite,
} from '../../src/browser/fetch-metadata.ts';
import { serve } from '../support/browser.ts';

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
  ['an older browser, another site', { 'sec-fetch-site': '', origin: 'https://evil.example' }, 403],
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

  test('never a form', () => {
    expect(isNavigation(request({ Accept: html }, 'POST'))).toBe(false);
  });
});
