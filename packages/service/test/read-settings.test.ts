import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { InvalidSettings } from '../src/errors.ts';
import {
  isLoopback,
  isSecureURL,
  listSettings,
  logLevel,
  parseURL,
  port,
  readSettings,
  wholeNumber,
} from '../src/read-settings.ts';

const Environment = z.object({
  PORT: port().default(3000).describe('port it listens on'),
  BASE_URL: z.string().optional().meta({ description: 'its address', defaultText: '`http://…`' }),
  SECRET: z.string().min(8, 'must be 8 characters or more').optional().describe('seals | opens'),
  LOG_LEVEL: logLevel().default('info').describe('level of the log'),
});

const Settings = Environment.superRefine(
  ({ PORT, BASE_URL }, context) => {
    if (Number(PORT) === 0 && !BASE_URL) {
      context.addIssue({ code: 'custom', path: ['BASE_URL'], message: 'must be set with PORT=0' });
    }
  },
  { when: () => true },
).transform(({ PORT, LOG_LEVEL }) => ({ port: PORT, logLevel: LOG_LEVEL }));

const faultsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    readSettings(Settings, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidSettings);
    return (error as InvalidSettings).faults;
  }
  return [];
};

describe('readSettings', () => {
  test('returns the output of the schema, frozen', () => {
    const settings = readSettings(Settings, { PORT: '8080', HOME: '/root' });
    expect(settings).toEqual({ port: 8080, logLevel: 'info' });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  test.each(['', ' ', '\t\n'])('%j counts as not set', (value) => {
    expect(readSettings(Settings, { PORT: value })).toMatchObject({ port: 3000 });
  });

  test('names every wrong setting at once, with the checks of several settings', () => {
    expect(faultsOf({ PORT: '0', SECRET: 'short', LOG_LEVEL: 'loud' })).toEqual([
      'SECRET must be 8 characters or more',
      'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent',
      'BASE_URL must be set with PORT=0',
    ]);
  });

  test('throws a message with a line per setting, and repeats no value', () => {
    expect(() => readSettings(Settings, { PORT: 'a-port', SECRET: 'hush' })).toThrow(
      'these settings are wrong:\n  PORT must be a port number from 0 to 65535\n' +
        '  SECRET must be 8 characters or more',
    );
  });
});

test.each(['x', '-1', '1.5', '0x10', '1e3', '65536', '99999999999', '１'])(
  '%s is not a port',
  (PORT) => {
    expect(faultsOf({ PORT })).toEqual(['PORT must be a port number from 0 to 65535']);
  },
);

test('a whole number has bounds', () => {
  const workers = wholeNumber('number', 1, 64);
  expect(['1', '64'].map((text) => workers.parse(text))).toEqual([1, 64]);
  for (const text of ['0', '65']) expect(workers.safeParse(text).success).toBe(false);
});

test('listSettings returns names, meanings, and defaults or their texts', () => {
  expect(listSettings(Environment)).toEqual([
    { name: 'PORT', meaning: 'port it listens on', defaultText: '`3000`' },
    { name: 'BASE_URL', meaning: 'its address', defaultText: '`http://…`' },
    { name: 'SECRET', meaning: 'seals | opens', defaultText: 'none' },
    { name: 'LOG_LEVEL', meaning: 'level of the log', defaultText: '`info`' },
  ]);
});

test.each<[string, boolean, boolean]>([
  ['https://contacts.example.com/', false, true],
  ['http://contacts.example.com/', false, false],
  ['http://localhost:3002', true, true],
  ['http://127.1.2.3', true, true],
  ['http://[::1]:3002', true, true],
  ['http://acme.localhost:3000', true, true],
  ['http://localhost.:3000', true, true],
  ['http://0.0.0.0:3000', false, false],
  ['http://localhost.example.com', false, false],
  ['http://evillocalhost', false, false],
  ['http://127.0.0.1.example.com', false, false],
  ['ftp://localhost', true, false],
])(
  '%s is on this machine: %s, and only both ends can read: %s (RFC 8252 §7.3)',
  (url, loopback, secure) => {
    expect(isLoopback(new URL(url).hostname)).toBe(loopback);
    expect(isSecureURL(new URL(url))).toBe(secure);
  },
);

test('a host as the operating system writes it is on this machine', () => {
  expect(isLoopback('::1')).toBe(true);
});

test('an international name is accepted each time that it is parsed', () => {
  for (let time = 0; time < 20_000; time += 1) {
    if (!parseURL('https://é.example/')) throw new Error(`rejected after ${time} times`);
  }
  expect(parseURL('tenant.example.com')).toBeUndefined();
  expect(parseURL(['https://tenant.example.com/'])).toBeUndefined();
});
