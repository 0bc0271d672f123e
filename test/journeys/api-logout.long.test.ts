import { randomBytes } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { CookieJar } from 'tough-cookie';
import { type Engine, engines } from '../../packages/contacts-api/test/support/databases.ts';
import { startProxy } from '../../packages/contacts-api/test/support/store-proxy.ts';
import { FormBrowser } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';
import { REDIS_URL, whyNoRedis } from '../support/redis.ts';
import {
  freePorts,
  type Service,
  type Services,
  startService,
  startServices,
} from '../support/services.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';

const [, postgres] = (await engines()) as [Engine, Engine];
type Store = { readonly url: string; drop(): Promise<void> };
const stores: [name: string, missing: string | undefined, make: () => Promise<Store>][] = [
  [
    'Redis',
    await whyNoRedis(),
    async () => ({ url: new URL('/14', REDIS_URL).href, drop: async () => {} }),
  ],
  ['PostgreSQL', postgres.missing, postgres.create],
];

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Starts the issuer, and two processes of API and web app with one store behind a proxy. */
async function start(make: () => Promise<Store>) {
  const store = await make();
  closing.push(() => store.drop());
  const url = new URL(store.url);
  const proxy = await startProxy(url);
  closing.push(() => proxy.disconnect());
  url.host = `127.0.0.1:${proxy.port}`;
  const SECRET = randomBytes(32).toString('base64url');
  const [apiPort = 0, webPort = 0] = await freePorts(2);
  const api = { STORE_URL: url.href, RATE_LIMIT: '1000000', RATE_LIMIT_REFUSED: '1000000' };
  const web = { SESSION_STORE_URL: store.url, SECRET };
  const services = await startServices({ settings: { api, web } });
  closing.push(() => services.stop());
  const { issuer: ISSUER_BASE_URL, dir } = services;
  const others: Service[] = [
    await startService('contacts-api', dir, { ...api, PORT: String(apiPort), ISSUER_BASE_URL }),
    await startService('contacts-web', dir, {
      ...web,
      PORT: String(webPort),
      BASE_URL: services.web,
      ISSUER_BASE_URL,
      API_BASE_URL: services.api,
    }),
  ];
  closing.push(() => Promise.all(others.map((one) => one.stop())));
  const apis = [services.api, `http://localhost:${apiPort}`];
  return { services, apis, webs: [services.web, `http://localhost:${webPort}`], proxy };
}

/** A browser that is signed in at the web app, and the access tokens of its session at the issuer. */
interface SignedIn {
  readonly browser: FormBrowser;
  readonly jar: CookieJar;
  readonly tokens: readonly string[];
}

async function signIn({ web, issuer }: Services, user: string): Promise<SignedIn> {
  const jar = new CookieJar();
  const browser = new FormBrowser({ cookieJar: jar });
  const login = await browser.open(`${web}/contacts`);
  const answer = { username: `${user}@example.com`, password: `${user}-demo` };
  const next = await browser.submit(login, USERNAME, answer);
  if (next.html.querySelector(CONSENT)) await browser.submit(next, CONSENT, { action: 'accept' });
  expect((await browser.open(`${web}/contacts`)).url).toBe(`${web}/contacts`);

  const redirect_uri = `${web}/callback`;
  const query = {
    client_id: 'contacts-web',
    response_type: 'code',
    redirect_uri,
    audience: AUDIENCE,
    scope: 'openid offline_access read:contacts',
  };
  const asked = new FormBrowser({ cookieJar: jar, stopAt: redirect_uri });
  const { location = '' } = await asked.open(`${issuer}authorize?${new URLSearchParams(query)}`);
  const code = new URL(location).searchParams.get('code') ?? '';
  const request = async (form: Record<string, string>) => {
    const client = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };
    const body = new URLSearchParams({ ...client, ...form });
    const response = await fetch(`${issuer}oauth/token`, { method: 'POST', body });
    return (await response.json()) as { access_token: string; refresh_token: string };
  };
  const first = await request({ grant_type: 'authorization_code', code, redirect_uri });
  const { refresh_token } = first;
  const second = await request({ grant_type: 'refresh_token', refresh_token });
  return { browser, jar, tokens: [first.access_token, second.access_token] };
}

/** Asks each API with each token. @returns the statuses, each once */
async function statuses(apis: readonly string[], tokens: readonly string[]): Promise<number[]> {
  const answers = await Promise.all(
    apis.flatMap((api) =>
      tokens.map((token) => fetch(`${api}/me`, { headers: { authorization: `Bearer ${token}` } })),
    ),
  );
  for (const answer of answers) {
    await answer.text();
    if (answer.status === 503) expect(answer.headers.get('retry-after')).toBe('2');
  }
  return [...new Set(answers.map(({ status }) => status))];
}

for (const [name, missing, make] of stores) {
  (missing ? describe.skip : describe)(`${name}${missing ? `: ${missing}` : ''}`, () => {
    test('after a logout at the issuer, all tokens of that session are refused by both processes, others never', async () => {
      proves('RFC 6750 §5.1 replay', 'ASVS 7.1.3');
      const { services, apis, webs, proxy } = await start(make);
      const alice = await signIn(services, 'alice');
      const elsewhere = await signIn(services, 'alice');
      const bob = await signIn(services, 'bob');
      const others = [...elsewhere.tokens, ...bob.tokens];
      for (let i = 0; i < 3; i += 1) {
        expect(await statuses(apis, [...alice.tokens, ...others])).toEqual([200]);
      }

      let isOver = false;
      const meanwhile = (async () => {
        const seen = new Set<number>();
        while (!isOver) for (const status of await statuses(apis, others)) seen.add(status);
        return [...seen];
      })();
      const leaving = new FormBrowser({ cookieJar: alice.jar, stopAt: services.web });
      const query = new URLSearchParams({ client_id: 'contacts-web', returnTo: services.web });
      const { location } = await leaving.open(`${services.issuer}v2/logout?${query}`);
      // The issuer answers when the API has stored the end, so the first requests are refused.
      expect(await statuses(apis, alice.tokens)).toEqual([401]);
      expect(location).toContain(services.web);
      isOver = true;
      expect(await meanwhile).toEqual([200]);
      for (const web of webs) {
        expect((await alice.browser.open(`${web}/contacts`)).url).toContain(services.issuer);
        expect((await bob.browser.open(`${web}/contacts`)).status).toBe(200);
      }

      // The button of the web app ends the session at the issuer too.
      const page = await bob.browser.open(`${services.web}/contacts`);
      await bob.browser.submit(page, 'form[action$="/logout"]', {});
      expect(await statuses(apis, bob.tokens)).toEqual([401]);
      expect(await statuses(apis, elsewhere.tokens)).toEqual([200]);

      await proxy.disconnect();
      expect(await statuses(apis, elsewhere.tokens)).toEqual([503]);
      expect(await statuses(apis, alice.tokens)).toEqual([503]);
      await proxy.restore();
      for (let tries = 0; (await statuses(apis, elsewhere.tokens)).join() !== '200'; tries += 1) {
        expect(tries).toBeLessThan(100);
        await after(100);
      }
      expect(await statuses(apis, [...alice.tokens, ...bob.tokens])).toEqual([401]);
    });
  });
}
