import { expect, test } from '@jest/globals';
import { parseBearerChallenge } from '../../src/api/api-response.ts';

test.each([
  ['Bearer', { error: undefined, scope: undefined }],
  ['bearer error=invalid_token', { error: 'invalid_token', scope: undefined }],
  ['Bearer realm="a, b", error="e", scope="x y"', { error: 'e', scope: 'x y' }],
  ['Bearer error="a \\"b\\""', { error: 'a "b"', scope: undefined }],
  ['Basic realm="x", Bearer error="e"', { error: 'e', scope: undefined }],
  ['Bearer error="first", error="second"', { error: 'first', scope: undefined }],
])('RFC 6750 §3: %s', (header, expected) => {
  expect(parseBearerChallenge(header)).toEqual(expected);
});

test.each([undefined, '', 'Basic realm="x"', 'Bearerish error="e"', 'DPoP error="e"'])(
  'no Bearer challenge: %s',
  (header) => {
    expect(parseBearerChallenge(header)).toBeUndefined();
  },
);

test('of a header of any length, the first 2 kB are read', () => {
  const header = `Bearer error="e", scope="${'x '.repeat(1500)}", x="y"`;
  expect(parseBearerChallenge(header)).toEqual({ error: 'e', scope: undefined });
  expect(parseBearerChallenge(`${','.repeat(2048)} Bearer error="e"`)).toBeUndefined();
});
