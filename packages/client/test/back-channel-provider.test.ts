import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import Koa from 'koa';
import Provider, { type Configuration } from 'oidc-provider';
import { CookieJar } from 'tough-cookie';
import { auth } from '../src/index.ts';
import { type Browser, type Served, serve } from './support/browser.ts';
import { userOf } from './support/served-app.ts';

const BASE_URL = 'https://app.example';
const PATH = '/backchannel-logout';

let server: Server;
let app: Served;
let told: { type: string }[];

beforeEach(async () => {
  // It warns about defaults for development, which a test may use.
  jest.spyOn(console, 'warn').mockImplementation(() => {});
  jest.spyOn(console, 'info').mockImplementation(() => {});
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  told = [];
  app = await serve(appOf(issuer), BASE_URL);
  server.on('request', new Provider(issuer, configurationOf(app.origin)).callback());
});

afterEach(async () => {
  await app.close();
  server.closeAllConnections();
  await once(server.close(), 'close');
  jest.restoreAllMocks();
});

function appOf(issuerBaseURL: string): Koa {
  const koa = new Koa();
  koa.silent = true;
  koa.use(
    auth({
      issuerBaseURL,
      baseURL: BASE_URL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      routes: { backChannelLogout: PATH },
      onEvent: (event) => told.push(event),
    }),
  );
  koa.use(async (ctx) => {
    ctx.body = { user: ctx.oidc.user?.sub ?? null };
  });
  return koa;
}

function configurationOf(origin: string): Configuration {
  return {
    clients: [
      {
        client_id: 'client-1',
        client_secret: 'client-secret-1',
        redirect_uris: [`${BASE_URL}/callback`],
        post_logout_redirect_uris: [BASE_URL],
        backchannel_logout_uri: origin + PATH,
        backchannel_logout_session_required: true,
      },
    ],
    features: { backchannelLogout: { enabled: true } },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  };
}

/** Goes on at the provider, as a person who agrees to everything, until it sends the browser back. */
async function goOn(jar: CookieJar, from: Response, login: string): Promise<string> {
  let url = from.headers.get('location') ?? '';
  let form: URLSearchParams | undefined;
  for (let hop = 0; hop < 20; hop += 1) {
    const headers = { cookie: await jar.getCookieString(url), accept: 'text/html' };
    const init: RequestInit = { headers, redirect: 'manual' };
    const response = await fetch(url, form ? { ...init, method: 'POST', body: form } : init);
    for (const line of response.headers.getSetCookie()) await jar.setCookie(line, url);
    const location = response.headers.get('location');
    form = undefined;
    if (location) {
      url = new URL(location, url).href;
      if (url.startsWith(BASE_URL)) return url.slice(BASE_URL.length) || '/';
      continue;
    }
    const page = await response.text();
    const [, action = ''] = /<form[^>]* action="([^"]+)"/.exec(page) ?? [];
    if (action === '') throw new Error(`no form on ${url}: ${page}`);
    const hidden = page.matchAll(/name="(\w+)" value="([^"]*)"/g);
    form = new URLSearchParams([...hidden].map(([, name = '', value = '']) => [name, value]));
    form.set('login', login);
    form.set('password', 'any');
    form.set('logout', 'yes');
    url = new URL(action, url).href;
  }
  throw new Error('the provider goes round in circles');
}

async function signIn(jar: CookieJar, login: string): Promise<Browser> {
  const browser = app.browser();
  const callback = await goOn(jar, await browser.get('/login'), login);
  const response = await browser.get(callback);
  if (response.status !== 302) throw new Error(`no sign-in: ${await response.text()}`);
  return browser;
}

test('a logout in one browser, at oidc-provider and by its logout token, ends the others', async () => {
  const [ada, bob] = [new CookieJar(), new CookieJar()];
  const here = await signIn(ada, 'ada');
  const there = await signIn(ada, 'ada');
  const bobs = await signIn(bob, 'bob');
  expect(await Promise.all([here, there, bobs].map(userOf))).toEqual(['ada', 'ada', 'bob']);

  expect(await goOn(ada, await here.post('/logout'), 'ada')).toBe('/');
  expect(told).toContainEqual({ type: 'session_ended', reason: 'backchannel', sessions: 1 });
  expect(told.filter(({ type }) => type === 'warning')).toEqual([]);
  expect(await Promise.all([here, there, bobs].map(userOf))).toEqual([null, null, 'bob']);
});
