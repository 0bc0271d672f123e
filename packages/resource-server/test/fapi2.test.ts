import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import bodyParser from '@koa/bodyparser';
import { createIssuer, FAPI_ALGORITHMS, InvalidOptions } from '@koa-oauth/issuer';
import {
  createProof,
  createTestKey,
  startTestIssuer,
  type TestIssuer,
  type TestKey,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import Koa from 'koa';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { createAccessTokenVerifier } from '../src/auth.ts';
import { type AuthOptions, checkOptions } from '../src/options.ts';
import { requiredScopes } from '../src/requirements/required-scopes.ts';
import { revocations } from '../src/token/revocations.ts';
import { type Api, serve, startApi } from './support/protected-api.ts';

const audience = 'https://api.example.com';
const baseURL = 'https://api.example.com';
const ps256 = testKey({ alg: 'PS256', kid: 'ps' });
const rs256 = testKey({ alg: 'RS256', kid: 'rs' }, 1);
const es384 = createTestKey({ alg: 'ES384', kid: 'es384' });
const proofKey = createTestKey({ alg: 'ES256' });
const apiClient = { clientID: 'api', clientAssertionSigningKey: proofKey.privateKey };
const smallKey: TestKey = {
  kid: 'small',
  alg: 'PS256',
  ...generateKeyPairSync('rsa', { modulusLength: 1024 }),
};

let issuer: TestIssuer;
let api: Api;

beforeAll(async () => {
  issuer = await startTestIssuer({
    keys: [
      ps256,
      rs256,
      es384,
      ...(['ES256', 'EdDSA', 'Ed25519'] as const).map((alg) => createTestKey({ alg, kid: alg })),
    ],
  });
  api = await startApi(
    { ...fapi, issuerBaseURL: issuer.issuer, isRevoked: ({ jti }) => jti === 'revoked' },
    { before: [bodyParser()], behind: [requiredScopes('read')] },
  );
});
afterAll(() => Promise.all([api.close(), issuer.close()]));

const fapi = {
  issuerBaseURL: 'https://tenant.example.com/',
  audience,
  profile: 'fapi2',
  dpop: { baseURL },
  isRevoked: () => false,
} as const satisfies AuthOptions<unknown>;

interface Sent {
  readonly signer?: TestKey | undefined;
  readonly key?: TestKey;
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
}

function bound({ signer = ps256, key = proofKey, claims, header }: Sent = {}): string {
  const cnf = { jkt: thumbprintOf(key) };
  const good = { sub: 'alice', aud: audience, scope: 'read', cnf };
  return issuer.token({ ...good, ...claims }, header, signer);
}

async function send(sent: Sent, path = '', init: RequestInit = {}): Promise<string> {
  const { key = proofKey } = sent;
  const token = bound(sent);
  const { method = 'GET' } = init;
  const DPoP = createProof({ key, method, url: `${baseURL}/`, token });
  const { status, error } = await api.send({ Authorization: `DPoP ${token}`, DPoP }, path, init);
  return `${status} ${error ?? ''}`.trim();
}

describe('options', () => {
  test('tokens must be bound, and algorithms are those of the profile', () => {
    const { issuers, dpop } = checkOptions(fapi);
    const algorithms = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];
    expect(issuers).toMatchObject([{ rules: { profile: 'fapi2', dpop: 'required', algorithms } }]);
    expect(dpop).toMatchObject({ required: true, algorithms });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no dpop', { dpop: undefined }, 'dpop is required with the profile fapi2'],
    ['bearer tokens too', { dpop: { baseURL, required: false } }, 'dpop.required must be true'],
    [
      'RS256 for tokens',
      { algorithms: ['PS256', 'RS256'] },
      'algorithms must be some of PS256, ES256, EdDSA, Ed25519',
    ],
    [
      'ES384 for proofs',
      { dpop: { baseURL, algorithms: ['ES384'] } },
      'dpop.algorithms must be some of PS256,ES256,EdDSA,Ed25519',
    ],
    ['no check of revocation', { isRevoked: undefined }, 'isRevoked is required'],
    ['five minutes of tolerance', { clockTolerance: 300 }, 'clockTolerance must be 0 to 60'],
    [
      'answers of introspection without aud',
      { introspection: { ...apiClient, unsafeMissingAudience: true } },
      'unsafeMissingAudience contradicts the profile fapi2',
    ],
    [
      'a secret for introspection',
      { introspection: { ...apiClient, clientAuthMethod: 'client_secret_basic' } },
      'introspection: clientAuthMethod must be private_key_jwt with the profile fapi2',
    ],
    ['issuers on http', { unsafeAllowHTTP: true }, 'an issuer on http contradicts the profile'],
    [
      'an issuer made before, on http',
      {
        issuerBaseURL: undefined,
        issuer: createIssuer({ issuerBaseURL: 'http://issuer.example', unsafeAllowHTTP: true }),
      },
      'an issuer on http contradicts the profile',
    ],
    [
      'an issuer made before, whose keys are on http',
      {
        issuerBaseURL: undefined,
        issuer: createIssuer({
          issuerBaseURL: 'https://issuer.example',
          jwksURL: 'http://issuer.example/jwks',
          unsafeAllowHTTP: true,
        }),
      },
      'an issuer on http contradicts the profile',
    ],
  ])('%s: the option is named', (_, change, text) => {
    proves('FAPI 2.0 §5.2.1', 'FAPI 2.0 §5.3.4-3', 'FAPI 2.0 §5.3.4-5', 'FAPI 2.0 §5.4.1-1');
    const check = () => checkOptions({ ...fapi, ...change } as AuthOptions<unknown>);
    expect(check).toThrow(InvalidOptions);
    expect(check).toThrow(text);
  });

  test('a list that is changed later has no effect', () => {
    const algorithms: ('ES256' | 'RS256')[] = ['ES256'];
    const checked = checkOptions({ ...fapi, algorithms, dpop: { baseURL, algorithms } });
    algorithms.push('RS256');
    expect(checked.dpop?.algorithms).toEqual(['ES256']);
    expect(checked.issuers).toMatchObject([{ rules: { algorithms: ['ES256'] } }]);
  });

  test('each option that contradicts the profile is named at once', () => {
    const weak = {
      ...fapi,
      algorithms: ['RS256'],
      dpop: { baseURL, required: false, algorithms: ['RS256'] },
      isRevoked: undefined,
      clockTolerance: 61,
    } as const;
    for (const name of [
      /[^.]algorithms must/,
      /dpop\.algorithms must/,
      /dpop\.required must/,
      /isRevoked is required/,
      /clockTolerance must/,
    ]) {
      expect(() => checkOptions(weak)).toThrow(name);
    }
  });

  test('what is stronger or narrower is accepted', () => {
    const dpop = { baseURL, nonce: true, required: true, algorithms: ['ES256'] as const };
    expect(() => checkOptions({ ...fapi, algorithms: ['PS256'], dpop })).not.toThrow();
  });
});

