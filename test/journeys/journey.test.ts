import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import got from 'got';
import { decodeJwt, SignJWT } from 'jose';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';
import { type Services, startServices } from '../support/services.ts';

const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';
const ADD = 'form[action="/contacts"][method="post"]';
const tokenScript = fileURLToPath(new URL('../../scripts/dist/token.js', import.meta.url));

let services: Services;
const tokens: string[] = [];

beforeAll(async () => {
  services = await startServices();
});
afterAll(() => services?.stop());

async function signIn(browser: FormBrowser, user: string): Promise<Page> {
  const login = await browser.open(`${services.web}/contacts`);
  expect(login.url).toContain(services.issuer);
  const consent = await browser.submit(login, USERNAME, {
    username: `${user}@example.com`,
    password: `${user}-demo`,
  });
  return browser.submit(consent, CONSENT, { action: 'accept' });
}

/** Tokens that the script printed, by its arguments: each is a process. */
const printed = new Map<string, Promise<string>>();

function tokenOf(user: string, ...args: string[]): Promise<string> {
  const key = [user, ...args].join(' ');
  const token = printed.get(key) ?? printToken(user, args);
  printed.set(key, token);
  return token;
}

async function printToken(user: string, args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [tokenScript, '--user', user, ...args],
    {
      env: { PATH: process.env.PATH, ISSUER_BASE_URL: services.issuer, TENANT: services.tenant },
    },
  );
  const token = stdout.trimEnd();
  tokens.push(token);
  return token;
}

function call(method: 'GET' | 'POST', token?: string) {
  return got(`${services.api}/contacts`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(method === 'POST' && { json: { name: 'Grace Hopper', email: 'grace@example.com' } }),
    throwHttpErrors: false,
  });
}

describe('in the web app', () => {
  test('alice signs in, consents, sees her contacts, adds one, signs out', async () => {
    const browser = new FormBrowser();
    const contacts = await signIn(browser, 'alice');
    expect([contacts.url, contacts.status]).toEqual([`${services.web}/contacts`, 200]);
    expect(contacts.html.text).toContain('Ada Lovelace');

    const added = await browser.submit(contacts, ADD, {
      name: 'Hedy Lamarr',
      email: 'hedy@example.com',
    });
    expect([new URL(added.url).pathname, added.status]).toEqual(['/contacts', 200]);
    expect(added.html.text).toContain('Hedy Lamarr');

    const goodbye = await browser.open(`${services.web}/logout`);
    const out = await browser.submit(goodbye, 'main form[action="/logout"]', {});
    expect(new URL(out.url).origin).toBe(services.web);
    const again = await browser.open(`${services.web}/contacts`);
    expect(again.url).toContain(services.issuer);
    expect(again.html.querySelector('input[name="password"]')).not.toBeNull();
  });

  test('bob sees them too; his addition is refused, with the scope, and his input is kept', async () => {
    const browser = new FormBrowser();
    const contacts = await signIn(browser, 'bob');
    expect(contacts.html.text).toContain('Ada Lovelace');
    const refused = await browser.submit(contacts, ADD, {
      name: 'Kept Name',
      email: 'kept@example.com',
    });
    expect(refused.status).toBe(403);
    expect(refused.html.text).toContain('create:contacts');
    expect(refused.html.querySelector('[name="name"]')?.getAttribute('value')).toBe('Kept Name');
  });

  test('carol declines; then she accepts, and sees no contacts of acme', async () => {
    const browser = new FormBrowser();
    const consent = await browser.submit(await browser.open(`${services.web}/contacts`), USERNAME, {
      username: 'carol@example.com',
      password: 'carol-demo',
    });
    const declined = await browser.submit(consent, CONSENT, { action: 'decline' });
    expect([new URL(declined.url).pathname, declined.status]).toEqual(['/callback', 403]);
    expect(declined.html.querySelector('h1')).not.toBeNull();

    // She is still signed in at the authorization server, so it asks only for her consent.
    const asked = await browser.open(`${services.web}/contacts`);
    const contacts = await browser.submit(asked, CONSENT, { action: 'accept' });
    expect(contacts.html.text).toContain('Alan Turing');
    expect(contacts.html.text).not.toContain('Ada Lovelace');
  });

  test('a sign-out at the authorization server ends the session in the app too', async () => {
    proves('ASVS 7.1.3');
    const browser = new FormBrowser();
    const login = await browser.open(`${services.web}/contacts`);
    // She consented before.
    const contacts = await browser.submit(login, USERNAME, {
      username: 'alice@example.com',
      password: 'alice-demo',
    });
    expect(contacts.url).toBe(`${services.web}/contacts`);
    const out = await browser.open(
      `${services.issuer}v2/logout?${new URLSearchParams({ client_id: 'contacts-web', returnTo: services.web })}`,
    );
    expect(new URL(out.url).origin).toBe(services.web);
    const again = await browser.open(`${services.web}/contacts`);
    expect(again.url).toContain(services.issuer);
  });

  test('a code that is held back until after the sign-out signs no user in', async () => {
    const browser = new FormBrowser({ stopAt: `${services.web}/callback` });
    const login = await browser.open(`${services.web}/contacts`);
    const credentials = { username: 'alice@example.com', password: 'alice-demo' };
    const first = await browser.submit(login, USERNAME, credentials);
    await browser.open(first.location ?? '');
    const heldBack = await browser.open(`${services.web}/login`);
    expect(heldBack.location).toContain('code=');
    await browser.open(`${services.issuer}v2/logout?client_id=contacts-web`);
    const late = await browser.open(heldBack.location ?? '');
    expect(late.status).toBe(400);
    const again = await browser.open(`${services.web}/contacts`);
    expect(again.url).toContain(services.issuer);
  });

  test('a callback that was not requested gets a page with 400, without a stack trace', async () => {
    const { status, html } = await new FormBrowser().open(
      `${services.web}/callback?code=x&state=y`,
    );
    expect(status).toBe(400);
    expect(html.querySelector('h1')).not.toBeNull();
    expect(html.text).not.toMatch(/\bat .*\.[jt]s:\d+/);
  });
});

