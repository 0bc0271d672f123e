import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import { auth, type OidcError, requiresAuth } from '@koa-oauth/client';
import { sqliteStore } from '@koa-oauth/client/sqlite';
import { auth as protect, requiredScopes, requiredSignIn } from '@koa-oauth/resource-server';
import Koa from 'koa';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const SCOPE = 'openid offline_access read:contacts';
const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';
const MULTI_FACTOR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';

let server: AuthorizationServer;
let web: Server;
let api: Server;
let baseURL: string;
let apiCalls: number;
let folder: string;
let store: ReturnType<typeof sqliteStore>;
let otherProcess: ChildProcess | undefined;

beforeEach(async () => {
  apiCalls = 0;
  folder = mkdtempSync(join(tmpdir(), 'step-up-'));
  store = sqliteStore({ path: join(folder, 'sessions.db') });
  [web, api] = await Promise.all([listening(), listening()]);
  baseURL = `http://localhost:${portOf(web)}`;
  const tenant = loadTenant(demoTenantFile);
  tenant.clients[0]?.callbacks.push(`${baseURL}/callback`);
  server = await startAuthorizationServer({ tenant });
  api.on('request', theApi().callback());
  web.on('request', theApp().callback());
});

afterEach(async () => {
  for (const one of [web, api]) {
    one.closeAllConnections();
    await once(one.close(), 'close');
  }
  if (otherProcess?.exitCode === null) {
    otherProcess.kill();
    await once(otherProcess, 'exit');
  }
  otherProcess = undefined;
  await server.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function listening(): Promise<Server> {
  const one = createServer().listen(0, '127.0.0.1');
  await once(one, 'listening');
  return one;
}

function portOf(one: Server): number {
  return (one.address() as AddressInfo).port;
}

/** An API with a route whose scope the app does not request at first, and one for a stronger sign-in. */
function theApi(): Koa {
  const app = new Koa();
  app.silent = true;
  app.use(async function count(_ctx, next) {
    apiCalls += 1;
    await next();
  });
  app.use(protect({ issuerBaseURL: server.issuer, audience: AUDIENCE }));
  const strong = requiredSignIn({ acr: MULTI_FACTOR, maxAge: 300 });
  const updates = requiredScopes('update:contacts');
  app.use((ctx, next) => (ctx.path === '/vault' ? strong : updates)(ctx, next));
  app.use(function changed(ctx) {
    ctx.body = { changed: true };
  });
  return app;
}

function authOptions() {
  return {
    issuerBaseURL: server.issuer,
    baseURL,
    clientID: 'contacts-web',
    clientSecret: 'contacts-web-demo-secret',
    clientAuthMethod: 'client_secret_post' as const,
    secret: 's-secret-of-the-tests-0123456789',
    authorizationParams: { scope: SCOPE, audience: AUDIENCE },
    api: { baseURL: `http://localhost:${portOf(api)}` },
  };
}

/** Starts the app a second time, in a process of its own with the same store. @returns its address */
async function startOtherProcess(): Promise<string> {
  const script = `
    import { auth, requiresAuth } from '@koa-oauth/client';
    import { sqliteStore } from '@koa-oauth/client/sqlite';
    import Koa from 'koa';
    const store = sqliteStore({ path: ${JSON.stringify(join(folder, 'sessions.db'))} });
    const app = new Koa();
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        ctx.status = error.status ?? 500;
        ctx.body = JSON.stringify(error);
      }
    });
    app.use(auth({ ...${JSON.stringify(authOptions())}, session: { store } }));
    app.use(requiresAuth());
    app.use(async (ctx) => {
      ctx.body = (await ctx.oidc.api.get('vault')).body;
    });
    const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
  `;
  otherProcess = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { stdout } = otherProcess;
  if (!stdout) throw new Error('a process without output');
  const [port] = await once(stdout, 'data');
  return `http://localhost:${String(port).trim()}`;
}

function theApp(): Koa {
  const app = new Koa();
  app.use(async function answerErrors(ctx, next) {
    try {
      await next();
    } catch (error) {
      ctx.status = (error as OidcError).status ?? 500;
      ctx.body = JSON.stringify(error);
    }
  });
  app.use(auth({ ...authOptions(), session: { store } }));
  const [signedIn, fresh] = [requiresAuth(), requiresAuth({ maxAge: 0 })];
  app.use(async function pages(ctx) {
    if (ctx.path === '/edit') {
      await signedIn(ctx, async () => {
        ctx.body = (await ctx.oidc.api.get('contacts')).body;
      });
    } else if (ctx.path === '/vault') {
      await signedIn(ctx, async () => {
        ctx.body = (await ctx.oidc.api.get('vault')).body;
      });
    } else if (ctx.path === '/password') {
      await fresh(ctx, async () => {
        ctx.body = { authTime: ctx.oidc.idTokenClaims?.auth_time };
      });
    } else {
      const granted = ctx.oidc.isAuthenticated() && (await ctx.oidc.accessToken()).scope;
      ctx.body = { granted };
    }
  });
  return app;
}

async function signIn(browser: FormBrowser, user: string): Promise<void> {
  const consent = await typePassword(browser, await browser.open(`${baseURL}/login`), user);
  await browser.submit(consent, CONSENT, { action: 'accept' });
}

function typePassword(browser: FormBrowser, login: Page, user: string): Promise<Page> {
  const password = `${user}-demo`;
  return browser.submit(login, USERNAME, { username: `${user}@example.com`, password });
}

const shown = ({ html }: Page) => JSON.parse(html.text);
const granted = async (browser: FormBrowser): Promise<string[]> =>
  shown(await browser.open(`${baseURL}/`))
    .granted.split(' ')
    .sort();

describe('incremental consent', () => {
  test('the user consents to the scope that the API needs, and the page opens', async () => {
    const browser = new FormBrowser();
    await signIn(browser, 'alice');
    expect(await granted(browser)).toEqual(SCOPE.split(' ').sort());

    const consent = await browser.open(`${baseURL}/edit?id=1`);
    expect(consent.url).toContain(server.issuer);
    expect(apiCalls).toBe(1);
    const page = await browser.submit(consent, CONSENT, { action: 'accept' });
    expect([page.url, page.status]).toEqual([`${baseURL}/edit?id=1`, 200]);
    expect(shown(page)).toEqual({ changed: true });
    expect(await granted(browser)).toEqual(`${SCOPE} update:contacts`.split(' ').sort());
  });

  test('a user without the right to the scope gets an answer, and no redirect loop', async () => {
    const browser = new FormBrowser();
    await signIn(browser, 'bob');
    const page = await browser.open(`${baseURL}/edit`);
    expect([page.url, page.status]).toEqual([`${baseURL}/edit`, 403]);
    expect(shown(page)).toMatchObject({ code: 'ERR_INSUFFICIENT_SCOPE', scope: 'update:contacts' });
    expect(apiCalls).toBe(2);

    expect((await browser.open(`${baseURL}/edit`)).status).toBe(403);
    expect(apiCalls).toBe(3);
  });

  test('a user who declines keeps the session and its scopes', async () => {
    const browser = new FormBrowser();
    await signIn(browser, 'alice');
    const consent = await browser.open(`${baseURL}/edit`);
    const declined = await browser.submit(consent, CONSENT, { action: 'decline' });
    expect(declined.status).toBe(403);
    expect(shown(declined).code).toBe('ERR_AUTHORIZATION_REFUSED');
    expect(await granted(browser)).toEqual(SCOPE.split(' ').sort());
  });
});

test('a page with maxAge asks for the password again, once', async () => {
  proves('ASVS 7.5.3');
  const browser = new FormBrowser();
  await signIn(browser, 'alice');
  const login = await browser.open(`${baseURL}/password`);
  expect(login.url).toContain(server.issuer);
  const page = await typePassword(browser, login, 'alice');
  expect([page.url, page.status]).toEqual([`${baseURL}/password`, 200]);
  expect(shown(page).authTime).toEqual(expect.any(Number));
  expect((await browser.open(`${baseURL}/password`)).status).toBe(200);
});

describe('a stronger sign-in that the API demands (RFC 9470)', () => {
  /** Adds the addresses of sign-ins to this list. */
  const watching = (begun: string[]) =>
    new FormBrowser({
      onAnswer: ({ url }) => {
        if (url.startsWith(`${server.issuer}authorize?`)) begun.push(url);
      },
    });

  test('a second step at the issuer opens the page, with exactly that sign-in', async () => {
    const begun: string[] = [];
    const browser = watching(begun);
    await signIn(browser, 'alice');
    begun.length = 0;
    const step = await browser.open(`${baseURL}/vault?page=2`);
    expect(step.url).toContain('/u/mfa/');
    const code = step.html.querySelector('output#code')?.text ?? '';
    const page = await browser.submit(step, 'form:has([name="code"])', { code });
    expect([page.url, page.status]).toEqual([`${baseURL}/vault?page=2`, 200]);
    expect(shown(page)).toEqual({ changed: true });
    const requests = begun.map((url) => Object.fromEntries(new URL(url).searchParams));
    expect(requests).toEqual([
      expect.objectContaining({ acr_values: MULTI_FACTOR, max_age: '300' }),
    ]);
    expect(apiCalls).toBe(2);
  });

  test('an issuer that does not raise it is asked once, by two processes together', async () => {
    server.useTenant({ ...server.tenant, postLogin: [] });
    const begun: string[] = [];
    const browser = watching(begun);
    await signIn(browser, 'alice');
    begun.length = 0;
    const page = await browser.open(`${baseURL}/vault`);
    expect([page.url, page.status]).toEqual([`${baseURL}/vault`, 401]);
    expect(shown(page)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });
    expect([begun.length, apiCalls]).toEqual([1, 2]);

    const elsewhere = await browser.open(`${await startOtherProcess()}/vault`);
    expect(elsewhere.status).toBe(401);
    expect(shown(elsewhere)).toMatchObject({ code: 'ERR_STEP_UP_REQUIRED' });
    expect([begun.length, apiCalls]).toEqual([1, 3]);
  });
});
