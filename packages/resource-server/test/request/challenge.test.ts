import { validateHeaderValue } from 'node:http';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, codePoint } from '../../../../test/support/properties.ts';
import { proves } from '../../../../test/support/proves.ts';
import { buildChallenge } from '../../src/request/challenge.ts';

test('parameters come in a fixed order, each once, absent ones not at all (RFC 6750 §3)', () => {
  expect(
    buildChallenge({
      resource_metadata: 'https://api.example.com/.well-known/oauth-protected-resource',
      scope: 'a b',
      error_description: 'no',
      error: 'insufficient_scope',
      realm: 'api',
    }),
  ).toBe(
    'Bearer realm="api", error="insufficient_scope", error_description="no", scope="a b", ' +
      'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"',
  );
  expect(buildChallenge({ realm: 'api', error: undefined })).toBe('Bearer realm="api"');
});

test.each([
  ['a"b', "a'b"],
  ['a\\b', 'a?b'],
  ['a\r\nSet-Cookie: b=c', 'a??Set-Cookie: b=c'],
  ['a\tb\u0000\u007f', 'a?b??'],
  ['é€😀', '????'],
  ['", error="invalid_token', "', error='invalid_token"],
])('%p goes out as %p (RFC 6750 §3)', (text, safe) => {
  expect(buildChallenge({ realm: text })).toBe(`Bearer realm="${safe}"`);
});

test('whatever the text, it stays within its quotes and within the header', () => {
  proves('RFC 9068 §4 refusal');
  const text = fc.string({ unit: codePoint, maxLength: 50 });
  fc.assert(
    fc.property(text, text, text, (realm, error_description, scope) => {
      const value = buildChallenge({ realm, error_description, scope });
      expect(value).toMatch(
        /^Bearer realm="[\x20\x21\x23-\x5b\x5d-\x7e]*", error_description="[\x20\x21\x23-\x5b\x5d-\x7e]*", scope="[\x20\x21\x23-\x5b\x5d-\x7e]*"$/,
      );
      validateHeaderValue('WWW-Authenticate', value);
    }),
    { seed: 6750, numRuns: casesOf(2000) },
  );
});
