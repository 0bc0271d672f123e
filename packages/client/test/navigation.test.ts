import { describe, expect, test } from '@jest/globals';
import { isNavigation } from '../src/navigation.ts';

const request = (headers: Record<string, string>, method = 'GET') => {
  const lower = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { method, get: (name: string) => lower.get(name.toLowerCase()) ?? '' };
};

describe('who goes to a page', () => {
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
