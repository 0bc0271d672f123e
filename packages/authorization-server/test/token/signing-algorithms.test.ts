import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  type Tenant,
} from '../../src/index.ts';
import { startLocalIssuer } from '../../src/testing/start-local-issuer.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const SECRET = 'a secret of thirty-two characters';

const signing = (alg: string, secret?: string) => (tenant: Tenant) => {
  const [web] = tenant.clients;
  web!.jwt_configuration = { alg };
  Object.assign(tenant.resourceServers[0]!, {
    signing_alg: alg,
    ...(secret && { signing_secret: secret }),
  });
};

const keySetOf = (server: AuthorizationServer) =>
  got(`${server.issuer}.well-known/jwks.json`).json<JSONWebKeySet>();

const userinfo = async (server: AuthorizationServer, token: string | undefined) =>
  (
    await got(`${server.issuer}userinfo`, {
      headers: { authorization: `Bearer ${token}` },
      throwHttpErrors: false,
    })
  ).statusCode;

describe.each(['PS256', 'RS512'])('%s for an application and an API', (alg) => {
  test('signs with a published key of its own name, also after a rotation', async () => {
    const server = await startDemo(signing(alg));
    for (const rotated of [false, true]) {
      if (rotated) await server.rotateKeys();
      const { tokens } = await tokensFor(server);
      const set = await keySetOf(server);
      const keys = createLocalJWKSet(set);
      for (const token of [tokens.access_token, tokens.id_token]) {
        const { protectedHeader } = await jwtVerify(String(token), keys, {
          issuer: server.issuer,
          algorithms: [alg],
        });
        const key = set.keys.find(({ kid }) => kid === protectedHeader.kid);
        expect(key).toMatchObject({ alg, use: 'sig' });
      }
      expect(new Set(set.keys.map(({ kid }) => kid)).size).toBe(set.keys.length);
      expect(set.keys.flatMap((key) => Object.keys(key))).not.toContain('d');
      expect(await userinfo(server, tokens.access_token)).toBe(200);
      const refreshed = await requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
      });
      expect(decodeProtectedHeader(refreshed.body.access_token ?? '').alg).toBe(alg);
    }
  });
});

test('a minted token has the algorithm of its API', async () => {
  const tenant = loadTenant(demoTenantFile);
  tenant.resourceServers[0]!.signing_alg = 'PS256';
  const issuer = await startLocalIssuer({ tenant });
  const keys = createLocalJWKSet(await keySetOf(issuer));
  const options = { issuer: issuer.issuer, audience: API, algorithms: ['PS256'] };
  await expect(jwtVerify(issuer.mint(), keys, options)).resolves.toBeDefined();
  await issuer.close();
});

describe('HS256', () => {
  test('signs with the secrets of application and API, and is not for userinfo', async () => {
    const change = signing('HS256', SECRET);
    const client_secret = `${SECRET} of the application`;
    const { logger, lines } = keptLog();
    const server = await startDemo(
      (tenant) => {
        change(tenant);
        tenant.clients[0]!.client_secret = client_secret;
      },
      { logger, control: 0 },
    );
    const request = authorizationRequest(server);
    const code = (await signIn(openBrowser(), request)).get('code') ?? '';
    const form = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, client_secret };
    const { body } = await requestTokens(server, { ...form, code_verifier: request.verifier });
    const [accessToken, idToken] = [body.access_token ?? '', body.id_token ?? ''];
    const { payload } = await jwtVerify(accessToken, Buffer.from(SECRET), { audience: API });
    expect(payload.aud).toBe(API);
    await jwtVerify(idToken, Buffer.from(client_secret));
    expect(await userinfo(server, accessToken)).toBe(401);
    const { keys } = await keySetOf(server);
    expect(keys.map(({ kty, alg }) => [kty, alg])).toEqual(Array(2).fill(['RSA', 'RS256']));
    expect(JSON.stringify([lines, server.log()])).not.toContain(SECRET);
  });

  test('with a short secret, or none, is refused at use', async () => {
    for (const secret of [undefined, 'short']) {
      const server = await startDemo((tenant) => {
        tenant.resourceServers[0]!.signing_alg = 'HS256';
        if (secret !== undefined) tenant.resourceServers[0]!.signing_secret = secret;
      });
      const { url } = authorizationRequest(server);
      const callback = callbackOf(await openBrowser().get(url));
      expect(callback.get('error_description')).toBe(
        `Tokens signed with HS256 without a secret of 32 bytes are not available here: ${API}`,
      );
      const form = { grant_type: 'client_credentials', audience: API };
      const machine = await requestTokens(server, form, 'contacts-cli');
      expect([machine.status, machine.body.error]).toEqual([403, 'access_denied']);
    }
  });
});

test('an algorithm that is not available is named at the start, and refused at use', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'algorithms-'));
  const file = join(directory, 'tenant.yaml');
  writeFileSync(
    file,
    `clients:
  - name: Web
    client_id: web
    client_secret: web-secret
    callbacks: [http://localhost:3000/callback]
    jwt_configuration: { alg: ES256, lifetime_in_seconds: 36000, secret_encoded: false }
resourceServers: [{ name: API, identifier: https://api.example.com, signing_alg: HS256 }]
users: [{ user_id: auth0|ann, email: ann@example.com, password: ann-demo, name: Ann }]
`,
  );
  const tenant = loadTenant(file);
  rmSync(directory, { recursive: true });
  expect(tenant.ignored).toEqual([
    'clients: jwt_configuration.alg ES256',
    'resourceServers: signing_alg HS256',
  ]);
  const server = await startDemo(undefined, { tenant });
  const { url } = authorizationRequest(server, { client_id: 'web', audience: undefined });
  expect(callbackOf(await openBrowser().get(url)).get('error_description')).toBe(
    'Tokens signed with ES256 are not available here: web',
  );
});

test('jwt_configuration sets the lifetime of ID tokens, also of refreshed ones', async () => {
  const server = await startDemo((tenant) => {
    tenant.clients[0]!.jwt_configuration = { lifetime_in_seconds: 600 };
  });
  const { tokens } = await tokensFor(server);
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  for (const token of [tokens.id_token, refreshed.body.id_token]) {
    const { iat = 0, exp = 0 } = decodeJwt(token ?? '');
    expect(exp - iat).toBe(600);
  }
});
