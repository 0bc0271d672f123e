import { generateKeyPairSync } from 'node:crypto';
import type { Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  startAuthorizationServer,
  type Tenant,
} from '@koa-oauth/authorization-server';
import { auth, type ClientEvent, type ClientMessage } from '@koa-oauth/client';
import { auth as apiAuth, requiredScopes } from '@koa-oauth/resource-server';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import Koa from 'koa';
import { answerErrors, close, listen, readJson } from '../support/app-under-test.ts';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { signInAlice, tenantWithClientKey } from '../support/local-sign-in.ts';
import { proves } from '../support/proves.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const AUDIENCE = 'https://contacts.example.com/api';

let issuer: AuthorizationServer;
let web: Server;
let api: Server;
let webURL: string;
let apiURL: string;
let events: ClientEvent[];
let messages: ClientMessage[];

beforeEach(async () => {
  [events, messages] = [[], []];
  [web, webURL] = await listen();
  [api, apiURL] = await listen();
});

afterEach(async () => {
  await Promise.all([close(web), close(api), issuer.close()]);
});

/** Starts an issuer whose application and API have the profile's settings, and an app and an API with it. */
async function start(change: (tenant: Tenant) => void = () => {}): Promise<void> {
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'ES256' };
  const { tenant, client, api: resourceServer } = tenantWithClientKey(webURL, jwk);
  Object.assign(client, {
    jwt_configuration: { alg: 'PS256' },
    require_pushed_authorization_requests: true,
    require_proof_of_possession: true,
  });
  Object.assign(resourceServer, {
    signing_alg: 'PS256',
    proof_of_possession: { mechanism: 'dpop', required: true, required_for: 'all_clients' },
  });
  tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
  change(tenant);
  issuer = await startAuthorizationServer({ tenant });
  web.on('request', createWebApp().callback());
  api.on('request', createApi().callback());
}

function createApi(): Koa {
  const app = new Koa();
  app.silent = true;
  app.use(
    apiAuth({
      issuerBaseURL: issuer.issuer,
      audience: AUDIENCE,
      profile: 'fapi2',
      dpop: { baseURL: apiURL, nonce: true },
      isRevoked: () => false,
    }),
  );
  app.use(requiredScopes('read:contacts'));
  app.use((ctx) => {
    ctx.body = { sub: ctx.state.auth?.payload.sub };
  });
  return app;
}

function createWebApp(): Koa {
  const app = new Koa();
  app.use(answerErrors);
  app.use(
    auth({
      issuerBaseURL: issuer.issuer,
      baseURL: webURL,
      clientID: 'contacts-web',
      clientAssertionSigningKey: privateKey,
      profile: 'fapi2',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid offline_access read:contacts', audience: AUDIENCE },
      api: { baseURL: apiURL },
      onMessage: (message) => messages.push(message),
      onEvent: (event) => events.push(event),
    }),
  );
  app.use(async function pages(ctx) {
    if (ctx.path === '/call') ctx.body = (await ctx.oidc.api.get('contacts')).body;
    else if (ctx.path === '/bye') await ctx.oidc.logout();
    else if (ctx.path === '/refresh') ctx.body = { ...(await ctx.oidc.refresh()) };
    else if (!ctx.oidc.isAuthenticated()) ctx.body = {};
    else {
      const { value } = await ctx.oidc.accessToken();
      ctx.body = { value, idToken: ctx.oidc.idToken, thumbprint: ctx.oidc.proofs?.thumbprint };
    }
  });
  return app;
}

function signIn(browser: FormBrowser): Promise<Page> {
  return signInAlice(browser, { baseURL: webURL, issuer: issuer.issuer });
}

test('sign-in, API call, refresh and logout where both sides and the issuer have the profile', async () => {
  proves('FAPI 2.0 §5.3.3.1-1', 'FAPI 2.0 §5.3.3.1-6', 'FAPI 2.0 §5.3.3.2-6', 'FAPI 2.0 §5.3.4-5');
  await start();
  const browser = new FormBrowser();
  const page = await signIn(browser);
  expect([page.url, page.status]).toEqual([`${webURL}/`, 200]);
  const { value = '', idToken = '', thumbprint } = readJson(page);
  expect(decodeProtectedHeader(value)).toMatchObject({ alg: 'PS256' });
  expect(decodeProtectedHeader(idToken)).toMatchObject({ alg: 'PS256' });
  expect(decodeJwt(value).cnf).toEqual({ jkt: thumbprint });
  const sent = messages.find(({ step }) => step === 'authorization_request');
  expect(Object.keys(sent?.parameters ?? {})).toEqual(['client_id', 'request_uri']);
  const answered = messages.find(({ step }) => step === 'authorization_response');
  expect(answered?.parameters).toMatchObject({ iss: issuer.issuer });

  expect(readJson(await browser.open(`${webURL}/call`))).toEqual({ sub: 'auth0|alice' });
  const refreshed = readJson(await browser.open(`${webURL}/refresh`)).value ?? '';
  expect(refreshed).not.toBe(value);
  expect(decodeJwt(refreshed).cnf).toEqual({ jkt: thumbprint });
  expect(readJson(await browser.open(`${webURL}/call`))).toEqual({ sub: 'auth0|alice' });

  const stolen = await fetch(`${apiURL}/contacts`, {
    headers: { authorization: `Bearer ${refreshed}` },
  });
  expect(stolen.status).toBe(401);

  await browser.open(`${webURL}/bye`);
  expect(readJson(await browser.open(`${webURL}/`))).toEqual({});
  const types = events.map(({ type }) => type).filter((type) => type !== 'keys_refreshed');
  expect(types).toEqual(['signed_in', 'token_refreshed', 'session_ended']);
});

test('the issuer refuses a request of this application that is not pushed', async () => {
  await start();
  const query = new URLSearchParams({
    client_id: 'contacts-web',
    response_type: 'code',
    redirect_uri: `${webURL}/callback`,
    scope: 'openid',
    code_challenge: 'A'.repeat(43),
    code_challenge_method: 'S256',
  });
  const answer = await fetch(`${issuer.issuer}authorize?${query}`, { redirect: 'manual' });
  const location = new URL(answer.headers.get('location') ?? issuer.issuer);
  expect([location.origin, location.searchParams.get('error')]).toEqual([
    webURL,
    'invalid_request',
  ]);
});

test.each<[string, (tenant: Tenant) => void, string]>([
  [
    'that does not send iss',
    ({ tenant }) => {
      tenant.flags = {};
    },
    'ERR_ISSUER_UNSUITABLE',
  ],
  [
    'that signs ID tokens with RS256',
    ({ clients }) => {
      for (const client of clients) client.jwt_configuration = { alg: 'RS256' };
    },
    'ERR_ID_TOKEN',
  ],
  [
    'that binds no tokens for the API',
    ({ clients, resourceServers }) => {
      for (const client of clients) client.require_proof_of_possession = false;
      for (const server of resourceServers) server.proof_of_possession = null;
    },
    'ERR_DPOP_UNSUPPORTED',
  ],
])('an issuer %s opens no session', async (_, change, code) => {
  await start(change);
  const page = await signIn(new FormBrowser());
  expect([page.status, readJson(page).code]).toEqual([502, code]);
  expect(events.map(({ type }) => type)).not.toContain('signed_in');
});
