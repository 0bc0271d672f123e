import { describe, expect, test } from '@jest/globals';
import { isNavigation, isPrefetch, isScript } from '../../src/browser/navigation.ts';

const request = (headers: Record<string, string>, method = 'GET') => {
  const lower = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { method, get: (name: string) => lower.get(name.toLowerCase()) ?? '' };
};

describe('L8: what no one has asked for yet', () => {
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

describe('L9: who could not follow to another origin', () => {
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

describe('L9: who goes to a page', () => {
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
