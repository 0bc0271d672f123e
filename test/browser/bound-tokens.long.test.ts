import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createProof, createTestKey } from '@koa-oauth/issuer/testing';
import { decodeJwt } from 'jose';
import type { Cookie, Page } from 'playwright-core';
import { proves } from '../support/proves.ts';
import { journey } from './journey.ts';
import { logWhile } from './log-lines.ts';
import { describeInBrowser, openSite, type Site, signIn } from './site.ts';

const TOKEN_LIFETIME = 4;
const STEP_UP_ACR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';
const DPOP = { DPOP: 'required', DPOP_NONCE: 'true' };

describeInBrowser('a user in a browser whose tokens are bound to a key', () =>
  journey({ web: { DPOP: 'true' }, api: DPOP }),
);

describeInBrowser('one session in a browser, from the sign-in to the logout, with DPoP', () => {
  let site: Site;
  let page: Page;
  let cookies: Cookie[];
  /** Access tokens that the session had: of the sign-in, a refresh and the stronger sign-in. */
  const tokens: string[] = [];

  beforeAll(async () => {
    const api = { ...DPOP, STEP_UP_ACR, RATE_LIMIT_REFUSED: '1000000' };
    site = await openSite({
      settings: { web: { DPOP: 'true' }, api },
      tokenLifetime: TOKEN_LIFETIME,
    });
    page = await site.visit();
  });
  afterAll(() => site?.stop());

  /** Notes the token that the next request would send. */
  async function noteToken(): Promise<void> {
    await page.goto(`${site.web}/session`);
    const card = page.locator('[aria-labelledby="access_token-heading"] code.raw');
    tokens.push(((await card.textContent()) ?? '').trim());
    await page.goto(`${site.web}/contacts`);
  }

  test('alice signs in, sees her contacts, and adds one', async () => {
    await signIn(site, page, 'alice');
    await page.getByRole('heading', { name: 'Ada Lovelace' }).waitFor();
    await noteToken();
    await page.fill('[name="name"]', 'Hedy Lamarr');
    await page.fill('[name="email"]', 'hedy@example.com');
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Hedy Lamarr was added.').waitFor();
  });

  test('a token that has expired is renewed, and bound to the same key', async () => {
    await page.waitForTimeout(TOKEN_LIFETIME * 1000);
    const lines = await logWhile(site.each.web, site.web, () => page.reload());
    expect(lines.filter(({ msg }) => msg === 'token refreshed')).toHaveLength(1);
    await page.getByRole('heading', { name: 'Hedy Lamarr' }).waitFor();
    await noteToken();
    expect(tokens[1]).not.toBe(tokens[0]);
    const [before, after] = tokens.map((token) => decodeJwt(token));
    expect(before?.cnf).toEqual({ jkt: expect.any(String) });
    expect(after?.cnf).toEqual(before?.cnf);
  });

  test('a deletion needs a second step, once', async () => {
    const openDeletion = async (name: string) => {
      await page.getByRole('link', { name: `Delete ${name}` }).click();
      await page.getByRole('button', { name: 'Delete' }).click();
    };
    await openDeletion('Hedy Lamarr');
    await page.getByRole('button', { name: 'Sign in again' }).click();
    await page.waitForURL(/\/u\/mfa\//);
    await page.fill('[name="code"]', (await page.textContent('output#code')) ?? '');
    await page.press('[name="code"]', 'Enter');
    await page.getByRole('heading', { name: 'Delete Hedy Lamarr?' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('The contact was deleted.').waitFor();
    await openDeletion('Ada Lovelace');
    await page.getByText('The contact was deleted.').waitFor();
    await noteToken();
    expect(decodeJwt(tokens.at(-1) ?? '')).toMatchObject({
      acr: STEP_UP_ACR,
      cnf: { jkt: expect.any(String) },
    });
  });

  const url = () => `${site.api}/contacts`;
  const call = async (headers: Record<string, string>) => (await fetch(url(), { headers })).status;

  test('who copied a token cannot use it, not even with a key and a nonce', async () => {
    proves('RFC 9700 §4.10.1');
    const key = createTestKey({ alg: 'ES256' });
    const prove = (token: string, nonce?: string) =>
      createProof({ key, method: 'GET', url: url(), token, nonce });
    expect(new Set(tokens).size).toBe(3);
    for (const token of tokens) {
      expect(await call({ authorization: `Bearer ${token}` })).toBe(401);
      const authorization = `DPoP ${token}`;
      expect(await call({ authorization })).toBe(401);
      const answer = await fetch(url(), { headers: { authorization, dpop: prove(token) } });
      const nonce = answer.headers.get('dpop-nonce') ?? '';
      expect(nonce).toMatch(/^[\w-]{32}$/);
      expect(await call({ authorization, dpop: prove(token, nonce) })).toBe(401);
    }
  });

  test('whatever was copied out of the store and the logs opens neither the API nor the app', async () => {
    const data = join(site.dir, 'data');
    const files = (await readdir(data)).filter((name) => name.startsWith('sessions.db'));
    const texts = await Promise.all(files.map((name) => readFile(join(data, name), 'latin1')));
    texts.push(site.printed());
    // Whatever could be a token, or the id of a session.
    const copied = new Set(texts.flatMap((text) => text.match(/[\w.~-]{32,4096}/g) ?? []));
    expect(copied.size).toBeGreaterThan(20);
    cookies = await page.context().cookies(site.web);
    const open = async (cookie: string) => {
      const { status } = await fetch(`${site.web}/contacts`, {
        headers: { cookie, accept: 'text/html' },
        redirect: 'manual',
      });
      return status;
    };
    const cookieOf = (name: string, value: string) => `${name}=${value}`;
    expect(await open(cookies.map(({ name, value }) => cookieOf(name, value)).join('; '))).toBe(
      200,
    );
    for (const value of copied) {
      expect(await call({ authorization: `Bearer ${value}` })).toBe(401);
      expect(await call({ authorization: `DPoP ${value}` })).toBe(401);
      expect(await open(cookies.map(({ name }) => cookieOf(name, value)).join('; '))).toBe(302);
    }
  });

  test('after the logout the cookies open nothing', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
    await page.context().addCookies(cookies);
    await page.goto(`${site.web}/contacts`);
    await page.waitForSelector('input[name="password"]:visible');
    expect(site.complaints()).toEqual([]);
  });
});
