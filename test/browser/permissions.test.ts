import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { consent, describeInBrowser, openSite, type Site, signIn } from './site.ts';

const YOURSELF = /you can grant (it )?yourself/;

describeInBrowser('asking for one scope more, in a browser', () => {
  let site: Site;

  beforeAll(async () => {
    const SCOPE = 'openid profile email offline_access read:contacts';
    site = await openSite({ settings: { web: { SCOPE } } });
  }, 60_000);
  afterAll(() => site?.stop());

  const askFor = (page: Page, scope: string) =>
    page.getByRole('button', { name: new RegExp(`^Ask .*: ${scope}$`) }).first();
  const entry = (page: Page, scope: string) => page.locator('.permissions li', { hasText: scope });

  test('alice is told what is missing, grants just that, and may do it', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice', '/contacts?q=a');
    expect(await entry(page, 'create:contacts').innerText()).toContain('You may not add contacts');
    expect(await page.textContent('.permissions')).toMatch(YOURSELF);

    await askFor(page, 'create:contacts').click();
    await page.waitForURL(/\/u\/consent\//);
    const asked = await page.textContent('main');
    expect(asked).toContain('create:contacts');
    expect(asked).not.toMatch(/(update|delete):contacts/);
    await consent(site, page);
    expect(page.url()).toBe(`${site.web}/contacts?q=a`);
    expect(await entry(page, 'create:contacts').innerText()).toContain('You may add contacts');
    expect(await entry(page, 'delete:contacts').innerText()).toContain('You may not');

    await page.fill('[name="name"]', 'Mary Jackson');
    await page.fill('[name="email"]', 'mary@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByText('Mary Jackson was added.').waitFor();
  });

  test('what alice typed is still there when she comes back with the scope', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await page.fill('[name="name"]', 'Annie Easley');
    await page.fill('[name="email"]', 'annie@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText('create:contacts').waitFor();
    await askFor(page, 'create:contacts').click();
    // She has consented before, so nobody asks her.
    await page.getByText('What you typed before is still here.').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('Annie Easley');
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Annie Easley was added.').waitFor();
  });

  test('alice declines, and goes on as before', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await askFor(page, 'delete:contacts').click();
    await page.waitForURL(/\/u\/consent\//);
    await page.click('[name="action"][value="decline"]');
    await page.getByRole('heading', { name: 'You were not signed in' }).waitFor();
    await page.goto(`${site.web}/contacts`);
    expect(await page.textContent('main')).toContain('Ada Lovelace');
    expect(await entry(page, 'delete:contacts').innerText()).toContain('You may not');
  });

  test('bob, of whose roles none has it, ends at an explanation, however often he asks', async () => {
    const page = await site.visit();
    await signIn(site, page, 'bob');
    await page.fill('[name="name"]', 'Kept Name');
    await page.fill('[name="email"]', 'kept@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText(YOURSELF).waitFor();

    for (const button of ['Ask for it', 'Ask once more']) {
      const ask = askFor(page, 'create:contacts');
      expect(await ask.innerText()).toBe(button);
      await Promise.all([page.waitForURL(/\/authorize|\/callback|\/contacts$/), ask.click()]);
      await consent(site, page);
      expect(page.url()).toBe(`${site.web}/contacts`);
      expect(await page.textContent('.permissions')).toContain('an administrator of acme');
      expect(await page.inputValue('[name="name"]')).toBe('Kept Name');
    }
  });

  test('nothing was blocked, no script failed, and no token came outside /session', () => {
    expect(site.deliveries.length).toBeGreaterThan(20);
    expect(site.complaints()).toEqual([]);
  });
});
