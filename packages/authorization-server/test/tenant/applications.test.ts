import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt, SignJWT } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import { rsaKeyPair } from '../../../../test/support/test-keys.ts';
import { type AuthorizationServer, type InvalidTenant, loadTenant } from '../../src/index.ts';
import { publicKeyOf } from '../../src/tenant/client-keys.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  API,
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
} from '../support/sign-in.ts';

describe('applications', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  describe('a loopback callback without a port (RFC 8252 section 7.3)', () => {
    test.each([1024, 45_454, 65_535])('accepts the port %d', async (port) => {
      const redirect_uri = `http://127.0.0.1:${port}/callback`;
      const change = {
        client_id: 'contacts-cli',
        redirect_uri,
        scope: 'read:contacts',
        nonce: undefined,
      };
      const request = authorizationRequest(server, change);
      const callback = await signIn(openBrowser(), request, 'bob');
      const form = {
        grant_type: 'authorization_code',
        code: callback.get('code') ?? '',
        redirect_uri,
        code_verifier: request.verifier,
      };
      const { body } = await requestTokens(server, form, 'contacts-cli');
      expect(decodeJwt(body.access_token ?? '')).toMatchObject({
        sub: 'auth0|bob',
        azp: 'contacts-cli',
        scope: 'read:contacts',
      });
    });
  });

  describe('a redirect_uri that is not allowed is a page with 400, never a redirect', () => {
    test.each([
      ['another host', 'contacts-web', 'http://evil.example/callback'],
      ['another port of localhost', 'contacts-web', 'http://localhost:3999/callback'],
      ['a longer path', 'contacts-web', 'http://localhost:3000/callback/x'],
      ['a query', 'contacts-web', 'http://localhost:3000/callback?x=1'],
      ['a fragment', 'contacts-web', 'http://localhost:3000/callback#x'],
      ['a path above', 'contacts-web', 'http://localhost:3000/a/../callback'],
      ['no URL', 'contacts-web', '"><script>alert(1)</script>'],
      ['localhost for 127.0.0.1', 'contacts-cli', 'http://localhost:4000/callback'],
      ['another path', 'contacts-cli', 'http://127.0.0.1:4000/other'],
    ])('%s', async (_name, client_id, redirect_uri) => {
      proves('RFC 9700 §2.1 redirect URI', 'RFC 9700 §4.1', 'ASVS 10.4.1');
      const { url } = authorizationRequest(server, { client_id, redirect_uri });
      const page = await openBrowser().get(url);
      expect(page.statusCode).toBe(400);
      expect(page.headers.location).toBeUndefined();
      expect(page.headers['content-type']).toContain('text/html');
      expect(page.body).toContain('Callback URL mismatch');
      expect(page.body).not.toContain('<script');
      expect(page.body).not.toContain('node_modules');
    });
  });

  describe('a native application (RFC 8252 section 7.1)', () => {
    const APP = 'com.example.app://callback';
    const start = () =>
      startDemo((tenant) => {
        const [web] = tenant.clients;
        tenant.clients.push({
          ...web!,
          client_id: 'app',
          client_secret: undefined,
          token_endpoint_auth_method: 'none',
          app_type: 'native',
          callbacks: [APP, 'http://127.0.0.1:5000/callback', 'https://app.example/callback'],
          allowed_logout_urls: ['com.example.app://bye'],
        });
      });

    test('signs in and out by its own scheme', async () => {
      const native = await start();
      const request = authorizationRequest(native, { client_id: 'app', redirect_uri: APP });
      const browser = openBrowser();
      const callback = await signIn(browser, request);
      const form = {
        grant_type: 'authorization_code',
        client_id: 'app',
        code: callback.get('code') ?? '',
        redirect_uri: APP,
        code_verifier: request.verifier,
      };
      const tokens = await got
        .post(`${native.issuer}oauth/token`, { form })
        .json<{ id_token: string }>();
      expect(decodeJwt(tokens.id_token).aud).toBe('app');
      const logout = `${native.issuer}v2/logout?client_id=app&returnTo=com.example.app://bye`;
      expect((await browser.get(logout)).headers.location).toBe('com.example.app://bye');
    });

    test.each([
      'com.example.other://callback',
      `${APP}/x`,
      `${APP}?x=1`,
      'com.example.app:callback',
    ])('%s is refused', async (redirect_uri) => {
      const { url } = authorizationRequest(await start(), { client_id: 'app', redirect_uri });
      const page = await openBrowser().get(url);
      expect([page.statusCode, page.headers.location]).toEqual([400, undefined]);
    });
  });

  test('an unknown client is a page with 400', async () => {
    proves('RFC 9700 §4.11.2');
    const { url } = authorizationRequest(server, { client_id: '<script>x' });
    const page = await openBrowser().get(url);
    expect(page.statusCode).toBe(400);
    expect(page.body).toContain('Unknown client');
    expect(page.body).not.toContain('<script');
  });
});

