import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type AuthorizationServer,
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import { credentialsOf, signIn as signInAt } from '@koa-oauth/authorization-server/testing';
import { FormBrowser } from '../support/form-browser.ts';
import { freePorts } from '../support/services.ts';

let issuer: AuthorizationServer;
let url: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  const [port] = await freePorts(1);
  const baseURL = `http://localhost:${port}`;
  const tenant = loadTenant(demoTenantFile);
  tenant.clients[0]?.callbacks.push(`${baseURL}/callback`);
  tenant.clients[0]?.allowed_logout_urls.push(baseURL);
  issuer = await startAuthorizationServer({ tenant });
  const env = { ISSUER_BASE_URL: issuer.issuer };
  const api = await run('api', { ...env, PORT: '0' });
  url = await run('web', { ...env, PORT: String(port), BASE_URL: baseURL, API_BASE_URL: api });
});
afterAll(async () => {
  const closed = children.map((child) => once(child, 'close'));
  for (const child of children) child.kill();
  await Promise.all([...closed, issuer.close()]);
});

/** @returns the address, which the example prints first */
async function run(name: string, env: Record<string, string>): Promise<string> {
  const example = fileURLToPath(new URL(`../../examples/dist/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [example], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [printed] = await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'close').then(() => Promise.reject(new Error(`${name} did not start`))),
  ]);
  return String(printed).trim();
}

async function signIn(browser: FormBrowser, user: string) {
  const login = await browser.open(`${url}/contacts`);
  expect(login.url).toContain(issuer.issuer);
  const consent = await browser.submit(login, 'form:has(input[name="password"])', {
    username: `${user}@example.com`,
    password: `${user}-demo`,
  });
  return browser.submit(consent, 'form:has([name="action"])', { action: 'accept' });
}

describe('examples/web.ts', () => {
  test('signs in, calls the API of examples/api.ts, signs out', async () => {
    const browser = new FormBrowser();
    const home = await browser.open(url);
    expect(home.html.querySelector('a')?.getAttribute('href')).toBe('/login');

    const contacts = await signIn(browser, 'alice');
    expect([contacts.url, contacts.status]).toEqual([`${url}/contacts`, 200]);
    expect(JSON.parse(contacts.html.text)).toEqual({
      name: 'Alice Adams',
      contacts: { of: 'acme', items: [] },
    });

    const signedIn = await browser.open(url);
    const out = await browser.submit(signedIn, 'form[action="/logout"]', {});
    expect([out.url, out.status]).toEqual([`${url}/`, 200]);
    expect(out.html.querySelector('a')?.getAttribute('href')).toBe('/login');

    const again = await browser.open(`${url}/contacts`);
    expect(again.url).toContain(issuer.issuer);
    expect(again.html.querySelector('input[name="password"]')).not.toBeNull();
  });

  test('each browser has its own user, and its own organization at the API', async () => {
    const [bob, carol] = [new FormBrowser(), new FormBrowser()];
    const pages = [await signIn(bob, 'bob'), await signIn(carol, 'carol')];
    expect(pages.map(({ html }) => JSON.parse(html.text))).toEqual([
      { name: 'Bob Brown', contacts: { of: 'acme', items: [] } },
      { name: 'Carol Clark', contacts: { of: 'globex', items: [] } },
    ]);
  });

  test('it can be tested as docs/client.md says, without a browser', async () => {
    const cookies = (response: Response) =>
      response.headers
        .getSetCookie()
        .map((line) => line.split(';')[0])
        .join('; ');
    const login = await fetch(`${url}/login?returnTo=/contacts`, { redirect: 'manual' });
    const callback = await signInAt(
      login.headers.get('location') ?? '',
      `${url}/callback`,
      credentialsOf(issuer.tenant, 'alice'),
    );
    const back = await fetch(callback, { redirect: 'manual', headers: { cookie: cookies(login) } });
    expect(back.headers.get('location')).toBe('/contacts');
    const contacts = await fetch(`${url}/contacts`, { headers: { cookie: cookies(back) } });
    expect(contacts.status).toBe(200);
  });

  test('a callback that was not requested gets 400', async () => {
    const page = await new FormBrowser().open(`${url}/callback?code=x&state=y`);
    expect(page.status).toBe(400);
  });
});
