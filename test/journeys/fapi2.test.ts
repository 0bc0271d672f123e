import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
  type Tenant,
} from '@koa-oauth/authorization-server';
import { auth, type ClientEvent, type ClientMessage, type OidcError } from '@koa-oauth/client';
import { auth as apiAuth, requiredScopes } from '@koa-oauth/resource-server';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import Koa from 'koa';
import { FormBrowser, type Page } from '../support/form-browser.ts';
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
  for (const server of [web, api]) {
    server.closeAllConnections();
    await once(server.close(), 'close');
  }
  await issuer.close();
});

async function listen(): Promise<[Server, string]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return [server, `http://localhost:${(server.address() as AddressInfo).port}`];
}

/** Starts an issuer whose application and API have the profile's settings, and an app and an API with it. */
async function start(change: (tenant: Tenant) => void = () => {}): Promise<void> {
  const tenant = loadTenant(demoTenantFile);
  const client = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
  const [resourceServer] = tenant.resourceServers;
  if (!client || !resourceServer) throw new Error('the demo tenant has changed');
  delete client.client_secret;
  delete client.token_endpoint_auth_method;
  Object.assign(client, {
    callbacks: [`${webURL}/callback`],
    allowed_logout_urls: [webURL],
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256' }] },
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
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      const { status, code, detail } = error as OidcError;
      ctx.status = status ?? 500;
      ctx.body = { code, detail };
    }
  });
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

async function signIn(browser: FormBrowser): Promise<Page> {
  const login = await browser.open(`${webURL}/login`);
  if (!login.url.startsWith(issuer.issuer)) return login;
  const user = { username: 'alice@example.com', password: 'alice-demo' };
  const consent = await browser.submit(login, 'form:has(input[type="password"])', user);
  return browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
}

const read = ({ html }: Page) => JSON.parse(html.text) as Record<string, string>;

test('sign-in, API call, refresh and logout where both sides and the issuer have the profile', async () => {
  proves('FAPI 2.0 §5.3.3.1-1', 'FAPI 2.0 §5.3.3.1-6', 'FAPI 2.0 §5.3.3.2-6', 'FAPI 2.0 §5.3.4-5');
  await start();
  const browser = new FormBrowser();
  const page = await signIn(browser);
  expect([page.url, page.status]).toEqual([`${webURL}/`, 200]);
  const { value = '', idToken = '', thumbprint } = read(page);
  expect(decodeProtectedHeader(value)).toMatchObject({ alg: 'PS256' });
  expect(decodeProtectedHeader(idToken)).toMatchObject({ alg: 'PS256' });
  expect(decodeJwt(value).cnf).toEqual({ jkt: thumbprint });
  const sent = messages.find(({ step }) => step === 'authorization_request');
  expect(Object.keys(sent?.parameters ?? {})).toEqual(['client_id', 'request_uri']);
  const answered = messages.find(({ step }) => step === 'authorization_response');
  expect(answered?.parameters).toMatchObject({ iss: issuer.issuer });

  expect(read(await browser.open(`${webURL}/call`))).toEqual({ sub: 'auth0|alice' });
  const refreshed = read(await browser.open(`${webURL}/refresh`)).value ?? '';
  expect(refreshed).not.toBe(value);
  expect(decodeJwt(refreshed).cnf).toEqual({ jkt: thumbprint });
  expect(read(await browser.open(`${webURL}/call`))).toEqual({ sub: 'auth0|alice' });

  const stolen = await fetch(`${apiURL}/contacts`, {
    headers: { authorization: `Bearer ${refreshed}` },
  });
  expect(stolen.status).toBe(401);

  await browser.open(`${webURL}/bye`);
  expect(read(await browser.open(`${webURL}/`))).toEqual({});
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
  expect([page.status, read(page).code]).toEqual([502, code]);
  expect(events.map(({ type }) => type)).not.toContain('signed_in');
});
