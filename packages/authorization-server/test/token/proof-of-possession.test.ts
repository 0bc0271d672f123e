import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  decodeJwt,
  exportJWK,
  generateKeyPair,
  SignJWT,
} from 'jose';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import type { AuthorizationServer, Tenant } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  ALL_SCOPES,
  API,
  authorizationRequest,
  CALLBACK,
  openBrowser,
  signIn,
} from '../support/sign-in.ts';

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

let keys: KeyPair;
let jkt: string;

beforeAll(async () => {
  keys = await generateKeyPair('ES256');
  jkt = await calculateJwkThumbprint(await exportJWK(keys.publicKey));
});
afterAll(stopServers);

async function createProof(
  url: string,
  claims: Record<string, unknown> = {},
  { publicKey, privateKey }: { publicKey: CryptoKey; privateKey: CryptoKey } = keys,
): Promise<string> {
  const htm = url.endsWith('userinfo') ? 'GET' : 'POST';
  return new SignJWT({ htm, htu: url, jti: randomUUID(), ...claims })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(publicKey) })
    .setIssuedAt()
    .sign(privateKey);
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, string>;
  readonly headers: Record<string, string | string[] | undefined>;
}

async function post(
  server: AuthorizationServer,
  form: Record<string, string>,
  proof: string | undefined,
  path = 'oauth/token',
): Promise<Answer> {
  const answer = await got.post(new URL(path, server.issuer), {
    form,
    headers: { ...(proof && { dpop: proof }) },
    responseType: 'json',
    throwHttpErrors: false,
  });
  const { statusCode: status, headers } = answer;
  return { status, headers, body: answer.body as Record<string, string> };
}

const MACHINE = {
  grant_type: 'client_credentials',
  client_id: 'contacts-cli',
  client_secret: 'contacts-cli-demo-secret',
  audience: API,
};
const WEB = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };

/** The API's policy, and whether the application requires proofs. */
const policy =
  (proof: Tenant['resourceServers'][number]['proof_of_possession'], byClient = false) =>
  (tenant: Tenant): void => {
    tenant.resourceServers[0]!.proof_of_possession = proof;
    for (const application of tenant.clients) application.require_proof_of_possession = byClient;
  };
const dpop = (required: boolean, required_for: 'all_clients' | 'public_clients' = 'all_clients') =>
  ({ mechanism: 'dpop', required, required_for }) as const;
const mtls = (required: boolean) => ({ ...dpop(required), mechanism: 'mtls' }) as const;

describe('the policy of an API and an application (Auth0’s table)', () => {
  type Row = [string, (tenant: Tenant) => void, without: string, withProof: string];
  test.each<Row>([
    ['none', policy(undefined), 'Bearer', 'Bearer'],
    ['none, required by the application', policy(null, true), 'refused', 'refused'],
    ['allowed', policy(dpop(false)), 'Bearer', 'DPoP'],
    ['allowed, required by the application', policy(dpop(false), true), 'refused', 'DPoP'],
    ['required', policy(dpop(true)), 'refused', 'DPoP'],
    ['required by both', policy(dpop(true), true), 'refused', 'DPoP'],
    ['required for public clients', policy(dpop(true, 'public_clients')), 'Bearer', 'DPoP'],
    ['mTLS allowed', policy(mtls(false)), 'Bearer', 'Bearer'],
    ['mTLS required', policy(mtls(true)), 'refused', 'refused'],
  ])('%s', async (_name, change, without, withProof) => {
    const server = await startDemo(change);
    const url = `${server.issuer}oauth/token`;
    const result = ({ status, body }: Answer) => {
      if (status === 200) return body.token_type;
      expect([status, body.error]).toEqual([400, 'invalid_dpop_proof']);
      return 'refused';
    };
    expect(result(await post(server, MACHINE, undefined))).toBe(without);
    const bound = await post(server, MACHINE, await createProof(url));
    expect(result(bound)).toBe(withProof);
    if (bound.status === 200) {
      const { cnf } = decodeJwt(bound.body.access_token ?? '');
      expect(cnf).toEqual(withProof === 'DPoP' ? { jkt } : undefined);
    }
  });

  test('a public client must prove its key where only those must', async () => {
    const server = await startDemo(policy(dpop(true, 'public_clients')));
    const redirect = 'http://localhost:3001/docs/callback';
    const request = authorizationRequest(server, {
      client_id: 'contacts-docs',
      redirect_uri: redirect,
      scope: 'openid read:contacts',
    });
    const form = async () => ({
      grant_type: 'authorization_code',
      client_id: 'contacts-docs',
      code: (await signIn(openBrowser(), request)).get('code') ?? '',
      redirect_uri: redirect,
      code_verifier: request.verifier,
    });
    expect((await post(server, await form(), undefined)).body.error).toBe('invalid_dpop_proof');
    const proof = await createProof(`${server.issuer}oauth/token`);
    expect((await post(server, await form(), proof)).body.token_type).toBe('DPoP');
  });

  test('without an API, only the application decides', async () => {
    const server = await startDemo(policy(undefined, true));
    const request = authorizationRequest(server, { audience: undefined, scope: 'openid' });
    const form = async () => ({
      grant_type: 'authorization_code',
      ...WEB,
      code: (await signIn(openBrowser(), request)).get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    });
    expect(await post(server, await form(), undefined)).toMatchObject({
      status: 400,
      body: { error: 'invalid_dpop_proof' },
    });
    const proof = await createProof(`${server.issuer}oauth/token`);
    const { body } = await post(server, await form(), proof);
    expect(body.token_type).toBe('DPoP');
  });
});

