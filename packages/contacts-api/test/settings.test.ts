import { describe, expect, test } from '@jest/globals';
import { InvalidSettings, readSettings } from '@koa-oauth/service';
import { Settings } from '../src/settings.ts';
import { listeningLine } from '../src/start.ts';

const read = (environment: Record<string, string>) => readSettings(Settings, environment);

describe('settings', () => {
  test('point to the local authorization server by default', () => {
    expect(read({ PORT: '', AUDIENCE: ' ' })).toEqual({
      port: 3001,
      host: '127.0.0.1',
      baseURL: undefined,
      issuerBaseURL: 'http://localhost:3002',
      otherIssuers: [],
      audience: 'https://contacts.example.com/api',
      claimsNamespace: 'https://contacts.example.com/',
      databaseURL: 'file:./data/contacts.db',
      maxContacts: 500_000,
      rateLimits: { perSubject: 600, refusedPerAddress: 120 },
      storeURL: 'memory:',
      dpop: { required: false, nonce: false },
      introspection: undefined,
      stepUp: undefined,
      corsOrigins: [],
      trustProxy: false,
      metricsPort: undefined,
      hasTelemetry: false,
      workers: 1,
      logLevel: 'info',
      logoutClientIds: ['contacts-web', 'contacts-cli', 'contacts-docs'],
      docsClientId: 'contacts-docs',
      isDemo: true,
    });
  });

  test.each<[Record<string, string>, boolean, string | undefined]>([
    [{ NODE_ENV: 'development' }, true, 'contacts-docs'],
    [{ DOCS_CLIENT_ID: 'mine' }, true, 'mine'],
    [{ NODE_ENV: 'production' }, false, undefined],
    [{ ISSUER_BASE_URL: 'https://tenant.example.com/' }, false, undefined],
    [{ NODE_ENV: 'production', DOCS_CLIENT_ID: 'mine' }, false, 'mine'],
  ])('%j: is a demo: %s, signs in from /docs as %s', (environment, isDemo, docsClientId) => {
    expect(read(environment)).toMatchObject({ isDemo, docsClientId });
    const logoutClientIds = isDemo ? ['contacts-web', 'contacts-cli', 'contacts-docs'] : [];
    expect(read(environment)).toMatchObject({ logoutClientIds });
    expect(read({ ...environment, LOGOUT_CLIENT_IDS: 'a, b' }).logoutClientIds).toEqual(['a', 'b']);
  });

  test.each([
    ['https://api.example.com/crm/', 'https://api.example.com/crm'],
    ['HTTPS://API.example.com:443', 'https://api.example.com'],
    ['https://пример.example', 'https://xn--e1afmkfd.example'],
  ])('the address %s is written as %s, because headers have it', (BASE_URL, baseURL) => {
    expect(read({ BASE_URL })).toMatchObject({ baseURL });
  });

  test('can name several issuers; the first is apart from the others', () => {
    const ISSUER_BASE_URL = 'http://localhost:3002, https://tenant.example.com/';
    expect(read({ ISSUER_BASE_URL })).toMatchObject({
      issuerBaseURL: 'http://localhost:3002',
      otherIssuers: ['https://tenant.example.com/'],
      isDemo: false,
    });
  });

  test('introspection needs a client and its secret', () => {
    const INTROSPECTION_CLIENT_ID = 'api';
    const INTROSPECTION_CLIENT_SECRET = 'open-sesame';
    expect(read({ INTROSPECTION_CLIENT_ID, INTROSPECTION_CLIENT_SECRET })).toMatchObject({
      introspection: { clientID: 'api', clientSecret: 'open-sesame' },
    });
    expect(() => read({ INTROSPECTION_CLIENT_ID })).toThrow('INTROSPECTION_CLIENT_SECRET');
    expect(() => read({ INTROSPECTION_CLIENT_SECRET })).toThrow('INTROSPECTION_CLIENT_ID');
    expect(() => read({ INTROSPECTION_CLIENT_SECRET })).not.toThrow('open-sesame');
  });

  test.each([
    [{ STEP_UP_ACR: 'gold  silver' }, { acr: 'gold  silver', maxAge: undefined }],
    [{ STEP_UP_MAX_AGE: '0' }, { acr: undefined, maxAge: 0 }],
    [{ STEP_UP_ACR: ' ' }, undefined],
  ])('%j: the step-up is %j', (environment, stepUp) => {
    expect(read(environment).stepUp).toEqual(stepUp);
  });

  test.each([
    ['PORT', 'abc'],
    ['PORT', '70000'],
    ['PORT', '1.5'],
    ['PORT', '0x10'],
    ['BASE_URL', 'http://api.example.com'],
    ['BASE_URL', 'api.example.com'],
    ['ISSUER_BASE_URL', 'http://issuer.example.com/'],
    ['ISSUER_BASE_URL', 'issuer.example.com'],
    ['ISSUER_BASE_URL', 'https://issuer.example.com/,'],
    ['ISSUER_BASE_URL', 'https://issuer.example.com/,http://issuer.example.net/'],
    ['ISSUER_BASE_URL', 'https://issuer.example.com/,https://issuer.example.com'],
    ['ISSUER_BASE_URL', 'https://issuer.example.com/?a=b'],
    ['ISSUER_BASE_URL', 'http://localhost.example.com/'],
    ['CLAIMS_NAMESPACE', 'contacts'],
    ['DATABASE_URL', 'mysql://localhost/contacts'],
    ['DATABASE_URL', 'contacts.db'],
    ['DATABASE_URL', 'file:'],
    ['DATABASE_URL', 'file::memory:'],
    ['DATABASE_URL', 'file::memory:?cache=shared'],
    ['DATABASE_URL', 'file:file:contacts.db?mode=memory'],
    ['BASE_URL', 'ftp://api.example.com'],
    ['MAX_CONTACTS', '0'],
    ['RATE_LIMIT', '0'],
    ['RATE_LIMIT', 'many'],
    ['RATE_LIMIT_REFUSED', '-1'],
    ['LOGOUT_CLIENT_IDS', 'a,,b'],
    ['STORE_URL', 'mysql://a'],
    ['STORE_URL', 'redis://'],
    ['STORE_URL', 'redis://:open-sesame@host:99999'],
    ['STORE_URL', 'redis://:50%@host'],
    ['STORE_URL', 'postgres://api:100%ff@host/db'],
    ['DPOP', 'true'],
    ['DPOP_NONCE', 'yes'],
    ['STEP_UP_ACR', 'a"b'],
    ['STEP_UP_MAX_AGE', '-1'],
    ['CORS_ORIGINS', 'app.example.com'],
    ['CORS_ORIGINS', 'https://app.example.com/path'],
    ['CORS_ORIGINS', '*'],
    ['TRUST_PROXY', 'yes'],
    ['METRICS_PORT', '65536'],
    ['METRICS_PORT', '0'],
    ['CLAIMS_NAMESPACE', 'https://contacts.example.com/claims'],
    ['BASE_URL', 'https://api.example.com/v1?x=1'],
    ['BASE_URL', 'https://user:pw@api.example.com'],
    ['BASE_URL', 'https://api.example.com/#a'],
    ['WEB_CONCURRENCY', '0'],
    ['LOG_LEVEL', 'loud'],
  ])('reject %s=%s and name it', (name, value) => {
    expect(() => read({ [name]: value })).toThrow(InvalidSettings);
    expect(() => read({ [name]: value })).toThrow(new RegExp(`^ {2}${name} must `, 'm'));
  });

  test('several processes with nonces need a store that they share', () => {
    const several = { DPOP_NONCE: 'true', WEB_CONCURRENCY: '2' };
    expect(() => read(several)).toThrow(/^ {2}STORE_URL must be redis/m);
    expect(read({ ...several, STORE_URL: 'redis://localhost' }).dpop.nonce).toBe(true);
    expect(read({ ...several, DPOP_NONCE: 'false' }).workers).toBe(2);
    expect(read({ ...several, WEB_CONCURRENCY: '1' }).dpop.nonce).toBe(true);
  });

  test('name every wrong setting, not only the first', () => {
    const wrong = { PORT: 'x', ISSUER_BASE_URL: 'x', DATABASE_URL: 'x' };
    expect(() => read(wrong)).toThrow(/ {2}PORT .*\n {2}ISSUER_BASE_URL .*\n {2}DATABASE_URL /);
  });
});

test.each([
  ['127.0.0.1', 'http://127.0.0.1:3001'],
  ['::1', 'http://[::1]:3001'],
])('with the host %s the first line has a URL', (HOST, url) => {
  expect(listeningLine(read({ HOST }), 3001)).toBe(`contacts API listens on ${url}`);
});
