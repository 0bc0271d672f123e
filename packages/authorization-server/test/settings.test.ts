import { describe, expect, test } from '@jest/globals';
import { InvalidSettings, readSettings } from '@koa-oauth/service';
import { Settings } from '../src/settings.ts';
import { demoTenantFile } from '../src/tenant/load.ts';

const read = (environment: Record<string, string>) => readSettings(Settings, environment);

test('without settings the documented defaults are used', () => {
  expect(read({})).toEqual({
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

test('CONTROL is a port, also 0', () => {
  expect(read({ CONTROL: '0' }).control).toBe(0);
  expect(read({ CONTROL: ' ' }).control).toBeUndefined();
});

test('an empty variable counts as not set', () => {
  expect(read({ PORT: '', HOST: ' ' })).toMatchObject({ port: 3002, host: '127.0.0.1' });
});

test.each([
  ['http://localhost:3002', 'http://localhost:3002/'],
  ['http://127.0.0.1:3002/', 'http://127.0.0.1:3002/'],
  ['http://[::1]:3002/', 'http://[::1]:3002/'],
  ['https://issuer.example.com', 'https://issuer.example.com/'],
])('ISSUER %s becomes %s', (given, issuer) => {
  expect(read({ ISSUER: given }).issuer).toBe(issuer);
});

describe('a wrong setting is named, with what is right', () => {
  const PORT = 'must be a port number from 0 to 65535';
  const PLACE = 'must be memory: or file:PATH, for example file:./data/issuer';
  const wrong: [string, Record<string, string>, string][] = [
    ['a word for a port', { PORT: 'http' }, `PORT ${PORT}`],
    ['a port too high', { PORT: '70000' }, `PORT ${PORT}`],
    ['a word for the control', { CONTROL: 'on' }, `CONTROL ${PORT}`],
    ['a host on the network', { HOST: '0.0.0.0' }, 'HOST must be a loopback address'],
    ['a way to let it out', { HOST: '0.0.0.0' }, 'UNSAFE_ALLOW_NETWORK=yes'],
    ['production', { NODE_ENV: 'production' }, 'NODE_ENV must not be production'],
    ['a way to let production in', { NODE_ENV: 'production' }, 'UNSAFE_ALLOW_PRODUCTION=yes'],
    [
      'a switch that is neither',
      { UNSAFE_ALLOW_NETWORK: '1' },
      'UNSAFE_ALLOW_NETWORK must be yes or no',
    ],
    ['a word for the watch', { WATCH: 'true' }, 'WATCH must be yes or no'],
    ['an issuer that is no URL', { ISSUER: 'localhost' }, 'ISSUER must be an absolute URL'],
    ['http off loopback', { ISSUER: 'http://issuer.example.com/' }, 'must be an https URL'],
    ['http on a look-alike', { ISSUER: 'http://localhost.example.com/' }, 'must be an https URL'],
    ['an issuer with a query', { ISSUER: 'https://a.example/?' }, 'must have no query'],
    ['an issuer with a path', { ISSUER: 'https://a.example/b/' }, 'must have no path'],
    ['an issuer with a password', { ISSUER: 'https://a:b@a.example/' }, 'must have no user name'],
    ['a state elsewhere', { STATE: 'redis://localhost' }, `STATE ${PLACE}.db`],
    ['keys without a file', { KEYS: 'file:' }, `KEYS ${PLACE}-keys.json`],
    ['an unknown level', { LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be one of fatal, error'],
  ];
  test.each(wrong)('%s', (_name, environment, message) => {
    expect(() => read(environment)).toThrow(InvalidSettings);
    expect(() => read(environment)).toThrow(message);
  });

  test('all wrong settings are reported at once', () => {
    const environment = Object.assign({}, ...wrong.slice(0, 1).map(([, e]) => e), {
      STATE: 'x',
      KEYS: 'y',
      ISSUER: 'z',
      HOST: '0.0.0.0',
      NODE_ENV: 'production',
    });
    let faults: readonly string[] = [];
    try {
      read(environment);
    } catch (error) {
      faults = (error as InvalidSettings).faults;
    }
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
      'PORT',
      'ISSUER',
      'STATE',
      'KEYS',
      'HOST',
      'NODE_ENV',
    ]);
  });
});

test('the UNSAFE settings allow network and production', () => {
  const environment = {
    HOST: '0.0.0.0',
    UNSAFE_ALLOW_NETWORK: 'yes',
    NODE_ENV: 'production',
    UNSAFE_ALLOW_PRODUCTION: 'yes',
  };
  expect(read(environment).host).toBe('0.0.0.0');
});

test.each(['STATE', 'KEYS'])('%s in memory is memory:, never a file of such a name', (name) => {
  expect(() => read({ [name]: 'file::memory:' })).toThrow(`${name} must be memory: or file:PATH`);
});

test('white space around a value is ignored', () => {
  const environment = { HOST: ' ::1 ', STATE: ' memory: ', ISSUER: ' http://localhost:1 ' };
  expect(read(environment)).toMatchObject({
    host: '::1',
    state: 'memory:',
    issuer: 'http://localhost:1/',
  });
});
