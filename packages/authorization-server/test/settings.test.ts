import { describe, expect, test } from '@jest/globals';
import { InvalidSettings } from '../src/errors.ts';
import { readSettings } from '../src/settings.ts';
import { demoTenantFile } from '../src/tenant/load.ts';

test('nothing set: the documented defaults', () => {
  expect(readSettings({})).toEqual({
    port: 3002,
    host: '127.0.0.1',
    issuer: undefined,
    tenant: demoTenantFile,
    state: 'memory:',
    keys: 'file:./data/issuer-keys.json',
    watch: false,
    logLevel: 'info',
  });
});

test('CONTROL is a port, 0 as well', () => {
  expect(readSettings({ CONTROL: '0' }).control).toBe(0);
  expect(readSettings({ CONTROL: ' ' }).control).toBeUndefined();
});

test('an empty variable counts as not set', () => {
  expect(readSettings({ PORT: '', HOST: ' ' })).toMatchObject({ port: 3002, host: '127.0.0.1' });
});

test.each([
  ['http://localhost:3002', 'http://localhost:3002/'],
  ['http://127.0.0.1:3002/', 'http://127.0.0.1:3002/'],
  ['http://[::1]:3002/', 'http://[::1]:3002/'],
  ['https://issuer.example.com', 'https://issuer.example.com/'],
])('ISSUER %s becomes %s', (given, issuer) => {
  expect(readSettings({ ISSUER: given }).issuer).toBe(issuer);
});

describe('a wrong setting is named, with what would be right', () => {
  const wrong: [string, Record<string, string>, string][] = [
    ['a word for a port', { PORT: 'http' }, 'PORT is "http": give a port number'],
    ['a port too high', { PORT: '70000' }, 'PORT is "70000"'],
    ['a word for the control', { CONTROL: 'on' }, 'CONTROL is "on": give a port number'],
    ['a host on the network', { HOST: '0.0.0.0' }, 'UNSAFE_ALLOW_NETWORK=yes'],
    ['production', { NODE_ENV: 'production' }, 'UNSAFE_ALLOW_PRODUCTION=yes'],
    ['a switch that is neither', { UNSAFE_ALLOW_NETWORK: '1' }, 'give yes or no'],
    ['a word for the watch', { WATCH: 'true' }, 'WATCH is "true": give yes or no'],
    ['an issuer that is no URL', { ISSUER: 'localhost' }, 'ISSUER is "localhost"'],
    ['http off loopback', { ISSUER: 'http://issuer.example.com/' }, 'give an https URL'],
    ['http on a look-alike', { ISSUER: 'http://localhost.example.com/' }, 'give an https URL'],
    ['an issuer with a query', { ISSUER: 'https://a.example/?' }, 'leave out the query'],
    ['an issuer with a path', { ISSUER: 'https://a.example/b/' }, 'leave out the path'],
    ['an issuer with a password', { ISSUER: 'https://a:b@a.example/' }, 'leave out the user name'],
    ['a state elsewhere', { STATE: 'redis://localhost' }, 'STATE is "redis://localhost"'],
    ['keys without a file', { KEYS: 'file:' }, 'KEYS is "file:"'],
    ['an unknown level', { LOG_LEVEL: 'loud' }, 'LOG_LEVEL is "loud"'],
  ];
  test.each(wrong)('%s', (_name, environment, message) => {
    expect(() => readSettings(environment)).toThrow(InvalidSettings);
    expect(() => readSettings(environment)).toThrow(message);
  });

  test('all of them at once', () => {
    const environment = Object.assign({}, ...wrong.slice(0, 1).map(([, e]) => e), {
      STATE: 'x',
      KEYS: 'y',
      ISSUER: 'z',
    });
    let faults: readonly string[] = [];
    try {
      readSettings(environment);
    } catch (error) {
      faults = (error as InvalidSettings).faults;
    }
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual(['PORT', 'ISSUER', 'STATE', 'KEYS']);
  });
});

test('the explicit words let it out', () => {
  const environment = {
    HOST: '0.0.0.0',
    UNSAFE_ALLOW_NETWORK: 'yes',
    NODE_ENV: 'production',
    UNSAFE_ALLOW_PRODUCTION: 'yes',
  };
  expect(readSettings(environment).host).toBe('0.0.0.0');
});
