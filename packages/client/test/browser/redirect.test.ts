import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, codePoint, webUrl } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { safeReturnTo } from '../../src/browser/redirect.ts';

const BASE = 'https://app.example';

const HOSTILE = [
  '',
  ' ',
  'x',
  'evil.example',
  '.',
  '..',
  '../x',
  './x',
  '?a',
  '#a',
  'app.example/x',
  'https://evil.example',
  'http://app.example',
  'https:evil.example',
  'https:/evil.example',
  'https:///evil.example',
  'HTTPS://EVIL.EXAMPLE',
  'ftp://evil.example',
  'ws://evil.example',
  '//evil.example',
  '///evil.example',
  '////evil.example',
  '//evil.example/%2e%2e',
  '/\\evil.example',
  '\\/evil.example',
  '\\\\evil.example',
  '/\\/evil.example',
  '\\evil',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  '/\r\nSet-Cookie: a=b',
  '/x\r\nLocation: https://evil.example',
  '/\u0000/evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/x/..//evil.example',
  '/%2e//evil.example',
  '/%2E%2E//evil.example',
  '/./.././/evil.example',
  '/x/../../..//evil.example',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'java\tscript:alert(1)',
  ' javascript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'blob:https://app.example/x',
  'file:///etc/passwd',
  'https://app.example@evil.example',
  '//app.example@evil.example',
  '@evil.example',
  '//[::1]',
  '//0',
  '//2130706433',
  '//evil.example:443',
  '//app.example.evil.example',
  '／／evil.example',
  '//evil。example',
  '/\u2028/evil.example',
  '/\u200b/evil.example',
  '/\u202e/evil.example',
  '\u0000//evil.example',
  '/\u00a0/evil.example',
  ' /x',
  '/ /evil',
  // The encoded length counts, because it is stored in a cookie.
  `/${'a'.repeat(2000)}`,
  `/${'€'.repeat(223)}`,
  `/?${'"'.repeat(700)}`,
  null,
  undefined,
  0,
  false,
  {},
  [],
  ['/x'],
  ['//evil.example'],
];

const KEPT = [
  ['/', '/'],
  ['/contacts', '/contacts'],
  ['/contacts?q=a&b=%2F#top', '/contacts?q=a&b=%2F#top'],
  ['/a/../b', '/b'],
  ['/%2f%2fevil.example', '/%2f%2fevil.example'],
  ['/x?next=//evil.example', '/x?next=//evil.example'],
  ['/ü?ö', '/%C3%BC?%C3%B6'],
  [`/${'a'.repeat(1999)}`, `/${'a'.repeat(1999)}`],
  [`/${'€'.repeat(222)}`, `/${'%E2%82%AC'.repeat(222)}`],
];

describe('returnTo', () => {
  test.each(KEPT)('%s leads to %s', (value, expected) => {
    expect(safeReturnTo(value, BASE)).toBe(expected);
  });

  test.each(HOSTILE.map((value) => [value]))('%j leads to the start page', (value) => {
    expect(safeReturnTo(value, BASE)).toBe('/');
  });

  test.each([
    ['/', '/shop/'],
    ['/shop', '/shop'],
    ['/shop/orders?x=1#top', '/shop/orders?x=1#top'],
    ['/orders?x=1', '/shop/orders?x=1'],
    ['/shopping', '/shop/shopping'],
    ['/shop/../admin', '/shop/admin'],
    ['/shop/%2e%2e/admin', '/shop/admin'],
    ['//evil.example/shop/', '/shop/'],
    ['/.//evil.example', '/shop/'],
    ['https://app.example/shop/orders', '/shop/'],
    [`/${'a'.repeat(1994)}`, `/shop/${'a'.repeat(1994)}`],
    [`/${'a'.repeat(1995)}`, '/shop/'],
    [undefined, '/shop/'],
  ])('below a path of baseURL, %s leads to %s', (value, expected) => {
    expect(safeReturnTo(value, `${BASE}/shop`)).toBe(expected);
  });

  test('whatever is thrown at it, a browser stays on our origin', () => {
    proves('RFC 9700 §4.11.1');
    const pieces = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '@',
      ':',
      '?',
      '#',
      '\t',
      '\n',
      'https:',
      'evil.example',
    );
    const hostile = fc.oneof(
      fc.string({ unit: codePoint }),
      fc.array(pieces).map((parts) => parts.join('')),
      fc.array(pieces).map((parts) => `/${parts.join('')}`),
      webUrl,
    );
    fc.assert(
      fc.property(hostile, (value) => {
        const path = safeReturnTo(value, BASE);
        expect(new URL(path, BASE).origin).toBe(BASE);
        expect(path).toMatch(/^\/(?!\/)[\x21-\x7e]*$/);
        expect(safeReturnTo(path, BASE)).toBe(path);
        expect(`${new URL(safeReturnTo(value, `${BASE}/shop`), BASE).pathname}/`).toMatch(
          /^\/shop\//,
        );
      }),
      { numRuns: casesOf(3000) },
    );
  });
});
