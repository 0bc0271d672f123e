import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { findViolations } from './accessibility.ts';
import { describeInBrowser, openSite, type Site, typePassword } from './site.ts';

// Each of these tests continues on the page that the one before left.
describeInBrowser('the sign-in of /docs', () => {
  let site: Site;
  let page: Page;
  const addresses: string[] = [];

  beforeAll(async () => {
    site = await openSite();
    page = await site.visit();
    page.on('request', (request) => addresses.push(request.url()));
  });
  afterAll(() => site?.stop());

  const status = () => page.locator('#sign-in [role="status"]');
  const press = () => page.locator('#sign-in button').click();

  async function callMe(...shown: string[]): Promise<void> {
    const summary = 'Show the claims of your access token';
    await page.getByRole('link', { name: summary, exact: true }).first().click();
    await page.getByRole('button', { name: 'Execute' }).click();
    for (const text of shown) await page.locator('api-request').getByText(text).first().waitFor();
  }

  test('sends the user to the issuer and back, and keeps the token in the page', async () => {
    await page.goto(`${site.api}/`);
    expect(page.url().split('#')[0]).toBe(`${site.api}/docs`);
    await press();
    await typePassword(page, 'alice');
    await page.click('[name="action"][value="accept"]');
    await status().getByText('You are signed in with: read:contacts create:contacts').waitFor();
    expect(page.url().split('#')[0]).toBe(`${site.api}/docs`);

    await page.locator('.text').getByRole('link', { name: 'Authentication' }).click();
    await page.getByText('1 API key applied').waitFor();
    await callMe('OK (200)', '"auth0|alice"', '"contacts-docs"');
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
    );
    expect(kept).not.toMatch(/eyJ|state|verifier|code/);
  });

  test('sends PKCE, no secret, and asks for no refresh token', () => {
    const authorize = addresses
      .map((address) => new URL(address))
      .find(({ pathname }) => pathname === '/authorize');
    expect(Object.fromEntries(authorize?.searchParams ?? [])).toEqual({
      response_type: 'code',
      client_id: 'contacts-docs',
      redirect_uri: `${site.api}/docs/callback`,
      scope: 'read:contacts create:contacts update:contacts delete:contacts read:activity',
      audience: 'https://contacts.example.com/api',
      state: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    const token = site.deliveries.find(({ url }) => url.endsWith('/oauth/token'));
    expect(token?.body).toContain('"access_token"');
    expect(token?.body).not.toContain('refresh_token');
    // The callback alone has the code in its address.
    const withCode = addresses
      .map((address) => new URL(address))
      .filter(({ searchParams }) => searchParams.has('code'));
    expect(withCode.map(({ origin, pathname }) => origin + pathname)).toEqual([
      `${site.api}/docs/callback`,
    ]);
  });

  test('is over when the page is left', async () => {
    await page.goto(`${site.api}/docs`);
    await callMe('Unauthorized (401)');
  });

  test.each([
    ['of another sign-in', 'code=x&state=forged', 'it was not started in this tab'],
    ['with the state twice', 'code=x&state=a&state=b', 'the answer has state twice'],
  ])('rejects an answer %s', async (_, answer, message) => {
    await page.goto(`${site.api}/docs`);
    await page.evaluate(() => {
      sessionStorage.setItem('pending-sign-in', JSON.stringify({ state: 's', verifier: 'v' }));
    });
    await page.goto(`${site.api}/docs/callback?${answer}`);
    await status().getByText(`The sign-in failed: ${message}.`).waitFor();
    expect(page.url().split('#')[0]).toBe(`${site.api}/docs`);
  });

  test('ignores an answer without a pending sign-in', async () => {
    await page.goto(`${site.api}/docs/callback?code=x&state=y`);
    await page.waitForURL(`${site.api}/docs`);
    expect(await status().textContent()).toBe('');
  });

  test.each([
    ['an error code', 'error=access_denied', 'the authorization server refused it (access_denied)'],
    ['markup', 'error=%3Cimg%20src%3Dx%3E', 'the authorization server refused it'],
    [
      'another issuer',
      'code=x&iss=https%3A%2F%2Fevil.example%2F',
      'the answer is of another issuer',
    ],
    ['a wrong code', 'code=x', 'the authorization server refused it (invalid_grant)'],
  ])('shows what was wrong about %s, in words of its own', async (_, answer, message) => {
    await page.goto(`${site.api}/docs`);
    await page.evaluate(() => {
      sessionStorage.setItem('pending-sign-in', JSON.stringify({ state: 's', verifier: 'v' }));
    });
    await page.goto(`${site.api}/docs/callback?state=s&${answer}`);
    await status().getByText(`The sign-in failed: ${message}.`).waitFor();
  });

  test('has no button where the browser runs no scripts', async () => {
    const page = await site.visit({ javaScriptEnabled: false });
    await page.goto(`${site.api}/docs`);
    await page.locator('noscript a').waitFor();
    expect(await page.getByRole('button').count()).toBe(0);
  });

  test('axe finds no violation', async () => {
    const context = await site.browser.newContext({ bypassCSP: true });
    const other = await context.newPage();
    await other.goto(`${site.api}/docs`);
    await other.locator('#sign-in').waitFor();
    const violations = await findViolations(other);
    expect(violations.filter((violation) => violation.includes('sign-in'))).toEqual([]);
  });

  test('no file was blocked, no script failed, and no log has a code or a token', () => {
    const problems = site.complaints().filter((complaint) => !complaint.endsWith('/oauth/token'));
    expect(problems).toEqual([]);
    expect(site.each.api.printed()).toContain('/docs/callback');
    expect(site.each.api.printed()).not.toMatch(/code=|state=|eyJ/);
  });
});
