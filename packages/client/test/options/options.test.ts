import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type ClientOptions, checkClientOptions, InvalidOptions } from '@koa-oauth/issuer';
import { proves } from '../../../../test/support/proves.ts';
import { type AuthOptions, checkOptions } from '../../src/options/options.ts';
import { OPTIONS } from '../support/options.ts';

// Each is long enough.
const WEAK_SECRETS = [
  '0'.repeat(32),
  '01'.repeat(16),
  '0123456'.repeat(5),
  'changeme'.repeat(4),
  `${'password-1'.repeat(3)}pa`,
  'correct horse ba'.repeat(2),
  '0123456789abcdef'.repeat(4),
  `${'0123456789'.repeat(3)}!?`,
];

describe('all options', () => {
  const api = { baseURL: 'https://api.example' };

  function faultsOf(options: unknown): string[] {
    try {
      checkOptions(options as AuthOptions);
      return [];
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidOptions);
      const { message } = error as Error;
      expect(message).toMatch(/^auth: /);
      return message.slice('auth: '.length).split('; ');
    }
  }

  describe('options', () => {
    test('an option that is undefined, as a setting that is not set, counts as absent', () => {
      const { seconds: _, ...defaults } = checkOptions(OPTIONS);
      const absent = {
        ...{ session: undefined, routes: undefined, api: undefined, http: undefined },
        ...{ idpLogout: undefined, clockTolerance: undefined, refreshLeeway: undefined },
        ...{ httpTimeout: undefined, onEvent: undefined, onMessage: undefined, now: undefined },
        ...{ authorizationParams: undefined, pushedAuthorizationRequests: undefined },
        ...{ clientAuthMethod: undefined, clientAssertionSigningKey: undefined },
      };
      expect(checkOptions({ ...OPTIONS, ...absent })).toMatchObject(defaults);
      const within = {
        session: { store: undefined, name: undefined, rollingDuration: undefined },
        routes: { login: undefined, logout: undefined, postLogoutRedirect: undefined },
        http: { proxy: undefined, ca: undefined },
        authorizationParams: { scope: undefined, audience: undefined },
      };
      const checked = checkOptions({ ...OPTIONS, ...within });
      expect(checked).toMatchObject({ ...defaults, http: {} });
      expect(checked.authorizationParams).toEqual({ scope: 'openid profile email' });
    });

    test('have defaults', () => {
      proves('ASVS 7.1.1');
      expect(checkOptions(OPTIONS)).toMatchObject({
        credentials: { clientAuthMethod: 'client_secret_basic' },
        authorizationParams: { scope: 'openid profile email' },
        session: { name: 'session', rollingDuration: 86_400, absoluteDuration: 604_800 },
        routes: { login: '/login', callback: '/callback', logout: '/logout' },
        idpLogout: true,
        clockTolerance: 60,
        refreshLeeway: 30,
        httpTimeout: 10_000,
        api: undefined,
      });
      expect(Object.isFrozen(checkOptions(OPTIONS))).toBe(true);
    });

    test.each<[string, Partial<AuthOptions>]>([
      ['an inner address', { metadataURL: 'http://issuer:1/metadata', unsafeAllowHTTP: true }],
      ['http on loopback', { issuerBaseURL: 'http://localhost:1', baseURL: 'http://127.0.0.1:2' }],
      [
        'several secrets',
        { secret: ['a-secret-of-the-tests-0123456789', 'b-secret-of-the-tests-0123456789'] },
      ],
      ['no login and no logout route', { routes: { login: false, logout: false } }],
      ['a proxy, or none', { http: { proxy: 'http://proxy.example:3128' } }],
      ['no proxy', { http: { proxy: false, ca: [] } }],
      ['max_age 0', { authorizationParams: { max_age: 0 } }],
      ['one path to sign in by GET and out by POST', { routes: { login: '/me', logout: '/me' } }],
    ])('%s is allowed', (_name, options) => {
      expect(faultsOf({ ...OPTIONS, ...options })).toEqual([]);
    });

    test.each<[string, object, string | RegExp]>([
      ['an issuer on http', { issuerBaseURL: 'http://issuer.example' }, 'issuerBaseURL'],
      ['metadata on http', { metadataURL: 'http://issuer.example/metadata' }, 'metadataURL'],
      ['no boolean', { unsafeAllowHTTP: 'yes' }, 'unsafeAllowHTTP'],
      ['no issuer', { issuerBaseURL: undefined }, 'issuerBaseURL'],
      ['an app on http', { baseURL: 'http://app.example' }, 'baseURL'],
      ['an app address with a query', { baseURL: 'https://app.example/?a' }, 'baseURL'],
      ['an app address with an empty query', { baseURL: 'https://app.example/?' }, 'baseURL'],
      ['an app address with two slashes', { baseURL: 'https://app.example//other' }, 'baseURL'],
      [
        'an app address with two slashes at its end',
        { baseURL: 'https://app.example//' },
        'baseURL',
      ],
      ['an app address with a line break', { baseURL: 'https://app.example\n' }, 'baseURL'],
      ['an API address with a space', { api: { baseURL: 'https://api.example ' } }, 'api.baseURL'],
      ['a client id with a line break', { clientID: 'client-1\n' }, 'clientID'],
      ['a client secret with a line break', { clientSecret: 'secret-1\r\n' }, 'clientSecret'],
      ['no app address', { baseURL: undefined }, 'baseURL'],
      ['an API on http', { api: { baseURL: 'http://api.example' } }, 'api.baseURL'],
      [
        'an API address with a password',
        { api: { baseURL: 'https://a:b@api.example' } },
        'api.baseURL',
      ],
      [
        'an API without patience',
        { api: { baseURL: 'https://a.example', timeout: 0 } },
        'api.timeout',
      ],
      ['no client', { clientID: '' }, 'clientID'],
      ['no client secret', { clientSecret: undefined }, 'clientSecret'],
      ['an unknown way to authenticate', { clientAuthMethod: 'tls' }, 'clientAuthMethod must be'],
      ['a short secret', { secret: 'short' }, 'secret'],
      ['one short of two', { secret: ['s-secret-of-the-tests-0123456789', 'short'] }, 'secret'],
      ...WEAK_SECRETS.map((weak): [string, object, string] => {
        return [`the weak secret ${weak}`, { secret: weak }, 'secret'];
      }),
      ['a weak secret after a good one', { secret: [OPTIONS.secret, '0'.repeat(32)] }, 'secret'],
      ['no secret', { secret: [] }, 'secret'],
      [
        'scope without openid',
        { authorizationParams: { scope: 'email' } },
        'authorizationParams.scope',
      ],
      ['a parameter of ours', { authorizationParams: { nonce: 'x' } }, 'authorizationParams.nonce'],
      ['a route that is no path', { routes: { login: 'login' } }, 'routes.login'],
      ['no callback', { routes: { callback: false } }, 'routes.callback'],
      [
        'a callback that begins a sign-in',
        { routes: { login: '/sign-in', callback: '/sign-in' } },
        'routes.callback must be a path of its own',
      ],
      [
        'a back channel in the way of others',
        { routes: { backChannelLogout: '/logout' } },
        'routes.backChannelLogout must be a path of its own',
      ],
      [
        'a hostile place after logout',
        { routes: { postLogoutRedirect: 'http://x.example' } },
        'routes.post',
      ],
      ['a lifetime of nothing', { session: { rollingDuration: 0 } }, 'session.rollingDuration'],
      ['a lifetime in text', { session: { absoluteDuration: '1' } }, 'session.absoluteDuration'],
      ['a cookie name with a space', { session: { name: 'a b' } }, 'session.name'],
      ...['__Host-a', '__host-a', '__Secure-a', '__Http-a', '__Host-Http-a'].map(
        (name): [string, object, string] => [
          `a cookie name ${name}`,
          { session: { name } },
          'session.name',
        ],
      ),
      ['a tolerance of hours', { clockTolerance: 3601 }, 'clockTolerance'],
      ['a negative leeway', { refreshLeeway: -1 }, 'refreshLeeway'],
      ['no time at all', { httpTimeout: Number.NaN }, 'httpTimeout'],
      ['a clock that stands', { now: 0 }, 'now must be a function'],
      ['a store that is none', { session: { store: {} } }, 'session.store must have create'],
      ['a proxy without a scheme', { http: { proxy: 'proxy:3128' } }, 'http.proxy must be'],
      ['an authority that is no PEM', { http: { ca: 'x' } }, 'http.ca must be PEM'],
      ['a name in http', { http: { timeout: 1 } }, /^unknown: http\.timeout \(did you mean api/],
      ['a maybe', { idpLogout: 'no' }, 'idpLogout must be true, false or'],
      [
        'a maybe about a push',
        { pushedAuthorizationRequests: 1 },
        'pushedAuthorizationRequests must be',
      ],
      ['a listener for messages that is none', { onMessage: 1 }, 'onMessage must be a function'],
      ['a listener that is none', { onEvent: {} }, 'onEvent must be a function'],
      ['a group that is none', { session: 'x' }, 'session must be an object'],
      ['parameters that are none', { authorizationParams: null }, 'authorizationParams must be'],
      ['another spelling', { clientId: 'x' }, /^unknown: clientId \(did you mean clientID\?\)$/],
      ['a name out of place', { store: {} }, /^unknown: store \(did you mean session\.store\?\)$/],
      ['a name in a group', { api: { ...api, retries: 2 } }, /^unknown: api\.retries$/],
      [
        'the spelling of the same group first',
        { api: { ...api, baseUrl: 'x' } },
        /^unknown: api\.baseUrl \(did you mean api\.baseURL\?\)$/,
      ],
      ['two unknown names', { foo: 1, constructor: 2 }, /^unknown: foo, constructor$/],
    ])('%s is named', (_name, options, fault) => {
      proves('RFC 8725 §3.5', 'RFC 6750 §5.3 TLS', 'FAPI 2.0 §5.2.1', 'FAPI 2.0 §5.3.3.1-10');
      const faults = faultsOf({ ...OPTIONS, ...options });
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(fault);
    });

    test.each([undefined, null, 'x', []])(
      '%j instead of the options is reported too',
      (options) => {
        expect(faultsOf(options)).toEqual(['the options must be an object']);
      },
    );

    test('all faults are named at once, and no secret', () => {
      const faults = faultsOf({ ...OPTIONS, baseURL: 'x', clientID: '', secret: 'short-secret' });
      expect(faults).toHaveLength(3);
      expect(faults.join()).not.toContain('short-secret');
    });
  });
});

