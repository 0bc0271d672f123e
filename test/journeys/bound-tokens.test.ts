import { generateKeyPairSync } from 'node:crypto';
import type { Server } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  startAuthorizationServer,
  type Tenant,
} from '@koa-oauth/authorization-server';
import { type AuthOptions, auth, type ClientMessage } from '@koa-oauth/client';
import express from 'express';
import { auth as expressAuth } from 'express-oauth2-jwt-bearer';
import { decodeJwt } from 'jose';
import Koa from 'koa';
import { answerErrors, close, listen, readJson } from '../support/app-under-test.ts';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { signInAlice, tenantWithClientKey } from '../support/local-sign-in.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');

let server: AuthorizationServer;
let web: Server;
let baseURL: string;
let messages: ClientMessage[];
let warnings: unknown[];

afterEach(async () => {
  await Promise.all([close(web), server.close()]);
});

type Binding = Tenant['resourceServers'][number]['proof_of_possession'];

/** Starts the issuer and an app whose client has a key instead of a secret. */
async function start(binding: Binding, options: Partial<AuthOptions> = {}): Promise<void> {
  [messages, warnings] = [[], []];
  [web, baseURL] = await listen();
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'EdDSA' };
  const { tenant, api } = tenantWithClientKey(baseURL, jwk);
  api.proof_of_possession = binding;
  server = await startAuthorizationServer({ tenant });

  const app = new Koa();
  app.use(answerErrors);
  app.use(
    auth({
      issuerBaseURL: server.issuer,
      baseURL,
      clientID: 'contacts-web',
      clientAssertionSigningKey: privateKey,
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: {
        scope: 'openid profile offline_access read:contacts',
        audience: api.identifier,
        claims: '{"userinfo":{"name":null}}',
      },
      pushedAuthorizationRequests: true,
      dpop: true,
      onMessage: (message) => messages.push(message),
      onEvent: (event) => event.type === 'warning' && warnings.push(event),
      ...options,
    }),
  );
  app.use(async function pages(ctx) {
    if (ctx.path === '/call') {
      const { body } = await ctx.oidc.api.get('who', { searchParams: { page: 1 } });
      const { status } = await ctx.oidc.api.post('who', { json: { item: 7 } });
      ctx.body = { who: body, status };
      return;
    }
    const { value } = await (ctx.path === '/refresh' ? ctx.oidc.refresh() : ctx.oidc.accessToken());
    ctx.body = { value, thumbprint: ctx.oidc.proofs?.thumbprint };
  });
  web.on('request', app.callback());
}

function signIn(browser: FormBrowser): Promise<Page> {
  return signInAlice(browser, { baseURL, issuer: server.issuer });
}

const ALLOWED: Binding = { mechanism: 'dpop', required: false, required_for: 'all_clients' };

test('an issuer that demands nonces everywhere gets them, with new assertions, and binds all tokens', async () => {
  await start({ ...ALLOWED, required: true });
  for (const endpoint of ['/oauth/par', '/oauth/token', '/userinfo']) {
    server.faults.add({ endpoint, demandNonce: true, times: 100 });
  }
  const browser = new FormBrowser();
  const { value, thumbprint } = readJson(await signIn(browser));
  expect(decodeJwt(value ?? '').cnf).toEqual({ jkt: thumbprint });
  const refreshed = readJson(await browser.open(`${baseURL}/refresh`));
  expect(decodeJwt(refreshed.value ?? '').cnf).toEqual({ jkt: thumbprint });
  // Userinfo was asked too.
  expect(warnings).toEqual([]);
  const count = (step: ClientMessage['step']) => messages.filter((one) => one.step === step).length;
  // The nonce of the first demand serves all endpoints of the issuer.
  expect([count('pushed_authorization_request'), count('token_request')]).toEqual([2, 1]);
  expect(count('refresh_request')).toBe(1);
});

test('a refused proof costs one request, and the session goes on', async () => {
  await start(ALLOWED);
  const browser = new FormBrowser();
  await signIn(browser);
  server.faults.add({ endpoint: '/oauth/token', refuseProof: true, times: 5 });
  const { status, html } = await browser.open(`${baseURL}/refresh`);
  expect([status, JSON.parse(html.text).code]).toEqual([502, 'ERR_TOKEN_REQUEST_REFUSED']);
  expect(server.faults.list()[0]?.left).toBe(4);
  expect((await browser.open(`${baseURL}/`)).status).toBe(200);
});

test.each<[string, Binding]>([
  ['an API without proof of possession', undefined],
  ['an API with mTLS', { ...ALLOWED, mechanism: 'mtls' }],
])('the bearer token of %s opens no session', async (_name, binding) => {
  await start(binding);
  const browser = new FormBrowser();
  const page = await signIn(browser);
  expect([page.status, readJson(page).code]).toEqual([502, 'ERR_DPOP_UNSUPPORTED']);
  expect((await browser.open(`${baseURL}/`)).status).toBe(401);
});

test('where proofs are required, an app without them gets no token but the reason', async () => {
  await start({ ...ALLOWED, required: true }, { dpop: false });
  const page = await signIn(new FormBrowser());
  expect(page.status).toBe(502);
  expect(readJson(page).detail).toMatch(/^invalid_dpop_proof: A DPoP proof is required/);
});

test('an API with express-oauth2-jwt-bearer, unmodified, accepts calls with DPoP alone', async () => {
  const [listener, apiURL] = await listen();
  await start(ALLOWED, { api: { baseURL: apiURL } });
  const app = express();
  const audience = 'https://contacts.example.com/api';
  const dpop = { enabled: true, required: true };
  app.use(expressAuth({ issuerBaseURL: server.issuer, audience, dpop }));
  app.all('/who', (request, response) => void response.json(request.auth?.payload.sub));
  listener.on('request', app);
  try {
    const browser = new FormBrowser();
    const { value } = readJson(await signIn(browser));
    const page = await browser.open(`${baseURL}/call`);
    expect(readJson(page)).toEqual({ who: 'auth0|alice', status: 200 });
    const headers = { authorization: `Bearer ${value}` };
    expect((await fetch(`${apiURL}/who`, { headers })).status).toBeGreaterThanOrEqual(400);
  } finally {
    await close(listener);
  }
});