describe('with a token from the command line', () => {
  test('the token has the requested scopes that the user has', async () => {
    expect(decodeJwt(await tokenOf('bob')).scope).toBe('read:contacts');
    expect(decodeJwt(await tokenOf('alice', '--scope', 'read:contacts')).scope).toBe(
      'read:contacts',
    );
  });

  test('a good token is accepted', async () => {
    const { statusCode, body } = await call('GET', await tokenOf('alice'));
    expect(statusCode).toBe(200);
    expect(JSON.parse(body).items.map(({ name }: { name: string }) => name)).toContain(
      'Ada Lovelace',
    );
  });

  test('no token gets 401 without an error code (RFC 6750 §3.1)', async () => {
    const { statusCode, headers } = await call('GET');
    expect(statusCode).toBe(401);
    expect(headers['www-authenticate']).toMatch(
      /^Bearer realm="contacts", scope="read:contacts", resource_metadata="/,
    );
  });

  test('the token of bob gets 403 on POST, with the missing scope', async () => {
    const { statusCode, headers } = await call('POST', await tokenOf('bob'));
    expect(statusCode).toBe(403);
    expect(headers['www-authenticate']).toMatch(
      /error="insufficient_scope".*scope="create:contacts"/,
    );
  });

  test('an expired token of the issuer gets 401', async () => {
    const { keys } = JSON.parse(await readFile(join(services.dir, 'keys.json'), 'utf8'));
    const now = Math.floor(Date.now() / 1000);
    const claims = decodeJwt(await tokenOf('alice'));
    const sign = (exp: number) =>
      new SignJWT({ ...claims, iat: exp - 3600, exp })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: keys[0].kid })
        .sign(createPrivateKey({ key: keys[0], format: 'jwk' }));
    expect((await call('GET', await sign(now + 60))).statusCode).toBe(200);
    const { statusCode, headers } = await call('GET', await sign(now - 120));
    expect(statusCode).toBe(401);
    expect(headers['www-authenticate']).toMatch(
      /error="invalid_token", error_description="the access token has expired/,
    );
  });

  test('an unknown user is reported, with the list of users', async () => {
    await expect(tokenOf('mallory')).rejects.toMatchObject({
      stderr: expect.stringMatching(/no user "mallory".*alice@example.com/),
    });
  });
});

test('the services print no token, password or secret', () => {
  const printed = services.printed();
  expect(printed).toContain('/contacts');
  expect(printed).not.toContain('eyJ');
  expect(printed).not.toMatch(/alice-demo|demo-secret|code=|code_verifier/);
  for (const token of tokens) expect(printed).not.toContain(token.split('.')[2]);
});
