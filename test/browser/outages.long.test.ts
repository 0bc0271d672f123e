import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { logWhile } from './log-lines.ts';
import { consent, describeInBrowser, openSite, type Site, signIn, typePassword } from './site.ts';

describeInBrowser('outages, seen in a browser', () => {
  let site: Site;

  beforeAll(async () => {
    site = await openSite({ settings: { issuer: { STATE: 'file:./issuer-state.db' } } });
  });
  afterAll(() => site?.stop());

  async function add(page: Page, name: string): Promise<void> {
    await page.fill('[name="name"]', name);
    await page.fill('[name="email"]', 'someone@example.com');
    await page.press('[name="email"]', 'Enter');
  }

  /** Expects an error page after an action, with a reference that is in the log. */
  async function expectErrorPage(
    page: Page,
    expected: { title: string; code: string },
    action: () => Promise<unknown>,
  ): Promise<void> {
    const lines = await logWhile(site.each.web, site.web, async () => {
      await action();
      await page.getByRole('heading', { name: expected.title }).waitFor();
    });
    const reference = await page.locator('.reference code').first().innerText();
    expect(lines).toContainEqual(
      expect.objectContaining({ requestId: reference, status: 503, code: expected.code }),
    );
  }

  const NO_SIGN_IN = 'Signing in is not possible right now';

  test('while the issuer is down, signed-in users continue and others see an error page', async () => {
    const [alice, bob] = [await site.visit(), await site.visit()];
    await signIn(site, alice, 'alice');
    await site.each.issuer.stop();
    await add(alice, 'Added Without It');
    await alice.getByText('Added Without It was added.').waitFor();
    // The new process has never reached the issuer.
    await site.each.web.stop();
    await site.each.web.start();
    await alice.goto(`${site.web}/contacts`);
    expect(await alice.textContent('main')).toContain('Added Without It');
    await expectErrorPage(bob, { title: NO_SIGN_IN, code: 'ERR_ISSUER_UNAVAILABLE' }, () =>
      bob.goto(`${site.web}/contacts`),
    );

    await site.each.issuer.start();
    while (bob.url().startsWith(site.web)) {
      await bob.getByRole('link', { name: 'Try again' }).click();
    }
    await typePassword(bob, 'bob');
    await consent(site, bob);
    expect(await bob.textContent('main')).toContain('Ada Lovelace');

    // The logins survived its restart: no password is needed.
    await alice.context().clearCookies({ name: 'session' });
    await alice.goto(`${site.web}/contacts`);
    expect(alice.url()).toBe(`${site.web}/contacts`);
  });

  test('an issuer that stops during a sign-in gives an error page, and the next sign-in works', async () => {
    const page = await site.visit();
    await page.goto(`${site.web}/contacts`);
    await typePassword(page, 'carol');
    await page.waitForURL(/\/u\/consent\//);
    let location = page.url();
    let answer = await page.request.post(location, {
      form: { action: 'accept' },
      headers: { origin: new URL(location).origin },
      maxRedirects: 0,
    });
    while (!location.startsWith(site.web)) {
      location = new URL(answer.headers().location ?? '', location).href;
      if (!location.startsWith(site.web)) {
        answer = await page.request.get(location, { maxRedirects: 0 });
      }
    }
    await site.each.issuer.stop();
    const expected = { title: NO_SIGN_IN, code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE' };
    await expectErrorPage(page, expected, () => page.goto(location));

    await site.each.issuer.start();
    await page.getByRole('link', { name: 'Try again' }).click();
    await page.waitForURL(`${site.web}/contacts`);
    expect(await page.textContent('main')).toContain('Alan Turing');
  });

  test('while the API is down, the form keeps the input and saves it later', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await site.each.api.stop();
    await add(page, 'Patient Person');
    await page.getByRole('alert').getByText('The API cannot be reached right now').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('Patient Person');

    const other = await page.context().newPage();
    const expected = {
      title: 'The contacts cannot be reached right now',
      code: 'ERR_API_UNAVAILABLE',
    };
    await expectErrorPage(other, expected, () => other.goto(`${site.web}/contacts`));
    await other.goto(`${site.web}/session`);
    expect(await other.textContent('main')).toContain('list of routes is not available');

    await site.each.api.start();
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Patient Person was added.').waitFor();
    await other.goto(`${site.web}/contacts`);
    expect(await other.textContent('main')).toContain('Patient Person');
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.length).toBeGreaterThan(20);
    expect(site.complaints()).toEqual([]);
  });
});