describe('options of the client', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [clientID, clientSecret] = ['client-1', 'secret-1'];

  test.each<[string, ClientOptions, object]>([
    [
      'a secret',
      { clientID, clientSecret },
      { clientAuthMethod: 'client_secret_basic', clientSecret },
    ],
    [
      'a key',
      { clientID, clientAssertionSigningKey: privateKey },
      { clientAuthMethod: 'private_key_jwt', signingKey: { alg: 'ES256' } },
    ],
    ['neither', { clientID, clientAuthMethod: 'none' }, { clientAuthMethod: 'none' }],
  ])('the way that goes with %s', (_name, options, client) => {
    const checked = checkClientOptions(options);
    expect(checked.faults).toEqual([]);
    expect(checked.credentials).toMatchObject({ clientID, ...client });
    expect(Object.isFrozen(checked.credentials)).toBe(true);
  });

  const key = { clientAssertionSigningKey: privateKey };
  test.each<[string, object, string[]]>([
    ['no secret', {}, ['clientSecret must be as']],
    ['no secret for post', { clientAuthMethod: 'client_secret_post' }, ['clientSecret must be as']],
    ['no key', { clientAuthMethod: 'private_key_jwt' }, ['clientAssertionSigningKey must be']],
    ['a key and a secret', { ...key, clientSecret }, ['clientSecret has no use']],
    [
      'a key, and a way that has none',
      { ...key, clientSecret, clientAuthMethod: 'client_secret_post' },
      ['clientAssertionSigningKey has no use'],
    ],
    ['none and a secret', { clientSecret, clientAuthMethod: 'none' }, ['clientSecret has no use']],
    [
      'an algorithm for no key',
      { clientSecret, clientAssertionSigningAlg: 'RS256' },
      ['Alg has no use'],
    ],
    [
      'no such algorithm',
      { ...key, clientAssertionSigningAlg: 'HS256' },
      ['Alg must be ES256 for this key'],
    ],
    [
      'the algorithm of another key',
      { ...key, clientAssertionSigningAlg: 'RS256' },
      ['must be ES256'],
    ],
    [
      'no such way',
      { clientSecret, clientAuthMethod: 'tls_client_auth' },
      ['clientAuthMethod must be'],
    ],
    ['nothing at all', { clientID: '' }, ['clientID must be', 'clientSecret must be']],
  ])('%s is a fault', (_name, options, messages) => {
    proves('FAPI 2.0 §5.3.3.1-7');
    const { faults } = checkClientOptions({ clientID, ...options } as ClientOptions);
    expect(faults).toEqual(messages.map((message) => expect.stringContaining(message)));
    expect(faults.join()).not.toContain(clientSecret);
  });
});
