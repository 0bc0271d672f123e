import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { casesOf, codePoint } from '../../../../test/support/properties.ts';
import {
  checkBearerToken,
  readCredentials,
  type TokenRequest,
} from '../../src/request/bearer-token.ts';

const invalidRequest = expect.objectContaining({ code: 'ERR_INVALID_REQUEST', status: 400 });

/** Reads the credentials of a request like the middleware. */
function bearerToken({ form, ...request }: TokenRequest & { form?: unknown }): string | undefined {
  const credentials = readCredentials(request, form);
  if (credentials !== undefined) checkBearerToken(credentials.token, credentials.scheme);
  return credentials?.token;
}

const from = (...values: string[]) => ({
  rawHeaders: values.flatMap((value) => ['Authorization', value]),
  url: '/',
});

describe('the Authorization header, RFC 6750 §2.1', () => {
  test.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER abc', 'abc'],
    ['bEaReR abc', 'abc'],
    ['Bearer  abc', 'abc'],
    ['Bearer          abc', 'abc'],
    ['Bearer a-._~+/b==', 'a-._~+/b=='],
    ['Bearer Bearer', 'Bearer'],
  ])('%p brings %p', (value, token) => {
    expect(bearerToken(from(value))).toBe(token);
  });

  test.each([
    'Bearer',
    'Bearer ',
    'bearer   ',
    'Bearer a b',
    'Bearer a"b',
    'Bearer a,b',
    'Bearer abc, Bearer def',
    'Bearer abc,Basic def',
    'Bearer =',
    'Bearer a=b',
    'Bearer\tabc',
    'Bearer \tabc',
    'Bearer abc\t',
    'Bearer abc ',
    'Bearer ä',
    'Bearer abc\u0000',
    'Bearer abc\n',
    'Bearer\u00a0abc',
    'Bearer token="abc"',
    'Bearer {abc}',
  ])('%p is malformed: invalid_request (RFC 6750 §3.1)', (value) => {
    expect(() => bearerToken(from(value))).toThrow(invalidRequest);
  });

  test.each([
    'Basic dXNlcjpwYXNz',
    'Digest x',
    'DPoPabc',
    'Bearerabc',
    'Bearer-abc abc',
    'abc',
    '',
  ])('%p brings none, as if there were no header', (value) => {
    expect(bearerToken(from(value))).toBeUndefined();
  });

  test('the name of the header counts in any case', () => {
    for (const name of ['authorization', 'AUTHORIZATION', 'aUTHORIZATION']) {
      expect(bearerToken({ rawHeaders: [name, 'Bearer abc'], url: '/' })).toBe('abc');
    }
  });

  test('a value is not taken for a name, nor another header for this one', () => {
    const rawHeaders = ['X-A', 'Authorization', 'Proxy-Authorization', 'Bearer abc'];
    expect(bearerToken({ rawHeaders, url: '/' })).toBeUndefined();
    expect(bearerToken({ rawHeaders: [], url: '/' })).toBeUndefined();
  });

  test.each([
    ['twice the same', 'Bearer abc', 'Bearer abc'],
    ['two tokens', 'Bearer abc', 'Bearer def'],
    ['one of another scheme first', 'Basic abc', 'Bearer abc'],
    ['one of another scheme last', 'Bearer abc', 'Basic abc'],
    ['an empty one', 'Bearer abc', ''],
  ])('two headers, %s: invalid_request', (_, ...values) => {
    expect(() => bearerToken(from(...values))).toThrow(invalidRequest);
    const rawHeaders = ['authorization', values[0]!, 'Host', 'a', 'AUTHORIZATION', values[1]!];
    expect(() => bearerToken({ rawHeaders, url: '/' })).toThrow(invalidRequest);
  });
});

