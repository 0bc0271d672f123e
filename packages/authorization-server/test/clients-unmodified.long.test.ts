import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express, { type ErrorRequestHandler } from 'express';
import { type AuthOptions, auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import { got } from 'got';
import { type HTMLElement, parse } from 'node-html-parser';
import * as client from 'openid-client';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  ALL_SCOPES,
  API,
  authorizationRequest,
  type Browser,
  CALLBACK,
  openBrowser,
  type Page,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

afterAll(stopServers);

/** The address and the fields of a form that a script posts. */
function filledIn(form: HTMLElement): Parameters<Browser['submit']> {
  const fields = form
    .querySelectorAll('input')
    .map((one) => [one.getAttribute('name') ?? '', one.getAttribute('value') ?? '']);
  return [{ url: form.getAttribute('action') ?? '' }, Object.fromEntries(fields)];
}

const json = async (url: string, headers: Record<string, string> = {}) => {
  const { statusCode, body } = await got(url, { headers, throwHttpErrors: false });
  return { status: statusCode, body: JSON.parse(body) as Record<string, unknown> };
};

describe('openid-client 6', () => {
  let server: AuthorizationServer;
  let web: client.Configuration;
  const discover = (issuer: string, id: string, secret: string) =>
    client.discovery(new URL(issuer), id, secret, client.ClientSecretPost(secret), {
      execute: [client.allowInsecureRequests],
    });
  beforeAll(async () => {
    server = await startDemo();
    web = await discover(server.issuer, 'contacts-web', 'contacts-web-demo-secret');
  });

  const codeFlow = async (change: { code?: string; verifier?: string } = {}) => {
    const verifier = client.randomPKCECodeVerifier();
    const [state, nonce] = [client.randomState(), client.randomNonce()];
    const url = client.buildAuthorizationUrl(web, {
      redirect_uri: CALLBACK,
      scope: ALL_SCOPES,
      audience: API,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const callback = new URL(CALLBACK);
    const answer = await signIn(openBrowser(), { url: url.href, verifier });
    if (change.code) answer.set('code', change.code);
    callback.search = answer.toString();
    return client.authorizationCodeGrant(web, callback, {
      pkceCodeVerifier: change.verifier ?? verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
  };

  test('discovers the issuer with and without the slash', async () => {
    expect(web.serverMetadata().issuer).toBe(server.issuer);
    const bare = await discover(server.issuer.slice(0, -1), 'contacts-web', 'x');
    expect(bare.serverMetadata().issuer).toBe(server.issuer);
  });

  test('signs in, asks for userinfo, refreshes, revokes', async () => {
    const tokens = await codeFlow();
    const sub = tokens.claims()?.sub ?? '';
    expect(sub).toBe('auth0|alice');
    expect(tokens.expires_in).toBe(86_400);
    expect(await client.fetchUserInfo(web, tokens.access_token, sub)).toMatchObject({
      sub,
      email: 'alice@example.com',
    });

    const refreshed = await client.refreshTokenGrant(web, tokens.refresh_token ?? '');
    expect(refreshed.scope).toBe(ALL_SCOPES);
    expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);

    await client.tokenRevocation(web, refreshed.refresh_token ?? '');
    await expect(
      client.refreshTokenGrant(web, refreshed.refresh_token ?? ''),
    ).rejects.toMatchObject({
      name: 'ResponseBodyError',
      status: 403,
      error: 'invalid_grant',
      error_description: 'Unknown or invalid refresh token.',
    });
  });

  test.each([
    ['a forged code', { code: 'forged' }, 'Invalid authorization code'],
    ['a wrong verifier', { verifier: 'x'.repeat(43) }, 'Failed to verify code verifier'],
  ])('reports %s', async (_name, change, error_description) => {
    await expect(codeFlow(change)).rejects.toMatchObject({
      status: 403,
      error: 'invalid_grant',
      error_description,
    });
  });

  test('gets tokens by client credentials', async () => {
    const cli = await discover(server.issuer, 'contacts-cli', 'contacts-cli-demo-secret');
    const tokens = await client.clientCredentialsGrant(cli, { audience: API });
    expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'read:contacts' });
    await expect(client.clientCredentialsGrant(web, { audience: API })).rejects.toMatchObject({
      status: 403,
      error: 'unauthorized_client',
    });
  });
});

describe('express-oauth2-jwt-bearer 1', () => {
  const apis: Server[] = [];
  const startApi = async (issuerBaseURL: string, options: AuthOptions = {}): Promise<string> => {
    const app = express();
    app.use(auth({ issuerBaseURL, audience: API, ...options }));
    app.get('/contacts', requiredScopes('read:contacts'), (req, res) => {
      res.json({ sub: req.auth?.payload.sub });
    });
    app.get('/activity', requiredScopes('read:activity'), (_req, res) => {
      res.json({});
    });
    const answer: ErrorRequestHandler = (error, _req, res, _next) => {
      res.status(error.status ?? 500).json({ code: error.code, message: error.message });
    };
    app.use(answer);
    const http = app.listen(0, '127.0.0.1');
    apis.push(http);
    await once(http, 'listening');
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  };

  let server: AuthorizationServer;
  let api: string;
  let tokens: Record<string, string>;
  beforeAll(async () => {
    server = await startDemo();
    api = await startApi(server.issuer);
    ({ tokens } = await tokensFor(server, 'bob'));
  });
  afterAll(() => {
    for (const http of apis) http.close().closeAllConnections();
  });

  const call = (path: string, token?: string, base = api) =>
    json(base + path, token === undefined ? {} : { authorization: `Bearer ${token}` });

  test('accepts an access token', async () => {
    expect(await call('/contacts', tokens.access_token)).toEqual({
      status: 200,
      body: { sub: 'auth0|bob' },
    });
  });

  test('answers 403 where a scope is missing', async () => {
    expect(await call('/activity', tokens.access_token)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope' },
    });
  });

  test.each([
    ['an ID token', () => tokens.id_token],
    ['a refresh token', () => tokens.refresh_token],
    ['no token', () => undefined],
  ])('refuses %s', async (_name, token) => {
    proves('RFC 9068 §5 ID token');
    expect((await call('/contacts', token())).status).toBe(401);
  });

  test('survives a rotation of the keys, and refuses a revoked one once it asks again', async () => {
    const rotating = await startDemo();
    const cacheMaxAge = 100;
    const patient = await startApi(rotating.issuer);
    const impatient = await startApi(rotating.issuer, { cacheMaxAge, cooldownDuration: 0 });
    const before = (await tokensFor(rotating)).tokens.access_token;
    expect((await call('/contacts', before, patient)).status).toBe(200);

    await rotating.rotateKeys();
    const after = (await tokensFor(rotating)).tokens.access_token;
    for (const base of [patient, impatient]) {
      expect((await call('/contacts', after, base)).status).toBe(200);
      expect((await call('/contacts', before, base)).status).toBe(200);
    }
    // The patient one verified both with the keys of before: it asked once.
    await rotating.revokePreviousKey();
    expect((await call('/contacts', before, patient)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, cacheMaxAge + 10));
    expect(await call('/contacts', before, impatient)).toMatchObject({
      status: 401,
      body: { code: 'invalid_token' },
    });
    expect((await call('/contacts', after, impatient)).status).toBe(200);
  });
});

describe.each([true, false])('express-openid-connect 3, with settings: %p', (withSettings) => {
  let server: AuthorizationServer;
  let app: ChildProcess;
  let web: string;
  beforeAll(async () => {
    const file = fileURLToPath(new URL('support/express-openid-connect.mjs', import.meta.url));
    app = fork(file, { execArgv: [] });
    [web] = await once(app, 'message');
    server = await startDemo((tenant) => {
      tenant.clients[0]!.callbacks.push(`${web}/callback`);
      tenant.clients[0]!.allowed_logout_urls.push(web);
      tenant.clients[0]!.grant_types.push('implicit');
    });
    const authorizationParams = { response_type: 'code', scope: ALL_SCOPES, audience: API };
    app.send({ issuer: server.issuer, ...(withSettings && { authorizationParams }) });
    await once(app, 'message');
  });
  afterAll(() => {
    app.kill();
  });

  /** From page to page over both servers, as far as it goes without the user. */
  const travel = async (browser: Browser, from: Promise<Page>): Promise<Page> => {
    const page = await from;
    const { location } = page.headers;
    if (location === undefined) {
      const form = parse(page.body).querySelector('form[action^="http"]');
      return form === null ? page : travel(browser, browser.submit(...filledIn(form)));
    }
    return travel(browser, browser.get(new URL(location, page.url).href));
  };
  const visit = (browser: Browser, path: string) => travel(browser, browser.get(web + path));
  const read = async (browser: Browser, path: string) =>
    JSON.parse((await visit(browser, path)).body) as Record<string, string>;

  test('signs in, asks for userinfo, refreshes, signs out', async () => {
    const browser = openBrowser();
    expect(await read(browser, '/')).toEqual({});

    const login = await visit(browser, '/login');
    expect(login.url).toContain('/u/login/');
    const user = { username: 'alice@example.com', password: 'alice-demo' };
    const consent = await travel(browser, browser.submit(login, user));
    expect(consent.url).toContain('/u/consent/');
    const home = await travel(browser, browser.submit(consent, { action: 'accept' }));
    expect(home.url).toBe(`${web}/`);

    const before = await read(browser, '/');
    expect(before.sub).toBe('auth0|alice');
    // The default is an ID token alone, by a form.
    if (!withSettings) return;
    expect(await read(browser, '/userinfo')).toMatchObject({ email: 'alice@example.com' });
    await read(browser, '/refresh');
    const after = await read(browser, '/');
    expect(after.refreshToken).toBeTruthy();
    expect(after.refreshToken).not.toBe(before.refreshToken);

    expect((await visit(browser, '/logout')).url).toBe(`${web}/`);
    expect(await read(browser, '/')).toEqual({});
    const silent = authorizationRequest(server, { prompt: 'none' });
    const page = await browser.get(silent.url);
    expect(page.headers.location).toContain('error=login_required');
  });
});
