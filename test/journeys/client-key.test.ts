import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import {
  type AuthOptions,
  auth,
  type ClientEvent,
  type ClientMessage,
  type OidcError,
} from '@koa-oauth/client';
import Koa from 'koa';
import { FormBrowser, type Page } from '../support/form-browser.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const KEYS = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

let server: AuthorizationServer;
let web: Server;
let baseURL: string;
let events: ClientEvent[];
let messages: ClientMessage[];

beforeEach(async () => {
  events = [];
  messages = [];
  web = createServer().listen(0, '127.0.0.1');
  await once(web, 'listening');
  baseURL = `http://localhost:${(web.address() as AddressInfo).port}`;
  const tenant = loadTenant(demoTenantFile);
  const client = tenant.clients.find(({ client_id }) => client_id === 'contacts-web');
  if (!client) throw new Error('the demo tenant has no contacts-web');
  delete client.client_secret;
  delete client.token_endpoint_auth_method;
  Object.assign(client, {
    callbacks: [`${baseURL}/callback`],
    allowed_logout_urls: [baseURL],
    jwks: {
      keys: Object.entries(KEYS).map(([alg, { publicKey }]) => ({
        ...publicKey.export({ format: 'jwk' }),
        kid: alg,
        alg,
      })),
    },
  });
  server = await startAuthorizationServer({ tenant });
});

afterEach(async () => {
  web.closeAllConnections();
  await once(web.close(), 'close');
  await server.close();
});

function serveWith(options: Partial<AuthOptions>): void {
  const app = new Koa();
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      ctx.status = (error as OidcError).status ?? 500;
      ctx.body = JSON.stringify({ detail: (error as OidcError).detail });
    }
  });
  app.use(
    auth({
      issuerBaseURL: server.issuer,
      baseURL,
      clientID: 'contacts-web',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid offline_access read:contacts', audience: AUDIENCE },
      onMessage: (message) => messages.push(message),
      onEvent: (event) => events.push(event),
      ...options,
    }),
  );
  app.use(async function pages(ctx) {
    if (ctx.path === '/bye') return ctx.oidc.logout();
    if (ctx.path === '/narrow') await ctx.oidc.accessToken({ scope: 'read:contacts' });
    ctx.body = JSON.stringify({ user: ctx.oidc.user });
  });
  web.on('request', app.callback());
}

async function signIn(browser: FormBrowser): Promise<Page> {
  const login = await browser.open(`${baseURL}/login`);
  const consent = await browser.submit(
    login,
    'form:has(input[name="username"]:not([type="hidden"]))',
    { username: 'alice@example.com', password: 'alice-demo' },
  );
  return browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
}

const said = () => events.map(({ type }) => type).filter((type) => type !== 'keys_refreshed');

describe('private_key_jwt and pushed requests, with an authorization server that checks both', () => {
  test.each(['RS256', 'ES256', 'EdDSA'] as const)(
    'a sign-in, a refresh and a revocation with %s',
    async (alg) => {
      const { privateKey } = KEYS[alg];
      const key = { ...privateKey.export({ format: 'jwk' }), kid: alg };
      serveWith({ clientAssertionSigningKey: key, pushedAuthorizationRequests: true });
      const browser = new FormBrowser();
      const page = await signIn(browser);
      expect([page.url, page.status]).toEqual([`${baseURL}/`, 200]);
      const [pushed, , sent] = messages;
      expect(pushed?.parameters).toMatchObject({
        redirect_uri: `${baseURL}/callback`,
        client_assertion: expect.stringMatching(/^… \(\d+ characters\)$/),
      });
      expect(Object.keys(sent?.parameters ?? {})).toEqual(['client_id', 'request_uri']);
      expect((await browser.open(`${baseURL}/narrow`)).status).toBe(200);
      await browser.open(`${baseURL}/bye`);
      // A refused revocation would be a warning.
      expect(said()).toEqual(['signed_in', 'token_refreshed', 'session_ended']);
    },
  );

  test('a PEM works, although it names no key', async () => {
    const pem = KEYS.ES256.privateKey.export({ type: 'pkcs8', format: 'pem' });
    serveWith({ clientAssertionSigningKey: pem });
    expect((await signIn(new FormBrowser())).status).toBe(200);
    expect(said()).toEqual(['signed_in']);
  });

  test('another key is refused before the browser is redirected', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    serveWith({ clientAssertionSigningKey: privateKey, pushedAuthorizationRequests: true });
    const page = await new FormBrowser().open(`${baseURL}/login`);
    expect([page.url, page.status]).toEqual([`${baseURL}/login`, 502]);
    expect(said()).toEqual(['sign_in_refused']);
  });
});