describe('a request of an adapter or of a unit test', () => {
  const headers = { authorization: 'Bearer abc' };

  test.each<[string, TokenRequest]>([
    ['empty rawHeaders', { rawHeaders: [], headers, url: '/' }],
    ['no rawHeaders', { headers, url: '/' }],
    ['no url', { headers }],
    ['rawHeaders of other headers only', { rawHeaders: ['Host', 'a'], headers, url: '/' }],
    ['a list with one value', { headers: { authorization: ['Bearer abc'] } }],
  ])('with %s brings the token that Koa reads', (_, request) => {
    expect(bearerToken(request)).toBe('abc');
  });

  test.each<[string, TokenRequest]>([
    ['nothing', {}],
    ['no headers', { rawHeaders: [], url: '/' }],
    ['a number', { headers: { authorization: 5 } }],
    ['null', { headers: { authorization: null } }],
    ['an empty list', { headers: { authorization: [] } }],
  ])('with %s brings none', (_, request) => {
    expect(bearerToken(request)).toBeUndefined();
  });

  test.each<[string, TokenRequest]>([
    ['two lines, one of them in headers', { ...from('Bearer abc', 'Bearer def'), headers }],
    ['a list with two values', { headers: { authorization: ['Bearer abc', 'Bearer def'] } }],
    ['joined values', { headers: { authorization: 'Bearer abc, Bearer def' } }],
    ['the token also in the query', { headers, url: '/?access_token=abc' }],
  ])('with %s is refused', (_, request) => {
    expect(() => bearerToken(request)).toThrow(invalidRequest);
  });
});

describe('any other way is no way, RFC 6750 §2.2, §2.3', () => {
  test.each<[string, string, unknown]>([
    ['the query', '/?access_token=abc', undefined],
    ['the query, empty', '/a/b?access_token=', undefined],
    ['the query, without a value', '/?access_token', undefined],
    ['the query, twice', '/?access_token=abc&access_token=def', undefined],
    ['the query, behind others', '/?a=b&c&access_token=abc', undefined],
    ['the query, escaped', '/?%61ccess%5Ftoken=abc', undefined],
    ['the query of an absolute target', 'http://a.example/?access_token=abc', undefined],
    ['the form', '/', { access_token: 'abc' }],
    ['both', '/?access_token=abc', { access_token: 'abc' }],
  ])('a token in %s: invalid_request, with a header and without', (_, url, form) => {
    for (const { rawHeaders } of [from(), from('Bearer abc'), from('Basic abc')]) {
      expect(() => bearerToken({ rawHeaders, url, form })).toThrow(invalidRequest);
    }
  });

  test.each([
    '/access_token=abc',
    '/?',
    '/?access_tokens=abc',
    '/?Access_Token=abc',
    '/?a=access_token',
    '/?%&%61&a=%zz',
    '*',
    '',
  ])('%p brings none', (url) => {
    expect(bearerToken({ ...from('Bearer abc'), url })).toBe('abc');
    expect(bearerToken({ ...from(), url })).toBeUndefined();
  });

  test.each<[string, unknown]>([
    ['a text', 'access_token=abc'],
    ['a list', ['access_token']],
    ['null', null],
    ['one that inherits the name', Object.create({ access_token: 'abc' })],
    ['another name', { Access_Token: 'abc', access_tokens: 'abc' }],
  ])('a form that is %s brings none', (_, form) => {
    expect(bearerToken({ ...from('Bearer abc'), form })).toBe('abc');
  });
});

test('whatever the header holds, it is a token68, nothing, or an ERR_INVALID_REQUEST', () => {
  const value = fc.oneof(
    fc.string({ unit: codePoint }),
    fc.tuple(fc.constantFrom('Bearer', 'bearer '), fc.string()).map((parts) => parts.join(' ')),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 3 }), (values) => {
      try {
        const token = bearerToken(from(...values));
        if (token !== undefined) expect(token).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/);
      } catch (error) {
        expect(error).toEqual(invalidRequest);
      }
    }),
    { seed: 6750, numRuns: casesOf(5000) },
  );
});