describe('keys of applications', () => {
  const rsa = rsaKeyPair();
  const other = rsaKeyPair(1);
  const pem = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }));
  const jwk = rsa.publicKey.export({ format: 'jwk' }) as Record<string, unknown>;
  const generate = generateKeyPairSync as (
    type: string,
    options?: object,
  ) => { publicKey: KeyObject };
  const pemOf = (type: string, options?: object): string =>
    String(generate(type, options).publicKey.export({ type: 'spki', format: 'pem' }));
  function jwkOf(type: string, options?: object): Record<string, unknown> {
    return generate(type, options).publicKey.export({ format: 'jwk' }) as Record<string, unknown>;
  }
  const now = (): number => Math.floor(Date.now() / 1000);

  const FORMS = {
    pem: {
      client_authentication_methods: { private_key_jwt: { credentials: [{ pem, alg: 'RS256' }] } },
    },
    jwk: { client_authentication_methods: { private_key_jwt: { credentials: [{ jwk }] } } },
    jwks: { jwks: { keys: [jwk] } },
  };

  const startWith = (form: object): Promise<AuthorizationServer> =>
    startDemo((tenant) => {
      const client = tenant.clients[1]!;
      delete client.client_secret;
      delete client.token_endpoint_auth_method;
      Object.assign(client, form);
    });

  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startWith(FORMS.pem);
  });
  afterAll(stopServers);

  interface Assertion {
    claims?: Record<string, unknown>;
    key?: KeyObject;
    alg?: string;
  }

  function assertionFor(to: AuthorizationServer, { claims, key, alg }: Assertion): Promise<string> {
    const payload = {
      iss: 'contacts-cli',
      sub: 'contacts-cli',
      aud: to.issuer,
      iat: now(),
      exp: now() + 60,
      jti: randomUUID(),
      ...claims,
    };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: alg ?? 'RS256' })
      .sign(key ?? rsa.privateKey);
  }

  async function requestWith(to: AuthorizationServer, change: Record<string, string>) {
    const form = {
      grant_type: 'client_credentials',
      audience: API,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      ...change,
    };
    const url = new URL('oauth/token', to.issuer);
    const answer = await got.post(url, { form, responseType: 'json', throwHttpErrors: false });
    return { status: answer.statusCode, body: answer.body as Record<string, string> };
  }

  const UNAUTHORIZED = {
    status: 401,
    body: { error: 'access_denied', error_description: 'Unauthorized' },
  };

  describe('private_key_jwt (RFC 7523 section 2.2)', () => {
    test.each(Object.entries(FORMS))('accepts the key as %s', async (_name, form) => {
      const to = await startWith(form);
      const { status, body } = await requestWith(to, {
        client_assertion: await assertionFor(to, {}),
      });
      expect(status).toBe(200);
      expect(decodeJwt(body.access_token ?? '')).toMatchObject({ sub: 'contacts-cli@clients' });
    });

    test('is in the metadata', async () => {
      const url = `${server.issuer}.well-known/openid-configuration`;
      const metadata = await got(url).json<Record<string, string[]>>();
      expect(metadata.token_endpoint_auth_methods_supported).toContain('private_key_jwt');
    });

    test('accepts the token endpoint as audience', async () => {
      const claims = { aud: `${server.issuer}oauth/token` };
      const client_assertion = await assertionFor(server, { claims });
      expect((await requestWith(server, { client_assertion })).status).toBe(200);
    });

    const faults: [string, Assertion][] = [
      ['another key', { key: other.privateKey }],
      ['another audience', { claims: { aud: 'https://other.example/' } }],
      ['another issuer', { claims: { iss: 'contacts-web' } }],
      ['another client', { claims: { iss: 'contacts-web', sub: 'contacts-web' } }],
      ['an unknown client', { claims: { iss: 'unknown', sub: 'unknown' } }],
      ['an end in the past', { claims: { exp: now() - 120 } }],
      ['no end', { claims: { exp: undefined } }],
      ['no id', { claims: { jti: undefined } }],
      ['another algorithm than the key is for', { alg: 'PS256' }],
    ];
    test.each(faults)('refuses %s', async (_name, change) => {
      const client_assertion = await assertionFor(server, change);
      expect(await requestWith(server, { client_assertion })).toEqual(UNAUTHORIZED);
    });

    test('accepts an assertion once', async () => {
      proves('RFC 9700 §2.5');
      const client_assertion = await assertionFor(server, {});
      expect((await requestWith(server, { client_assertion })).status).toBe(200);
      expect(await requestWith(server, { client_assertion })).toEqual(UNAUTHORIZED);
    });

    test('accepts one of two simultaneous requests with one assertion', async () => {
      const client_assertion = await assertionFor(server, {});
      const answers = await Promise.all(
        [1, 2, 3].map(() => requestWith(server, { client_assertion })),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    test('accepts neither a secret nor nothing', async () => {
      const url = new URL('oauth/token', server.issuer);
      const form = { grant_type: 'client_credentials', audience: API, client_id: 'contacts-cli' };
      for (const more of [{ client_secret: 'contacts-cli-demo-secret' }, {}]) {
        const { statusCode } = await got.post(url, {
          form: { ...form, ...more },
          throwHttpErrors: false,
        });
        expect(statusCode).toBe(401);
      }
    });
  });

  describe('a key that cannot be used says what to give', () => {
    const secret = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' });
    test.each([
      ['both', { pem, jwk }, 'give either a pem or a jwk'],
      ['none', {}, 'give either a pem or a jwk'],
      ['a private key in PEM', { pem: String(secret) }, 'give the public key'],
      ['a private JWK', { jwk: { ...jwk, d: 'x' } }, 'give the public key'],
      ['a shared secret', { jwk: { kty: 'oct', k: 'AAAA' } }, 'give the public key'],
      ['a JWK with a prime of the private key', { jwk: { ...jwk, p: 'x' } }, 'give the public key'],
      ['no PEM', { pem: 'hello' }, 'no public key and no certificate'],
      ['no JWK', { jwk: { kty: 'RSA' } }, 'no public key (RFC 7517)'],
      ['a symmetric key without its bytes', { jwk: { kty: 'oct' } }, 'no public key (RFC 7517)'],
      ['a weak RSA key', { pem: pemOf('rsa', { modulusLength: 1024 }) }, 'has 1024 bits'],
      ['a weak RSA key as JWK', { jwk: jwkOf('rsa', { modulusLength: 2040 }) }, 'has 2040 bits'],
      ['an exponent of 1', { jwk: { ...jwk, e: 'AQ' } }, 'the exponent'],
      ['an even exponent', { jwk: { ...jwk, e: 'AQAA' } }, 'the exponent'],
      ['an exponent without end', { jwk: { ...jwk, e: jwk.n } }, 'the exponent'],
      [
        'an RSA key for PSS alone',
        { pem: pemOf('rsa-pss', { modulusLength: 2048 }) },
        'give an RSA key',
      ],
      ['another curve', { jwk: jwkOf('ec', { namedCurve: 'P-384' }) }, 'the curve P-256'],
      [
        'the curve of Bitcoin',
        { jwk: jwkOf('ec', { namedCurve: 'secp256k1' }) },
        'the curve P-256',
      ],
      ['a key for agreement', { jwk: jwkOf('x25519') }, 'the curve P-256'],
      ['an Ed448 key', { pem: pemOf('ed448') }, 'an Ed25519 key'],
      ['one for encryption', { jwk: { ...jwk, use: 'enc' } }, 'not for signatures'],
      [
        'one that verifies nothing',
        { jwk: { ...jwk, key_ops: ['encrypt'] } },
        'not for signatures',
      ],
      ['an alg of another kind', { pem, alg: 'ES256' }, 'give RS256 or PS256'],
      ['a symmetric alg', { pem, alg: 'HS256' }, 'give RS256 or PS256'],
      ['no alg at all', { pem, alg: 'none' }, 'give RS256 or PS256'],
      [
        'an alg for encryption in the jwk',
        { jwk: { ...jwk, alg: 'RSA-OAEP' } },
        'give RS256 or PS256',
      ],
      ['two algs', { jwk: { ...jwk, alg: 'RS256' }, alg: 'PS256' }, 'give it once'],
      ['a kid that is a number', { jwk: { ...jwk, kid: 5 } }, '"kid" of the jwk must be a text'],
    ] as [string, Parameters<typeof publicKeyOf>[0], string][])(
      '%s',
      (_name, credential, message) => {
        proves('RFC 8725 §3.5');
        expect(() => publicKeyOf(credential)).toThrow(message);
      },
    );

    test('names its path and line in the tenant file', () => {
      const directory = mkdtempSync(join(tmpdir(), 'keys-'));
      const weak = jwkOf('rsa', { modulusLength: 1024 });
      const file = join(directory, 'tenant.yaml');
      writeFileSync(
        file,
        `clients:
  - name: Machine
    client_id: machine
    grant_types: [client_credentials]
    client_authentication_methods:
      private_key_jwt:
        credentials:
          - jwk: ${JSON.stringify(jwk)}
          - jwk: ${JSON.stringify(weak)}
    jwks:
      keys:
        - ${JSON.stringify({ ...jwk, use: 'enc' })}
users: [{ user_id: a, email: a@example.com, name: A, password: a }]
`,
      );
      try {
        loadTenant(file);
        throw new Error('it was loaded');
      } catch (error) {
        const { message, faults } = error as InvalidTenant;
        expect(message).toContain(file);
        expect(faults).toEqual([
          expect.stringMatching(
            /^line 9, clients\.0\.client_authentication_methods\.private_key_jwt\.credentials\.1: the RSA key has 1024 bits/,
          ),
          expect.stringMatching(
            /^line 12, clients\.0\.jwks\.keys\.0: the jwk is not for signatures/,
          ),
        ]);
        // Not even a public key is repeated.
        expect(message).not.toContain(String(weak.n));
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  });

  describe('a usable key keeps only its public members', () => {
    test.each([
      ['RSA', jwk, 'RS256'],
      ['RSA', jwk, 'PS256'],
      ['P-256', jwkOf('ec', { namedCurve: 'P-256' }), 'ES256'],
      ['Ed25519', jwkOf('ed25519'), 'EdDSA'],
    ])('%s for %3$s', (_name, key, alg) => {
      const given = {
        ...key,
        kid: 'one',
        use: 'sig',
        key_ops: ['verify'],
        x5u: 'http://evil.example',
      };
      expect(publicKeyOf({ jwk: given, alg })).toEqual({ ...key, kid: 'one', use: 'sig', alg });
    });

    test('authenticates a client with an EC key', async () => {
      const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const to = await startWith({ jwks: { keys: [ec.publicKey.export({ format: 'jwk' })] } });
      const client_assertion = await assertionFor(to, { key: ec.privateKey, alg: 'ES256' });
      expect((await requestWith(to, { client_assertion })).status).toBe(200);
    });
  });
});
