import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, codePoint } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { isInside, resolveApiURL } from '../../src/api/api-url.ts';
import type { OidcError } from '../../src/errors.ts';

const BASE = 'https://api.example/v1';

describe('the fence', () => {
  test.each([
    ['things', '/v1/things'],
    ['/things', '/v1/things'],
    ['things/1?x=/../..', '/v1/things/1?x=/../..'],
    ['a:b', '/v1/a:b'],
    ['https:x', '/v1/https:x'],
    ['a/../b', '/v1/b'],
    ['', '/v1/'],
    ['https://evil.example/', '/v1/https://evil.example/'],
    ['//evil.example/x', '/v1//evil.example/x'],
  ])('%s stays inside, as %s', (path, expected) => {
    const url = resolveApiURL(BASE, path);
    expect(url.origin).toBe('https://api.example');
    expect(url.href.slice(url.origin.length)).toBe(expected);
  });

  test.each([
    '..',
    '../x',
    '/../x',
    '../v2/x',
    '../v1x',
    'a/../../x',
    '%2e%2e/x',
    '.%2e/x',
    '%2E%2E/x',
    '..%2fx',
    '..%2Fx',
    'a/..%2f..%2fx',
    '%2e%2e%2fx',
    '..%5cx',
    '..\\x',
    '\\\\evil.example',
    '\\/evil.example',
    'a\u0000b',
    'a\nb',
    '..;/../../x',
    'a/..;/x',
    'a/..;v=1/x',
    'a/.;/x',
    'a/..%3b/x',
    '%2e%2e;/x',
    '%252e%252e/../../x',
    '%',
    '%zz',
    '%ff',
  ])('%j is refused', (path) => {
    expect(() => resolveApiURL(BASE, path)).toThrow('outside the API');
  });

  test('whatever the path, the request goes below the API or nowhere', () => {
    proves('RFC 9700 §4.9.1');
    const piece = fc.constantFrom(
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
      '%5c',
      '%252e',
      ';',
      '\t',
      '\n',
      'https:',
      'evil.example',
      'user:pw@',
      ':8443',
      'a',
    );
    const path = fc.oneof(
      fc.string({ unit: codePoint }),
      fc.array(piece).map((p) => p.join('')),
    );
    fc.assert(
      fc.property(path, (value) => {
        let url: URL;
        try {
          url = resolveApiURL(BASE, value);
        } catch (error) {
          expect((error as OidcError).code).toBe('ERR_API_URL');
          return;
        }
        expect(url.href.startsWith('https://api.example/v1/')).toBe(true);
      }),
      { numRuns: casesOf(3000) },
    );
  });
});

describe('a URL that is already one', () => {
  const base = new URL(`${BASE}/`);
  test.each([
    'https://api.example/v1/things',
    'https://api.example:443/v1/things',
    'https://api.example/v1/',
  ])('%s is inside', (url) => {
    expect(isInside(base, new URL(url))).toBe(true);
  });

  test.each([
    'http://api.example/v1/things',
    'https://api.example:8443/v1/things',
    'https://api.example.evil.example/v1/things',
    'https://evil.example/v1/things',
    'https://api.example@evil.example/v1/things',
    'https://user@api.example/v1/things',
    'https://user:pw@api.example/v1/things',
    'https://api.example/v1',
    'https://api.example/v10/things',
    'https://api.example/v1/%2e%2e%2fthings',
    'https://api.example/v1/..%5cthings',
    'https://api.example/v1/%',
    'wss://api.example/v1/things',
  ])('%s is not', (url) => {
    expect(isInside(base, new URL(url))).toBe(false);
  });

  test('none of another origin, scheme, port or user is inside', () => {
    const part = fc.record({
      scheme: fc.constantFrom('https', 'http', 'wss'),
      user: fc.constantFrom('', 'a@', 'a:b@', 'api.example@', 'api.example:443@'),
      host: fc.oneof(fc.constant('api.example'), fc.domain()),
      port: fc.constantFrom('', ':443', ':80', ':8443'),
      path: fc.constantFrom('/v1/', '/v1/x', '/v1', '/v2/x', '/', '/v1/../x', '/v1/..%2fx'),
    });
    fc.assert(
      fc.property(part, ({ scheme, user, host, port, path }) => {
        const url = new URL(`${scheme}://${user}${host}${port}${path}`);
        const expected =
          scheme === 'https' &&
          user === '' &&
          host === 'api.example' &&
          ['', ':443'].includes(port) &&
          ['/v1/', '/v1/x'].includes(path);
        expect(isInside(base, url)).toBe(expected);
      }),
      { numRuns: casesOf(1000) },
    );
  });
});
