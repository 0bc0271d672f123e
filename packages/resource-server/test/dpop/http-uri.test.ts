import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, webUrl } from '../../../../test/support/properties.ts';
import { normalizeHttpURI, normalizePath } from '../../src/dpop/http-uri.ts';

describe('spellings of one URI are equal (RFC 3986 §6.2.2, §6.2.3)', () => {
  test.each([
    ['https://api.example.com/a/b', 'https://api.example.com/a/b'],
    ['HTTPS://API.Example.COM/a/B', 'https://api.example.com/a/B'],
    ['https://api.example.com:443/a', 'https://api.example.com/a'],
    ['https://api.example.com:/a', 'https://api.example.com/a'],
    ['http://api.example.com:80', 'http://api.example.com/'],
    ['https://api.example.com:80/', 'https://api.example.com:80/'],
    ['https://api.example.com', 'https://api.example.com/'],
    ['https://api.example.com?a=/b', 'https://api.example.com/'],
    ['https://api.example.com#a', 'https://api.example.com/'],
    ['https://api.example.com/a?b#c', 'https://api.example.com/a'],
    ['https://api.example.com/a#b?c', 'https://api.example.com/a'],
    ['https://api.example.com/%61%7e%2d', 'https://api.example.com/a~-'],
    ['https://api.example.com/%2f%c3%a9', 'https://api.example.com/%2F%C3%A9'],
    ['https://api.example.com/auth0|alice', 'https://api.example.com/auth0|alice'],
    ['https://api.example.com/a/', 'https://api.example.com/a/'],
    ['https://api.example.com//a', 'https://api.example.com//a'],
    ['https://api.example.com/.well-known/a', 'https://api.example.com/.well-known/a'],
    ['https://api.example.com/a/...', 'https://api.example.com/a/...'],
    ['http://[::1]:3001/a', 'http://[::1]:3001/a'],
    ['http://[::FFFF]/', 'http://[::ffff]/'],
    ['http://127.0.0.1:3001/', 'http://127.0.0.1:3001/'],
  ])('%s is %s', (uri, normal) => {
    expect(normalizeHttpURI(uri)).toBe(normal);
    expect(normalizeHttpURI(normal)).toBe(normal);
  });
});

describe('what a parser of browsers repairs is no URI here', () => {
  test.each([
    '',
    '/a',
    '//api.example.com/a',
    'https:api.example.com/a',
    'https:/api.example.com/a',
    'https:///api.example.com/a',
    'https:\\\\api.example.com\\a',
    'https://api.example.com\\a',
    'https://api.example.com/a\\..',
    'https://user@api.example.com/a',
    'https://user:password@api.example.com/a',
    'https://@api.example.com/a',
    'https://api.example.com:443@attacker.example/a',
    'https://api.example.com:a/a',
    'https://api.example.com:-1/a',
    'https://api.example.com/./a',
    'https://api.example.com/b/../a',
    'https://api.example.com/..',
    'https://api.example.com/b/%2e%2E/a',
    'https://api.example.com/b/.%2e/a',
    'https://api.example.com/%',
    'https://api.example.com/%2',
    'https://api.example.com/%gg',
    ' https://api.example.com/a',
    'https://api.example.com/a ',
    'https://api.example.com/a\n',
    'ht\ttps://api.example.com/a',
    'https://api.exa\tmple.com/a',
    'https://api.example.com/a?b\n',
    'https://ａpi.example.com/a',
    'https://api。example.com/a',
    'https://%61pi.example.com/a',
    'https://api.example.com/é',
    'https://api.example.com/a"b',
    'https://[::1/a',
    'https://[v1.a]/a',
    'ftp://api.example.com/a',
    'javascript://api.example.com/a',
    'https://',
    'https:///a',
  ])('%j', (uri) => {
    expect(normalizeHttpURI(uri)).toBeUndefined();
  });
});

test.each([
  ['/a?b=c', '/a'],
  ['?b', '/'],
  ['', '/'],
  ['/%7Ea', '/~a'],
  ['/a/../b', undefined],
  ['*', undefined],
  ['https://attacker.example/a', undefined],
  ['/a\\b', undefined],
  ['/a/%2e./b', undefined],
])('the path of the target %j is %j', (target, path) => {
  expect(normalizePath(target)).toBe(path);
});

test('no text throws, and the URIs of the web are as the URL parser writes them', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const normal = normalizeHttpURI(text);
      expect(normal === undefined || /^https?:/.test(normal)).toBe(true);
    }),
    { numRuns: casesOf(2000) },
  );
  fc.assert(
    fc.property(webUrl, (text) => {
      const { origin, pathname } = new URL(text);
      const normal = normalizeHttpURI(text);
      const expected = normalizeHttpURI(origin + pathname);
      // The parser removes dot segments.
      if (normal !== undefined) expect(normal).toBe(expected);
    }),
    { numRuns: casesOf(2000) },
  );
});
