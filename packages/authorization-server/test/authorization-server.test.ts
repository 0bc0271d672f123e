import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { Agent, get } from 'node:http';
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
import type { AuthorizationServer, Tenant } from '../src/index.ts';
import { actionOf, startDemo, stopServers } from './support/demo-server.ts';
import { keptLog } from './support/kept-log.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  tokensFor,
} from './support/sign-in.ts';

const directory = mkdtempSync(join(tmpdir(), 'issuer-'));
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true });
});

test('a free port becomes part of the issuer, which ends in a slash', async () => {
  const server = await startDemo();
  const { port } = new URL(server.url);
  expect(server.issuer).toBe(`http://localhost:${port}/`);
  expect(server.url).toBe(`http://127.0.0.1:${port}`);
});

test('a port in use is named, with what to do', async () => {
  const port = Number(new URL((await startDemo()).url).port);
  await expect(startDemo(undefined, { port })).rejects.toMatchObject({
    name: 'StartError',
    code: 'EADDRINUSE',
    message: `port ${port} on 127.0.0.1 is in use: stop what listens there or set PORT`,
  });
});

test('a control port in use is named, and the port is free again', async () => {
  const taken = Number(new URL((await startDemo()).url).port);
  const gone = await startDemo();
  await gone.close();
  const port = Number(new URL(gone.url).port);
  await expect(startDemo(undefined, { port, control: taken })).rejects.toMatchObject({
    code: 'EADDRINUSE',
    message: `port ${taken} on 127.0.0.1 is in use: stop what listens there or set CONTROL`,
  });
  await startDemo(undefined, { port });
});

test('an address that is not of this machine is named, with what to do', async () => {
  await expect(startDemo(undefined, { host: '192.0.2.1' })).rejects.toMatchObject({
    name: 'StartError',
    message: expect.stringMatching(
      /^can't listen on port 0 of 192\.0\.2\.1 \(\w+\): set PORT or HOST$/,
    ),
  });
});

describe('a state file and a key file', () => {
  test('keep logins, consents and refresh tokens over a restart', async () => {
    const options = {
      state: `file:${join(directory, 'deep/state.db')}`,
      keys: `file:${join(directory, 'deep/keys.json')}`,
    };
    const first = await startDemo(undefined, options);
    const { browser, tokens } = await tokensFor(first);
    await first.close();
    expect(statSync(join(directory, 'deep/keys.json')).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'deep/state.db')).mode & 0o777).toBe(0o600);

    const port = Number(new URL(first.url).port);
    const second = await startDemo(undefined, { ...options, port });
    expect(second.issuer).toBe(first.issuer);
    const silent = authorizationRequest(second, { prompt: 'none' });
    expect(callbackOf(await browser.get(silent.url)).get('code')).toBeTruthy();
    const refreshed = await requestTokens(second, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    expect(refreshed.status).toBe(200);
  });

  test('that are not usable stop the start, and the port is free again', async () => {
    const state = `file:${directory}`;
    await expect(startDemo(undefined, { state })).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringContaining(`the state file ${directory} can't be used`),
    });
  });
});

test('close does not wait for a connection that is kept alive, and may be called twice', async () => {
  const server = await startDemo();
  const agent = new Agent({ keepAlive: true });
  await new Promise((resolve, reject) => {
    get(`${server.url}/.well-known/jwks.json`, { agent }, (answer) => {
      answer.resume().on('end', resolve);
    }).on('error', reject);
  });
  await Promise.all([server.close(), server.close()]);
  agent.destroy();
});

const keySetOf = (server: AuthorizationServer) =>
  got(`${server.url}/.well-known/jwks.json`).json<JSONWebKeySet>();

