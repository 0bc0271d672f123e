import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CookieJar } from 'tough-cookie';
import { close } from '../support/app-under-test.ts';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import {
  GLEWLWYD_TABLES,
  glewlwydRest,
  setUpGlewlwyd,
  writeGlewlwydFiles,
} from '../support/glewlwyd.ts';
import { findProgram, Programs } from '../support/programs.ts';
import { freePorts, type Service, startService } from '../support/services.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const CLIENT = { id: 'contacts-web', secret: 'secret-of-the-web-app' };
const API_SCOPE = 'read:contacts create:contacts update:contacts delete:contacts read:activity';
const SCOPES = `openid profile email offline_access ${API_SCOPE}`.split(' ');

/** Where an issuer is started, and for whom. */
interface Place {
  readonly folder: string;
  readonly port: number;
  readonly web: string;
  readonly programs: Programs;
}

interface Peer {
  readonly name: string;
  /** Program or module that this system lacks. */
  readonly missing?: string | undefined;
  /** Settings of contacts-web for it. */
  readonly settings: Readonly<Record<string, string>>;
  /** Name of the user on the pages. */
  readonly user: string;
  start(place: Place): Promise<{ issuer: string; close?: () => Promise<void> }>;
  /** From its first page back to the app. */
  signIn(browser: FormBrowser, page: Page, cookieJar: CookieJar): Promise<Page>;
  /** From its page for the logout back to the app, if it has one. */
  confirmLogout?(browser: FormBrowser, page: Page): Promise<Page>;
}

const oidcProvider: Peer = {
  name: 'oidc-provider with its defaults and one API',
  settings: { AUTHORIZATION_PARAMS: `resource=${AUDIENCE}&prompt=consent` },
  user: 'alice',
  async start({ port, web }) {
    const { Provider } = await import('oidc-provider');
    const issuer = `http://localhost:${port}`;
    const provider = new Provider(issuer, {
      clients: [
        {
          client_id: CLIENT.id,
          client_secret: CLIENT.secret,
          redirect_uris: [`${web}/callback`],
          post_logout_redirect_uris: [web],
          grant_types: ['authorization_code', 'refresh_token'],
        },
      ],
      features: {
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ scope: API_SCOPE, accessTokenFormat: 'jwt' }),
        },
      },
    });
    const server = createServer(provider.callback()).listen(port, '127.0.0.1');
    await once(server, 'listening');
    return { issuer, close: () => close(server) };
  },
  async signIn(browser, page) {
    const consent = await browser.submit(page, 'form', { login: 'alice', password: 'any' });
    return browser.submit(consent, 'form', {});
  },
  confirmLogout: (browser, page) => browser.submit(page, 'form', { logout: 'yes' }),
};

const glewlwyd: Peer = {
  name: 'Glewlwyd',
  missing: findProgram('glewlwyd') && existsSync(GLEWLWYD_TABLES) ? undefined : 'Glewlwyd',
  settings: { AUTHORIZATION_PARAMS: `resource=${AUDIENCE}`, IDP_LOGOUT: 'no' },
  user: 'Alice Example',
  async start({ folder, port, web, programs }) {
    const origin = `http://localhost:${port}`;
    const file = await writeGlewlwydFiles(folder, origin);
    await programs.start(port, findProgram('glewlwyd') as string, '-c', file);
    const scopes = SCOPES;
    return {
      issuer: await setUpGlewlwyd({ origin, web, audience: AUDIENCE, client: CLIENT, scopes }),
    };
  },
  // Its pages are scripts that call this API.
  async signIn(browser, page, cookieJar) {
    const url = new URL(page.url);
    const rest = glewlwydRest(url.origin, cookieJar);
    await rest.post('auth/', { json: { username: 'alice', password: 'alice-password' } });
    await rest.put(`auth/grant/${CLIENT.id}`, { json: { scope: SCOPES.join(' ') } });
    return browser.open(`${url.searchParams.get('callback_url')}&g_continue`);
  },
};

const toolkit = '/usr/lib/python3/dist-packages/oauth2_provider';
const django: Peer = {
  name: 'django-oauth-toolkit',
  missing: existsSync(toolkit) ? undefined : 'django-oauth-toolkit',
  settings: {},
  user: 'Alice Example',
  async start({ folder, port, web, programs }) {
    const project = fileURLToPath(new URL('../support/django-issuer.py', import.meta.url));
    const database = join(folder, 'django.db');
    await programs.start(port, '/usr/bin/python3', project, String(port), web, database);
    return { issuer: `http://localhost:${port}/o` };
  },
  async signIn(browser, page) {
    const user = { username: 'alice', password: 'alice-password' };
    const consent = await browser.submit(page, '#login-form', user);
    return browser.submit(consent, '#authorizationForm', { allow: 'Authorize' });
  },
};

for (const peer of [oidcProvider, glewlwyd, django]) {
  (peer.missing ? describe.skip : describe)(
    `contacts-web with ${peer.name}${peer.missing ? `: no ${peer.missing}` : ''}`,
    () => {
      const programs = new Programs();
      const services: Service[] = [];
      let folder: string;
      let web: string;
      let closeIssuer: (() => Promise<void>) | undefined;

      beforeAll(async () => {
        folder = await mkdtemp(join(tmpdir(), 'issuer-'));
        const [port, apiPort, webPort] = (await freePorts(3)) as [number, number, number];
        web = `http://localhost:${webPort}`;
        const started = await peer.start({ folder, port, web, programs });
        closeIssuer = started.close;
        const common = { ISSUER_BASE_URL: started.issuer, AUDIENCE };
        services.push(
          await startService('contacts-api', folder, { ...common, PORT: String(apiPort) }),
          await startService('contacts-web', folder, {
            ...common,
            ...peer.settings,
            PORT: String(webPort),
            API_BASE_URL: `http://localhost:${apiPort}`,
            CLIENT_ID: CLIENT.id,
            CLIENT_SECRET: CLIENT.secret,
          }),
        );
      });

      afterAll(async () => {
        await Promise.all(services.map((service) => service.stop()));
        await closeIssuer?.();
        await programs.end();
        await rm(folder, { recursive: true, force: true });
      });

      test('signs in, calls the API, refreshes and signs out, by settings alone', async () => {
        const cookieJar = new CookieJar();
        const browser = new FormBrowser({ cookieJar });
        const contacts = await peer.signIn(
          browser,
          await browser.open(`${web}/contacts`),
          cookieJar,
        );
        expect([contacts.url, contacts.status]).toEqual([`${web}/contacts`, 200]);
        expect(contacts.html.text).toContain(peer.user);

        const hedy = { name: 'Hedy Lamarr', email: 'hedy@example.com' };
        const add = 'form[action="/contacts"][method="post"]';
        const added = await browser.submit(contacts, add, hedy);
        expect(added.html.text).toContain('Hedy Lamarr was added');

        const session = await browser.open(`${web}/session`);
        const refreshed = await browser.submit(session, 'form[action^="/session/refresh"]', {});
        expect(refreshed.html.text).toContain('A new access token');
        expect((await browser.open(`${web}/contacts`)).html.text).toContain('Hedy Lamarr');

        const form = await browser.open(`${web}/logout`);
        let out = await browser.submit(form, 'main form[action="/logout"]', {});
        if (peer.confirmLogout) out = await peer.confirmLogout(browser, out);
        expect([out.url, out.status]).toEqual([`${web}/`, 200]);
        const again = await browser.open(`${web}/contacts`);
        expect(again.url.startsWith(web)).toBe(false);
      });
    },
  );
}
