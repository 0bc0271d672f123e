import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '../src/index.ts';
import { keptLog } from './support/kept-log.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  type SignedIn,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

describe('two servers in one process', () => {
  const logs = [keptLog(), keptLog()] as const;
  let one: AuthorizationServer;
  let other: AuthorizationServer;
  let signedIn: SignedIn;

  beforeAll(async () => {
    const start = (logger: (typeof logs)[0]['logger'], name: string) => {
      const tenant = loadTenant(demoTenantFile);
      tenant.tenant.friendly_name = name;
      return startAuthorizationServer({ tenant, logger });
    };
    [one, other] = await Promise.all([
      start(logs[0].logger, 'One'),
      start(logs[1].logger, 'Other'),
    ]);
    signedIn = await tokensFor(one);
  });
  afterAll(() => Promise.all([one.close(), other.close()]));

  const keySetOf = async (server: AuthorizationServer) => {
    const { keys } = await got(`${server.issuer}.well-known/jwks.json`).json<{
      keys: { kid: string }[];
    }>();
    return keys.map(({ kid }) => kid);
  };
  const userinfo = async (server: AuthorizationServer, token: string | undefined) =>
    (
      await got(`${server.issuer}userinfo`, {
        headers: { authorization: `Bearer ${token}` },
        throwHttpErrors: false,
      })
    ).statusCode;

  test('share keys in memory, and a token of one is not valid for the other', async () => {
    const { access_token: token = '' } = signedIn.tokens;
    expect(await keySetOf(one)).toEqual(await keySetOf(other));
    expect([await userinfo(one, token), await userinfo(other, token)]).toEqual([200, 401]);
    const keys = createRemoteJWKSet(new URL('.well-known/jwks.json', other.issuer));
    await jwtVerify(token, keys, { issuer: one.issuer, audience: API });
    await expect(jwtVerify(token, keys, { issuer: other.issuer, audience: API })).rejects.toThrow(
      'unexpected "iss" claim value',
    );
  });

  test('know no session, code, refresh token or ID token of each other', async () => {
    const { browser, tokens } = await tokensFor(one);
    // The same cookies, as cookies ignore ports.
    const silent = authorizationRequest(other, { prompt: 'none' });
    expect(callbackOf(await browser.get(silent.url)).get('error')).toBe('login_required');
    const request = authorizationRequest(one);
    const code = (await signIn(openBrowser(), request)).get('code') ?? '';
    const form = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: CALLBACK,
      code_verifier: request.verifier,
    };
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
    for (const foreign of [form, refresh]) {
      expect((await requestTokens(other, foreign)).body.error).toBe('invalid_grant');
    }
    const hint = new URLSearchParams({ id_token_hint: tokens.id_token ?? '' });
    expect((await openBrowser().get(`${other.issuer}oidc/logout?${hint}`)).statusCode).toBe(400);
    expect((await requestTokens(one, form)).status).toBe(200);
    expect((await requestTokens(one, refresh)).status).toBe(200);
  });

  test('have logs, faults, clocks and tenants of their own', async () => {
    for (const server of [one, other]) server.reset();
    const [own, foreign] = [logs[0].lines.length, logs[1].lines.length];
    one.clock = 3600;
    one.faults.add({ endpoint: '/oauth/token', status: 503 });
    const form = { grant_type: 'client_credentials', audience: API };
    expect((await requestTokens(other, form, 'contacts-cli')).status).toBe(200);
    expect((await requestTokens(one, form, 'contacts-cli')).status).toBe(503);
    await openBrowser().get(authorizationRequest(one, { client_id: 'of-one' }).url);
    expect(JSON.stringify(other.log())).not.toContain('of-one');
    expect(JSON.stringify(one.log())).toContain('of-one');
    expect(logs[1].lines.slice(foreign).map(({ msg }) => msg)).toEqual(['tokens issued']);
    expect(logs[0].lines.length).toBeGreaterThan(own);
    expect([one.clock, other.clock]).toEqual([3600, 0]);
    const page = await openBrowser().get(authorizationRequest(other).url);
    expect(page.body).toContain('Other');
    expect(page.body).not.toContain('One');
    one.reset();
  });

  test('rotate, reset and close each for itself', async () => {
    const { tokens } = await tokensFor(other);
    const before = await keySetOf(other);
    await one.rotateKeys({ revoke: true });
    one.reset();
    expect(await keySetOf(other)).toEqual(before);
    expect((await keySetOf(one))[0]).toBe(before[1]);
    expect(await userinfo(other, tokens.access_token)).toBe(200);
    await one.close();
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
    expect((await requestTokens(other, refresh)).status).toBe(200);
  });
});