describe('rotateKeys', () => {
  const kidOf = (token = '') => decodeProtectedHeader(token).kid;
  const machineToken = async (server: AuthorizationServer) => {
    const form = { grant_type: 'client_credentials', audience: API };
    return (await requestTokens(server, form, 'contacts-cli')).body.access_token ?? '';
  };

  test('publishes the next key first, then signs with it, and the previous still verifies', async () => {
    const server = await startDemo();
    const before = await keySetOf(server);
    const [current, next] = before.keys.map(({ kid }) => kid);
    expect(before.keys).toHaveLength(2);
    const { tokens } = await tokensFor(server);
    expect([kidOf(tokens.access_token), kidOf(tokens.id_token)]).toEqual([current, current]);

    await server.rotateKeys();
    const after = await keySetOf(server);
    expect(after.keys.map(({ kid }) => kid)).toEqual([next, expect.any(String), current]);
    for (const key of after.keys) expect(key).not.toHaveProperty('d');
    const { tokens: later } = await tokensFor(server);
    expect([kidOf(later.access_token), kidOf(later.id_token)]).toEqual([next, next]);
    for (const token of [tokens.access_token, later.access_token]) {
      await jwtVerify(token ?? '', createLocalJWKSet(after), { issuer: server.issuer });
    }
    // A relying party that has not asked again can verify what was signed since.
    await jwtVerify(later.access_token ?? '', createLocalJWKSet(before));
  });

  test('lets userinfo accept tokens of the previous key until it is revoked', async () => {
    const server = await startDemo();
    const { tokens } = await tokensFor(server);
    const ask = async () => {
      const headers = { authorization: `Bearer ${tokens.access_token}` };
      return (await got(`${server.url}/userinfo`, { headers, throwHttpErrors: false })).statusCode;
    };
    await server.rotateKeys();
    expect(await ask()).toBe(200);
    await server.revokePreviousKey();
    expect(await ask()).toBe(401);
    expect((await keySetOf(server)).keys).toHaveLength(2);
  });

  test('removes the key that signed until now at once with revoke', async () => {
    const server = await startDemo();
    const token = await machineToken(server);
    await server.rotateKeys({ revoke: true });
    const keySet = await keySetOf(server);
    expect(keySet.keys.map(({ kid }) => kid)).not.toContain(kidOf(token));
    await expect(jwtVerify(token, createLocalJWKSet(keySet))).rejects.toMatchObject({
      code: 'ERR_JWKS_NO_MATCHING_KEY',
    });
    await jwtVerify(await machineToken(server), createLocalJWKSet(keySet));
  });

  test('keeps sessions, open pages, codes, refresh tokens, faults and the log', async () => {
    const server = await startDemo((tenant) => {
      tenant.rate_limits.token = { limit: 5, window: 3600 };
    });
    const { browser, tokens } = await tokensFor(server);
    const login = openBrowser();
    const request = authorizationRequest(server);
    const page = await login.get(request.url);
    expect(page.url).toContain('/u/login/');
    const silent = authorizationRequest(server, { prompt: 'none' });
    const code = callbackOf(await browser.get(silent.url)).get('code') ?? '';
    server.faults.add({ endpoint: '/oauth/token', status: 503 });
    const logged = server.log().length;

    await server.rotateKeys();
    expect(server.log()).toHaveLength(logged);
    expect(server.faults.list()).toHaveLength(1);
    const refresh = () =>
      requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
      });
    expect((await refresh()).status).toBe(503);
    expect((await refresh()).status).toBe(200);
    const exchanged = await requestTokens(server, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: CALLBACK,
      code_verifier: silent.verifier,
    });
    expect(exchanged.status).toBe(200);
    const fields = { username: 'alice@example.com', password: 'alice-demo' };
    expect(callbackOf(await login.submit(page, fields)).get('code')).toBeTruthy();
    const again = authorizationRequest(server, { prompt: 'none' });
    expect(callbackOf(await browser.get(again.url)).get('code')).toBeTruthy();
    // The limits keep their counts: the first of five was before the rotation.
    await machineToken(server);
    await machineToken(server);
    expect((await refresh()).status).toBe(429);
  });

  test('keeps the caches of Actions', async () => {
    const counting = actionOf(`
      const count = Number(api.cache.get('count')?.value ?? 0) + 1;
      api.cache.set('count', String(count));
      api.idToken.setCustomClaim('https://x.example/count', count);
    `);
    const server = await startDemo((tenant) => Object.assign(tenant, { postLogin: [counting] }));
    const countOf = async () =>
      decodeJwt((await tokensFor(server)).tokens.id_token ?? '')['https://x.example/count'];
    expect(await countOf()).toBe(1);
    await server.rotateKeys();
    expect(await countOf()).toBe(2);
    server.reset();
    expect(await countOf()).toBe(1);
  });

  test('accepts an ID token of the previous key as hint at the logout', async () => {
    const server = await startDemo();
    const { browser, tokens } = await tokensFor(server);
    await server.rotateKeys();
    const url = new URL('oidc/logout', server.issuer);
    url.searchParams.set('id_token_hint', tokens.id_token ?? '');
    expect((await browser.get(url.href)).statusCode).toBe(200);
  });

  test('lets a later server sign with the rotated keys of the file', async () => {
    const keys = `file:${join(directory, 'rotated.json')}`;
    const first = await startDemo(undefined, { keys });
    await first.rotateKeys();
    const second = await startDemo(undefined, { keys });
    expect(await keySetOf(second)).toEqual(await keySetOf(first));
  });

  test('lets a running request end with the keys it began with', async () => {
    const server = await startDemo();
    const before = await keySetOf(server);
    server.faults.add({ endpoint: '/.well-known/jwks.json', delay: 200 });
    const begun = keySetOf(server);
    while (server.faults.list().length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await server.rotateKeys();
    expect((await keySetOf(server)).keys.map(({ kid }) => kid)).toEqual([
      before.keys[1]?.kid,
      expect.any(String),
      before.keys[0]?.kid,
    ]);
    expect(await begun).toEqual(before);
  });
});

describe('useTenant', () => {
  test('uses another tenant, and keeps the old one when that is not usable', async () => {
    const server = await startDemo();
    const { tenant } = server;
    server.useTenant({ ...tenant, tenant: { ...tenant.tenant, friendly_name: 'Other' } });
    expect(await got(server.url).text()).toContain('Other');
    const broken = { postLogin: [], loginRules: [] } as unknown as Tenant;
    expect(() => server.useTenant(broken)).toThrow(TypeError);
    expect(server.tenant.tenant.friendly_name).toBe('Other');
    expect(await got(server.url).text()).toContain('Other');
    await server.rotateKeys();
    expect(await got(server.url).text()).toContain('Other');
  });

  test('lists each ignored setting once, however often the tenant changes', async () => {
    const { logger, lines } = keptLog();
    const server = await startDemo(undefined, { logger });
    expect(lines).toEqual([]);
    for (const ignored of [['hooks', 'pages'], ['pages', 'branding'], ['hooks']]) {
      server.useTenant({ ...server.tenant, ignored });
    }
    expect(lines.map(({ settings }) => settings)).toEqual([['hooks', 'pages'], ['branding']]);
  });
});