describe('proofs', () => {
  let server: AuthorizationServer;
  let url: string;
  beforeAll(async () => {
    server = await startDemo();
    url = `${server.issuer}oauth/token`;
  });

  test('the metadata lists their algorithms', async () => {
    const metadata = await got(`${server.issuer}.well-known/openid-configuration`).json<object>();
    expect(metadata).toMatchObject({
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
    });
  });

  test('one that was used before is refused as such (RFC 9449 §5)', async () => {
    const proof = await createProof(url);
    expect((await post(server, MACHINE, proof)).status).toBe(200);
    expect(await post(server, MACHINE, proof)).toMatchObject({
      status: 400,
      body: { error: 'invalid_dpop_proof', error_description: 'The DPoP proof was used before' },
    });
  });

  test.each<[string, boolean]>([
    ['none', false],
    ['one of another key', true],
  ])('a code that names a key needs its proof: %s (RFC 9449 §10)', async (_name, another) => {
    const request = authorizationRequest(server, { dpop_jkt: jkt });
    const code = (await signIn(openBrowser(), request)).get('code') ?? '';
    const proof = another ? await createProof(url, {}, await generateKeyPair('ES256')) : undefined;
    const form = { redirect_uri: CALLBACK, code_verifier: request.verifier, code, ...WEB };
    const answer = await post(server, { grant_type: 'authorization_code', ...form }, proof);
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_dpop_proof']);
  });

  test('a pushed request takes the key from its proof, without which there is no token', async () => {
    const request = authorizationRequest(server);
    const pushed = `${server.issuer}oauth/par`;
    const form = { ...Object.fromEntries(new URL(request.url).searchParams), ...WEB };
    const { body } = await post(server, form, await createProof(pushed), 'oauth/par');
    const authorize = new URL('authorize', server.issuer);
    authorize.searchParams.set('client_id', 'contacts-web');
    authorize.searchParams.set('request_uri', body.request_uri ?? '');
    const callback = await signIn(openBrowser(), { url: authorize.href, verifier: '' });
    const grant = {
      grant_type: 'authorization_code',
      ...WEB,
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    };
    expect((await post(server, grant, undefined)).body.error).toBe('invalid_dpop_proof');
  });

  test('the control can demand a nonce; with it the same request succeeds', async () => {
    server.faults.add({ endpoint: '/oauth/token', demandNonce: true, times: 2 });
    const demanded = await post(server, MACHINE, await createProof(url));
    expect([demanded.status, demanded.body.error]).toEqual([400, 'use_dpop_nonce']);
    const nonce = demanded.headers['dpop-nonce'];
    expect((await post(server, MACHINE, await createProof(url, { nonce }))).status).toBe(200);
    expect(server.faults.list()).toEqual([]);
    const old = await post(
      server,
      MACHINE,
      await createProof(url, { nonce: 'of-another-process' }),
    );
    expect([old.status, old.body.error]).toEqual([400, 'use_dpop_nonce']);
  });

  test('the control can refuse proofs, at userinfo with a challenge', async () => {
    server.faults.add({ endpoint: '/oauth/token', refuseProof: true });
    const refused = await post(server, MACHINE, await createProof(url));
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_dpop_proof']);
    server.faults.add({ endpoint: '/userinfo', refuseProof: true });
    const { statusCode, headers } = await got(`${server.issuer}userinfo`, {
      throwHttpErrors: false,
    });
    expect(statusCode).toBe(401);
    expect(headers['www-authenticate']).toContain('DPoP error="invalid_dpop_proof"');
  });
});

