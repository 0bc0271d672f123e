import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import nock from 'nock';
import { proves } from '../../../../test/support/proves.ts';
import { rsaKeyPair } from '../../../../test/support/test-keys.ts';
import { type AuthOptions, checkOptions } from '../../src/options/options.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { OPTIONS } from '../support/options.ts';
import { codeOf, startWebApp, type WebApp } from '../support/web-app.ts';

const { clientSecret, ...rest } = OPTIONS;
const es256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const es384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
const rsa = rsaKeyPair().privateKey;
const fapi = { ...rest, profile: 'fapi2', clientAssertionSigningKey: es256 } as const;

function faultsOf(options: Partial<AuthOptions> | Record<string, unknown>): string {
  try {
    checkOptions({ ...fapi, ...options } as AuthOptions);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('options', () => {
  test('the profile turns on what it needs', () => {
    expect(checkOptions(fapi)).toMatchObject({
      credentials: { clientAuthMethod: 'private_key_jwt', signingKey: { alg: 'ES256' } },
      pushedAuthorizationRequests: true,
      dpop: true,
      algorithms: ['PS256', 'ES256', 'EdDSA', 'Ed25519'],
    });
  });

  test('an RSA key signs with PS256', () => {
    const { credentials } = checkOptions({ ...fapi, clientAssertionSigningKey: rsa });
    expect(credentials).toMatchObject({ signingKey: { alg: 'PS256' } });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['clientSecret', { clientSecret }, 'clientSecret has no use with private_key_jwt'],
    [
      'clientAuthMethod',
      { clientAuthMethod: 'client_secret_basic' },
      'clientAuthMethod must be private_key_jwt with the profile fapi2',
    ],
    ['none', { clientAuthMethod: 'none' }, 'clientAuthMethod must be private_key_jwt'],
    [
      'no key',
      { clientAssertionSigningKey: undefined },
      'clientAssertionSigningKey must be a private key',
    ],
    [
      'an algorithm',
      { clientAssertionSigningKey: rsa, clientAssertionSigningAlg: 'RS256' },
      'clientAssertionSigningAlg must be PS256 for this key',
    ],
    [
      'the algorithm of a JWK',
      { clientAssertionSigningKey: { ...rsa.export({ format: 'jwk' }), alg: 'RS256' } },
      'clientAssertionSigningAlg must be PS256 for this key',
    ],
    [
      'a key on P-384',
      { clientAssertionSigningKey: es384 },
      'clientAssertionSigningKey must be for PS256, ES256, EdDSA, Ed25519',
    ],
    ['dpop', { dpop: false }, 'dpop must be true with the profile fapi2'],
    [
      'pushedAuthorizationRequests',
      { pushedAuthorizationRequests: false },
      'pushedAuthorizationRequests must be true with the profile fapi2',
    ],
    ['clockTolerance', { clockTolerance: 61 }, 'clockTolerance must be 60 at most'],
    ['unsafeAllowHTTP', { unsafeAllowHTTP: true }, 'unsafeAllowHTTP must be false'],
    ['another profile', { profile: 'auth0' }, 'profile must be fapi2'],
  ])('%s that contradicts it stops the start', (_, options, fault) => {
    proves(
      'FAPI 2.0 §5.3.3.1-1',
      'FAPI 2.0 §5.3.3.1-2',
      'FAPI 2.0 §5.3.3.2-2',
      'FAPI 2.0 §5.4.1-1',
      'FAPI 2.0 §5.4.1-3',
    );
    expect(faultsOf(options)).toContain(fault);
  });

  test('all that contradict it are named at once', () => {
    const message = faultsOf({
      clientSecret,
      clientAuthMethod: 'client_secret_post',
      clientAssertionSigningKey: undefined,
      dpop: false,
      pushedAuthorizationRequests: false,
      clockTolerance: 300,
    });
    for (const name of [
      ...['clientSecret has', 'clientAuthMethod must', 'clientAssertionSigningKey must'],
      ...['dpop must', 'pushedAuthorizationRequests must', 'clockTolerance must'],
    ]) {
      expect(message).toContain(name);
    }
    expect(message.split('; ')).toHaveLength(6);
  });

  test('what is stricter is accepted', () => {
    expect(faultsOf({ clockTolerance: 10, dpop: true, clientAuthMethod: 'private_key_jwt' })).toBe(
      '',
    );
  });
});

const METADATA = {
  pushed_authorization_request_endpoint: `${ISSUER}oauth/par`,
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'private_key_jwt'],
  token_endpoint_auth_signing_alg_values_supported: ['RS256', 'PS256', 'ES256'],
  dpop_signing_alg_values_supported: ['ES256'],
  id_token_signing_alg_values_supported: ['RS256', 'PS256'],
};

describe('sign-ins', () => {
  let issuer: IssuerStandIn;
  let web: WebApp;

  async function start(metadata: Record<string, unknown> = {}): Promise<void> {
    issuer = standInForIssuer({ ...METADATA, ...metadata });
    const { secret, issuerBaseURL, baseURL, ...options } = fapi;
    const routes = { backChannelLogout: '/backchannel-logout' };
    web = await startWebApp(issuer, { ...options, clientSecret: undefined, routes });
  }

  beforeEach(() => nock.enableNetConnect('127.0.0.1'));
  afterEach(async () => {
    await web.served.close();
    nock.cleanAll();
  });

  test('the browser gets client_id and request_uri, the issuer all others by a signed request', async () => {
    proves('FAPI 2.0 §5.3.3.1-2', 'FAPI 2.0 §5.3.3.1-5', 'FAPI 2.0 §5.3.3.2-2');
    proves('FAPI 2.0 §5.3.3.2-3', 'FAPI 2.0 §5.3.3.2-6', 'FAPI 2.0 §5.3.3.2-7');
    await start();
    const { request } = await web.begin();
    expect([...request.keys()].sort()).toEqual(['client_id', 'request_uri']);
    const [pushed] = issuer.pushedRequests;
    const form = Object.fromEntries(pushed?.form ?? []);
    expect(form).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      dpop_jkt: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{22,64}$/),
    });
    expect(form).not.toHaveProperty('client_secret');
    expect(pushed?.authorization).toBeUndefined();
    expect(pushed?.dpop).toBeDefined();
    const assertion = form.client_assertion ?? '';
    expect(decodeProtectedHeader(assertion)).toMatchObject({ alg: 'ES256' });
    expect(decodeJwt(assertion)).toMatchObject({ iss: 'client-1', sub: 'client-1', aud: ISSUER });
  });

  test('each sign-in has a challenge, a key and a nonce of its own', async () => {
    proves('FAPI 2.0 §5.3.3.2-4');
    await start();
    await web.begin();
    await web.begin();
    const [one, other] = issuer.pushedRequests.map(({ form }) => form);
    for (const name of ['code_challenge', 'dpop_jkt', 'nonce', 'state']) {
      expect(one?.get(name)).not.toBe(other?.get(name));
    }
  });

  test.each<[string, Record<string, unknown>, string]>([
    [
      'pushed requests',
      { pushed_authorization_request_endpoint: undefined },
      '"pushed_authorization_request_endpoint"',
    ],
    [
      'PKCE',
      { code_challenge_methods_supported: undefined },
      'S256 in "code_challenge_methods_supported"',
    ],
    [
      'private_key_jwt',
      { token_endpoint_auth_methods_supported: ['client_secret_basic'] },
      'private_key_jwt in "token_endpoint_auth_methods_supported"',
    ],
    [
      'a list of methods',
      { token_endpoint_auth_methods_supported: undefined },
      'private_key_jwt in "token_endpoint_auth_methods_supported"',
    ],
    [
      'the algorithm of the assertion',
      { token_endpoint_auth_signing_alg_values_supported: ['RS256', 'PS256'] },
      'ES256 in "token_endpoint_auth_signing_alg_values_supported"',
    ],
    [
      'DPoP',
      { dpop_signing_alg_values_supported: undefined },
      'ES256 in "dpop_signing_alg_values_supported"',
    ],
    [
      'an algorithm for ID tokens',
      { id_token_signing_alg_values_supported: ['RS256', 'ES384'] },
      'PS256 or ES256 or EdDSA or Ed25519 in "id_token_signing_alg_values_supported"',
    ],
    [
      'iss',
      { authorization_response_iss_parameter_supported: undefined },
      '"authorization_response_iss_parameter_supported": true',
    ],
  ])('an issuer without %s gets no request', async (_, metadata, lacking) => {
    proves(
      'FAPI 2.0 §5.3.3.1-1',
      'FAPI 2.0 §5.3.3.1-9',
      'FAPI 2.0 §5.3.3.2-2',
      'FAPI 2.0 §5.3.3.2-3',
    );
    await start(metadata);
    const response = await web.browser.get('/login');
    expect(response.status).toBe(502);
    const { code, detail } = (await response.json()) as Record<string, string>;
    expect([code, detail]).toEqual([
      'ERR_ISSUER_UNSUITABLE',
      `its metadata lacks what the profile fapi2 needs: ${lacking}`,
    ]);
    expect(issuer.pushedRequests).toEqual([]);
  });

  test.each<[string, Record<string, string | undefined>]>([
    ['no iss', { iss: undefined }],
    ['the iss of another issuer', { iss: 'https://other.example/' }],
  ])('a callback with %s is refused before the code is sent', async (_, change) => {
    proves('FAPI 2.0 §5.3.3.2-5');
    await start();
    const { callback } = await web.begin();
    expect(await codeOf(await web.browser.get(callback(change)))).toBe('ERR_ISSUER_MISMATCH');
    expect(issuer.tokenRequests).toEqual([]);
  });

  test('a bearer token opens no session', async () => {
    proves('FAPI 2.0 §5.3.3.1-1');
    await start();
    const { callback } = await web.begin();
    expect(await codeOf(await web.browser.get(callback()))).toBe('ERR_DPOP_UNSUPPORTED');
  });

  test('an ID token with RS256 opens no session', async () => {
    proves('FAPI 2.0 §5.4.1-1');
    await start();
    const { callback } = await web.begin();
    const nonce = issuer.pushedRequests[0]?.form.get('nonce');
    web.grant({ nonce }, { token_type: 'DPoP' });
    const response = await web.browser.get(callback());
    expect(await response.json()).toMatchObject({
      code: 'ERR_ID_TOKEN',
      detail: '"alg" is not allowed',
    });
  });

  test('a logout token with RS256 ends no session', async () => {
    proves('FAPI 2.0 §5.4.1-1');
    await start();
    const logout_token = issuer.idToken(
      { jti: 'jti-1', events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      { typ: 'logout+jwt' },
    );
    const response = await fetch(`${web.served.origin}/backchannel-logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token }),
    });
    const { error_description } = (await response.json()) as Record<string, string>;
    expect([response.status, error_description]).toEqual([
      400,
      "the logout token is not valid (ERR_LOGOUT_TOKEN): 'alg' is not allowed",
    ]);
  });
});