describe('requests', () => {
  test.each<[string, Sent, string]>([
    ['a bound token with its proof', {}, '200'],
    ['a token of Auth0', { header: { typ: 'JWT' } }, '200'],
    ['a token signed with RS256', { signer: rs256 }, '401 invalid_token'],
    ['a token signed with ES384', { signer: es384 }, '401 invalid_token'],
    ['an expired token', { claims: { exp: 1 } }, '401 invalid_token'],
    ['a revoked token', { claims: { jti: 'revoked' } }, '401 invalid_token'],
    ['a token without the scope', { claims: { scope: 'write' } }, '403 insufficient_scope'],
    [
      'a token bound to another key',
      { claims: { cnf: { jkt: thumbprintOf(es384) } } },
      '401 invalid_token',
    ],
    ['an unbound token', { claims: { cnf: undefined } }, '401 invalid_token'],
    ['a proof signed with RS256', { key: rs256 }, '401 invalid_dpop_proof'],
    ['a proof signed with ES384', { key: es384 }, '401 invalid_dpop_proof'],
    ['a proof under an RSA key of 1024 bits', { key: smallKey }, '401 invalid_dpop_proof'],
  ])('%s: %3$s', async (_, sent, expected) => {
    proves('FAPI 2.0 §5.3.4-1', 'FAPI 2.0 §5.3.4-3', 'FAPI 2.0 §5.3.4-4', 'FAPI 2.0 §5.3.4-5');
    proves('FAPI 2.0 §5.4.1-1', 'FAPI 2.0 §5.4.1-2');
    expect(await send(sent)).toBe(expected);
  });

  test.each(['PS256', 'ES256', 'EdDSA', 'Ed25519'] as const)('%s for tokens', async (alg) => {
    const signer = issuer.keys.find((key) => key.alg === alg);
    expect(await send({ signer })).toBe('200');
  });

  test.each(['PS256', 'ES256', 'EdDSA', 'Ed25519'] as const)('%s for proofs', async (alg) => {
    expect(await send({ key: testKey({ alg }, 2) })).toBe('200');
  });

  test('a bearer token is rejected, and the challenge names DPoP alone', async () => {
    const unbound = bound({ claims: { cnf: undefined } });
    const { status, error, challenge } = await api.get(unbound);
    expect([status, error]).toEqual([401, 'invalid_token']);
    expect(challenge).toMatch(/^DPoP .+ algs="PS256 ES256 EdDSA Ed25519"$/);
    expect(challenge).not.toContain('Bearer');
  });

  test('a token is accepted in the header only', async () => {
    proves('FAPI 2.0 §5.3.4-1', 'FAPI 2.0 §5.3.4-2');
    expect(await send({}, `?access_token=${bound()}`)).toBe('400 invalid_request');
    const form = new URLSearchParams({ access_token: bound() });
    expect(await send({}, '', { method: 'POST', body: form })).toBe('400 invalid_request');
    expect((await api.get(undefined, `?access_token=${bound()}`)).status).toBe(400);
  });

  test('a function that takes tokens without a request accepts none', async () => {
    const verify = createAccessTokenVerifier({ ...fapi, issuerBaseURL: issuer.issuer });
    for (const claims of [{}, { cnf: undefined }]) {
      await expect(verify(bound({ claims }))).rejects.toMatchObject({ status: 401 });
    }
  });

  test.each<[string, TestKey, number]>([
    ['PS256', ps256, 200],
    ['RS256', rs256, 400],
  ])(
    'a logout token signed with %s, where the profile has the algorithms: %3$i',
    async (...row) => {
      proves('FAPI 2.0 §5.4.1-1');
      const [, signer, status] = row;
      const app = new Koa();
      app.silent = true;
      app.use(
        revocations().backChannelLogout({
          issuer: createIssuer({ issuerBaseURL: issuer.issuer }),
          clientID: 'web',
          algorithms: FAPI_ALGORITHMS,
        }),
      );
      const logoutAPI = await serve(app);
      const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
      const claims = { aud: 'web', exp: undefined, jti: 'logout-1', sid: 's1', events };
      const logout_token = issuer.token(claims, { typ: 'logout+jwt' }, signer);
      const init = { method: 'POST', body: new URLSearchParams({ logout_token }) };
      const answer = await logoutAPI.send({}, '', init);
      expect(answer.status).toBe(status);
      await logoutAPI.close();
    },
  );
});
