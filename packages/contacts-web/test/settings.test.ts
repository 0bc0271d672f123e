import { describe, expect, test } from '@jest/globals';
import { InvalidSettings, readSettings } from '@koa-oauth/service';
import { Settings } from '../src/settings.ts';

const read = (environment: Record<string, string>) => readSettings(Settings, environment);

function messageFor(environment: Record<string, string>): string {
  try {
    read(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidSettings);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('settings', () => {
  test('the defaults make the demonstration on one machine', () => {
    expect(read({})).toEqual({
      port: 3000,
      host: '127.0.0.1',
      baseURL: 'http://localhost:3000',
      issuerBaseURL: 'http://localhost:3002',
      clientID: 'contacts-web',
      clientSecret: 'contacts-web-demo-secret',
      clientAuthMethod: 'client_secret_post',
      apiBaseURL: 'http://localhost:3001',
      audience: 'https://contacts.example.com/api',
      scope:
        'openid profile email offline_access read:contacts create:contacts update:contacts ' +
        'delete:contacts read:activity',
      authorizationParams: {},
      dpop: false,
      idpLogout: true,
      secrets: [],
      sessionStoreURL: 'file:./data/sessions.db',
      showTokens: true,
      hasTelemetry: false,
      logLevel: 'info',
    });
  });

  test('an empty variable counts as not set', () => {
    expect(read({ PORT: '', SECRET: ' ', BASE_URL: '' })).toEqual(read({}));
  });

  test('the client secret may go in a header instead', () => {
    const { clientAuthMethod } = read({ CLIENT_AUTH_METHOD: 'client_secret_basic' });
    expect(clientAuthMethod).toBe('client_secret_basic');
  });

  test('further parameters of a sign-in are a query, and an empty one is not sent', () => {
    const claims = '{"userinfo":{"name":null}}';
    const { authorizationParams } = read({
      AUTHORIZATION_PARAMS: `prompt=consent&resource=https://api.example.com&max_age=60&audience=&claims=${claims}`,
    });
    expect(authorizationParams).toEqual({
      prompt: 'consent',
      resource: 'https://api.example.com',
      max_age: 60,
      audience: undefined,
      claims,
    });
  });

  test.each([
    ['', true],
    ['yes', true],
    ['no', false],
    ['id_token_hint', 'id_token_hint'],
  ] as const)('with IDP_LOGOUT %s the logout at the issuer is %s', (setting, idpLogout) => {
    expect(read({ IDP_LOGOUT: setting }).idpLogout).toBe(idpLogout);
  });

  test('several secrets, newest first', () => {
    const [a, b] = ['a-secret-of-the-tests-0123456789', 'b-secret-of-the-tests-0123456789'];
    expect(read({ SECRET: `${a}, ${b}` }).secrets).toEqual([a, b]);
  });

  test('a slash at the end of BASE_URL is dropped: the redirect URI is compared exactly', () => {
    expect(read({ BASE_URL: 'https://app.example/' }).baseURL).toBe('https://app.example');
  });

  const wrong: [string, Record<string, string>, RegExp][] = [
    ['a port that is none', { PORT: 'http' }, /PORT must be a port number from 0 to 65535/],
    ['a port too high', { PORT: '65536' }, /PORT must be a port number/],
    [
      'an address with a line break',
      { BASE_URL: 'https://app.example\n' },
      /BASE_URL must be an https/,
    ],
    ['port 0 without an address', { PORT: '0' }, /BASE_URL must be set when PORT is 0/],
    [
      'an issuer on plain http',
      {
        ISSUER_BASE_URL: 'http://issuer.example',
        CLIENT_ID: 'c',
        CLIENT_SECRET: 's',
        SECRET: 's-secret-of-the-tests-0123456789',
      },
      /ISSUER_BASE_URL must be an https/,
    ],
    [
      'an issuer with a query',
      { ISSUER_BASE_URL: 'http://localhost:1/?a' },
      /ISSUER_BASE_URL must/,
    ],
    [
      'an API on plain http',
      { API_BASE_URL: 'http://api.example' },
      /API_BASE_URL must be an https/,
    ],
    ['an address of the app on plain http', { BASE_URL: 'http://app.example' }, /BASE_URL must/],
    [
      'an address of the app with a path, which its links would leave',
      { BASE_URL: 'https://app.example/contacts-web' },
      /BASE_URL must have no path/,
    ],
    ['a scope without openid', { SCOPE: 'profile' }, /SCOPE must contain openid/],
    ['a short secret', { SECRET: 'short' }, /SECRET must be 32 random characters/],
    ['32 zeros', { SECRET: '0'.repeat(32) }, /SECRET must be 32 random characters/],
    ['a repeated word', { SECRET: 'password-1'.repeat(4) }, /`openssl rand -base64 32` makes one/],
    ['a list without a secret', { SECRET: ' , ,' }, /SECRET must be 32 random characters/],
    [
      'a list without a secret, with an issuer elsewhere',
      {
        ISSUER_BASE_URL: 'https://issuer.example/',
        CLIENT_ID: 'c',
        CLIENT_SECRET: 's',
        SECRET: ',',
      },
      /SECRET must be 32 random characters/,
    ],
    [
      'one short secret of two',
      { SECRET: `${'a-secret-of-the-tests-0123456789'},b` },
      /SECRET must/,
    ],
    [
      'a store of an unknown kind',
      { SESSION_STORE_URL: 'x' },
      /SESSION_STORE_URL must be memory:, file:PATH such as/,
    ],
    [
      'a file in memory',
      { SESSION_STORE_URL: 'file::memory:' },
      /SESSION_STORE_URL must be memory:/,
    ],
    ['Redis without a host', { SESSION_STORE_URL: 'redis://' }, /SESSION_STORE_URL must be/],
    [
      'a "%" in a password',
      { SESSION_STORE_URL: 'redis://:50%@host' },
      /SESSION_STORE_URL must be/,
    ],
    [
      'a database without a host',
      { SESSION_STORE_URL: 'postgres://' },
      /SESSION_STORE_URL must be/,
    ],
    [
      'Redis with a password that is not encoded, and is not repeated',
      { SESSION_STORE_URL: 'redis://user:PASS/WORD@host' },
      /^(?![\s\S]*PASS)[\s\S]*SESSION_STORE_URL must be/,
    ],
    [
      'an unknown way to show the secret',
      { CLIENT_AUTH_METHOD: 'none' },
      /CLIENT_AUTH_METHOD must be client_secret_post or client_secret_basic/,
    ],
    ['a switch that is neither', { SHOW_TOKENS: 'true' }, /SHOW_TOKENS must be yes or no/],
    [
      'tokens shown in production',
      { SHOW_TOKENS: 'yes', NODE_ENV: 'production' },
      /SHOW_TOKENS must not be yes/,
    ],
    ['an unknown log level', { LOG_LEVEL: 'loud' }, /LOG_LEVEL must be one of/],
  ];
  test.each(wrong)('%s is named', (_name, environment, message) => {
    const text = messageFor(environment);
    expect(text).toMatch(message);
    expect(text.split('\n')).toHaveLength(2);
  });

  test.each([
    'memory:',
    'file:./data/sessions.db',
    'redis://127.0.0.1:6379',
    'rediss://user:pass%2Fword@redis.example:6380/1',
    'postgres://user:pass%2Fword@db.example:5432/app?sslmode=verify-full',
  ])('the store may be %s', (SESSION_STORE_URL) => {
    expect(read({ SESSION_STORE_URL })).toMatchObject({
      sessionStoreURL: SESSION_STORE_URL,
    });
  });

  const ELSEWHERE = {
    ISSUER_BASE_URL: 'https://tenant.example.com/',
    CLIENT_ID: 'c',
    CLIENT_SECRET: 's',
    SECRET: 's-secret-of-the-tests-0123456789',
  };
  test.each([
    ['on one machine', {}, true],
    ['in production', { NODE_ENV: 'production' }, false],
    ['with an issuer elsewhere', ELSEWHERE, false],
    ['with an issuer elsewhere, when told', { ...ELSEWHERE, SHOW_TOKENS: 'yes' }, true],
    ['when told not to', { SHOW_TOKENS: 'no' }, false],
  ])('whether tokens are shown %s', (_name, environment, expected) => {
    expect(read(environment)).toMatchObject({ showTokens: expected });
  });

  test('elsewhere than on loopback, client and secret cannot be guessed', () => {
    const text = messageFor({ ISSUER_BASE_URL: 'https://tenant.example.com/' });
    for (const name of ['CLIENT_ID', 'CLIENT_SECRET', 'SECRET']) expect(text).toMatch(name);
  });

  test('all that is wrong is named at once, and no value is repeated', () => {
    const text = messageFor({
      PORT: 'x',
      ISSUER_BASE_URL: 'https://tenant.example.com/',
      SECRET: 'my-secret',
      SCOPE: 'x',
    });
    for (const name of ['PORT', 'CLIENT_ID', 'CLIENT_SECRET', 'SECRET', 'SCOPE']) {
      expect(text).toContain(`\n  ${name} `);
    }
    expect(text).not.toContain('my-secret');
  });
});