describe('clients unmodified', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo(policy(dpop(true)));
  });

  test('openid-client 6 signs in, asks for userinfo and refreshes, with nonces', async () => {
    const secret = WEB.client_secret;
    const config = await client.discovery(
      new URL(server.issuer),
      'contacts-web',
      secret,
      client.ClientSecretPost(secret),
      { execute: [client.allowInsecureRequests] },
    );
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const verifier = client.randomPKCECodeVerifier();
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: ALL_SCOPES,
      audience: API,
      dpop_jkt: await DPoP.calculateThumbprint(),
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const callback = new URL(CALLBACK);
    callback.search = (await signIn(openBrowser(), { url: url.href, verifier })).toString();
    callback.searchParams.delete('state');
    server.faults.add({ endpoint: '/oauth/token', demandNonce: true });
    const tokens = await client.authorizationCodeGrant(
      config,
      callback,
      { pkceCodeVerifier: verifier },
      undefined,
      { DPoP },
    );
    expect(tokens.token_type).toBe('dpop');
    const sub = tokens.claims()?.sub ?? '';
    server.faults.add({ endpoint: '/userinfo', demandNonce: true });
    const user = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
    expect(user.email).toBe('alice@example.com');
    const refreshed = await client.refreshTokenGrant(
      config,
      tokens.refresh_token ?? '',
      undefined,
      { DPoP },
    );
    expect(decodeJwt(refreshed.access_token).cnf).toEqual({
      jkt: await DPoP.calculateThumbprint(),
    });
    await expect(client.fetchUserInfo(config, refreshed.access_token, sub)).rejects.toMatchObject({
      status: 401,
    });
  });

  test('oauth4webapi gets a token, after the nonce that it needs', async () => {
    const options = { [oauth.allowInsecureRequests]: true };
    const issuer = new URL(server.issuer);
    const as = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, options),
    );
    const machine: oauth.Client = { client_id: 'contacts-cli' };
    const pair = await oauth.generateKeyPair('ES256');
    const DPoP = oauth.DPoP(machine, pair);
    const grant = async () =>
      oauth.processClientCredentialsResponse(
        as,
        machine,
        await oauth.clientCredentialsGrantRequest(
          as,
          machine,
          oauth.ClientSecretPost(MACHINE.client_secret),
          new URLSearchParams({ audience: API }),
          { ...options, DPoP },
        ),
      );
    server.faults.add({ endpoint: '/oauth/token', demandNonce: true });
    const error = await grant().catch((reason: unknown) => reason);
    expect(oauth.isDPoPNonceError(error)).toBe(true);
    const tokens = await grant();
    expect(tokens.token_type).toBe('dpop');
    const thumbprint = await calculateJwkThumbprint(await exportJWK(pair.publicKey));
    expect(decodeJwt(tokens.access_token).cnf).toEqual({ jkt: thumbprint });
  });
});

test('at userinfo a proof must be for the token (RFC 9449 §4.3)', async () => {
  const server = await startDemo();
  const request = authorizationRequest(server);
  const code = (await signIn(openBrowser(), request)).get('code') ?? '';
  const form = { redirect_uri: CALLBACK, code_verifier: request.verifier, code, ...WEB };
  const grant = { grant_type: 'authorization_code', ...form };
  const { body } = await post(server, grant, await createProof(`${server.issuer}oauth/token`));
  const userinfo = `${server.issuer}userinfo`;
  const ask = async (ath: string) => {
    const dpop = await createProof(userinfo, { ath });
    const headers = { authorization: `DPoP ${body.access_token}`, dpop };
    return (await got(userinfo, { headers, throwHttpErrors: false })).statusCode;
  };
  const hash = (text = '') => createHash('sha256').update(text).digest('base64url');
  expect(await ask(hash(body.access_token))).toBe(200);
  expect(await ask(hash('another token'))).toBe(401);
});
