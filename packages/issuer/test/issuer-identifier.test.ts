import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import { InvalidOptions } from '../src/errors.ts';
import {
  isLoopback,
  isSameIssuer,
  isSecureURL,
  parseIssuerIdentifier,
} from '../src/issuer-identifier.ts';

describe('issuer identifier RFC 8414 §2', () => {
  test.each([
    'https://tenant.example.com/',
    'https://tenant.example.com',
    'https://login.example.com/realms/one',
    'https://tenant.example.com:8443/',
    'http://localhost:3002/',
    'http://127.0.0.1:3002',
    'http://127.4.5.6/',
    'http://[::1]:3002/',
  ])('%s is one', (value) => {
    expect(parseIssuerIdentifier(value).href).toMatch(/^https?:/);
  });

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['a URL object', new URL('https://tenant.example.com/')],
    ['empty', ''],
    ['a bare host', 'tenant.example.com'],
    ['http on another machine', 'http://tenant.example.com/'],
    ['http on a name that only starts like loopback', 'http://127.0.0.1.example.com/'],
    ['http on a name that only ends like loopback', 'http://example-localhost/'],
    ['http on all interfaces', 'http://0.0.0.0/'],
    ['http on a mapped address', 'http://[::ffff:127.0.0.1]/'],
    ['http with a loopback name as user', 'http://localhost@example.com/'],
    ['another scheme', 'ftp://localhost/'],
    ['a script', 'javascript:alert(1)'],
    ['a file', 'file:///etc/passwd'],
    ['a query', 'https://tenant.example.com/?a=b'],
    ['an empty query', 'https://tenant.example.com/?'],
    ['a fragment', 'https://tenant.example.com/#a'],
    ['an empty fragment', 'https://tenant.example.com/#'],
    ['credentials', 'https://user:secret@tenant.example.com/'],
    ['a line break at the end, as out of a file', 'https://tenant.example.com/\n'],
    ['a space before it', ' https://tenant.example.com/'],
    ['a tab in it', 'https://tenant.\texample.com/'],
  ])('%s is none', (_, value) => {
    proves('RFC 6750 §5.3 TLS');
    expect(() => parseIssuerIdentifier(value)).toThrow(InvalidOptions);
    expect(() => parseIssuerIdentifier(value)).toThrow(/^issuerBaseURL must /);
  });

  test.each([
    ['https://a.example/.well-known/openid-configuration', 'https://a.example/'],
    [
      'https://a.example/realms/one/.well-known/openid-configuration',
      'https://a.example/realms/one',
    ],
    ['https://a.example/.well-known/oauth-authorization-server', 'https://a.example/'],
    [
      'https://a.example/.well-known/oauth-authorization-server/realms/one',
      'https://a.example/realms/one',
    ],
    ['https://a.example/.well-known/jwks.json', 'https://a.example/'],
  ])('%s is none: the message has the issuer', (value, issuer) => {
    const text = `issuerBaseURL must be the issuer, not its metadata: ${issuer}`;
    expect(() => parseIssuerIdentifier(value)).toThrow(new InvalidOptions(text));
  });

  test('an international name is accepted each time that it is parsed', () => {
    for (let time = 0; time < 20_000; time += 1) parseIssuerIdentifier('https://é.example/');
  });

  test('credentials are not repeated in the message', () => {
    expect(() => parseIssuerIdentifier('https://user:hunter2@tenant.example.com/')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    );
  });
});

test.each([
  ['https://a.example/', 'https://a.example/', true],
  ['https://a.example/', 'https://a.example', true],
  ['https://a.example', 'https://a.example/', true],
  ['https://a.example/x', 'https://a.example/x/', true],
  ['https://a.example', 'https://a.example//', false],
  ['https://a.example', 'https://A.example', false],
  ['https://a.example', 'http://a.example', false],
  ['https://a.example', 'https://a.example:443', false],
  ['https://a.example/x', 'https://a.example/X', false],
  ['https://a.example', 'https://a.example.evil.example', false],
])('configured %s, declared %s: same is %s (RFC 8414 §3.3)', (configured, declared, same) => {
  expect(isSameIssuer(configured, declared)).toBe(same);
});

test.each([
  ['https://example.com', true, false],
  ['http://localhost:1', true, true],
  ['https://localhost', true, true],
  ['http://127.1/', true, true],
  ['http://acme.localhost:3000', true, true],
  ['http://a.b-c.localhost', true, true],
  ['http://localhost.:3000', true, true],
  ['http://acme.localhost.', true, true],
  ['http://localhost..', false, false],
  ['http://0.0.0.0', false, false],
  ['http://localhost.example.com', false, false],
  ['http://evillocalhost', false, false],
  ['ws://localhost', false, true],
])('%s: secure %s, loopback %s (RFC 8252 §7.3)', (url, secure, loopback) => {
  expect(isSecureURL(new URL(url))).toBe(secure);
  expect(isLoopback(new URL(url))).toBe(loopback);
});
