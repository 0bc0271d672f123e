import { describe, expect, test } from '@jest/globals';
import { InvalidSettings, readSettings } from '../src/settings.ts';

describe('settings', () => {
  test('aim at the local authorization server unless told otherwise', () => {
    expect(readSettings({ PORT: '' })).toEqual({
      port: 3001,
      host: '127.0.0.1',
      baseURL: undefined,
      issuerBaseURL: 'http://localhost:3002',
      audience: 'https://contacts.example.com/api',
      claimsNamespace: 'https://contacts.example.com/',
      databaseURL: 'file:./data/contacts.db',
      logLevel: 'info',
      demo: true,
    });
  });

  test('an issuer elsewhere is no demonstration', () => {
    expect(readSettings({ ISSUER_BASE_URL: 'https://tenant.example.com/' }).demo).toBe(false);
  });

  test.each([
    ['PORT', 'abc'],
    ['PORT', '70000'],
    ['PORT', '1.5'],
    ['PORT', '0x10'],
    ['AUDIENCE', ' '],
    ['BASE_URL', 'http://api.example.com'],
    ['ISSUER_BASE_URL', 'http://issuer.example.com/'],
    ['ISSUER_BASE_URL', 'issuer.example.com'],
    ['ISSUER_BASE_URL', 'https://issuer.example.com/?a=b'],
    ['ISSUER_BASE_URL', 'http://localhost.example.com/'],
    ['CLAIMS_NAMESPACE', 'contacts'],
    ['DATABASE_URL', 'mysql://localhost/contacts'],
    ['DATABASE_URL', 'contacts.db'],
    ['BASE_URL', 'ftp://api.example.com'],
    ['LOG_LEVEL', 'loud'],
  ])('refuse %s=%s and name it', (name, value) => {
    expect(() => readSettings({ [name]: value })).toThrow(InvalidSettings);
    expect(() => readSettings({ [name]: value })).toThrow(new RegExp(`^ {2}${name}: must `, 'm'));
  });

  test('name every setting at fault, not just the first', () => {
    const wrong = { PORT: 'x', ISSUER_BASE_URL: 'x', DATABASE_URL: 'x' };
    expect(() => readSettings(wrong)).toThrow(/PORT: .*\n.*ISSUER_BASE_URL: .*\n.*DATABASE_URL: /);
  });
});
