import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { consent, describeInBrowser, openSite, type Site, signIn } from './site.ts';

const CAN_GRANT = /You can grant it yourself/;

describeInBrowser('requesting one more scope, in a browser', () => {
  let site: Site;

  beforeAll(async () => {
    const SCOPE = 'openid profile email offline_access read:contacts';
    site = await openSite({ settings: { web: { SCOPE } } });
  });
  afterAll(() => site?.stop());

  const askFor = (page: Page, scope: string) =>
    page.getByRole('button', { name: `Ask for it: ${scope}` }).first();
  const permission = (page: Page, scope: string) =>
    page.locator('.permissions li', { hasText: scope });

  test('alice sees what is missing, grants only that, and may do it', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice', '/contacts?q=a');
    expect(await permission(page, 'create:contacts').innerText()).toContain(
      'You may not add contacts',
    );
    expect(await page.textContent('.permissions')).toMatch(CAN_GRANT);

    await askFor(page, 'create:contacts').click();
    await page.waitForURL(/\/u\/consent\//);
    const asked = await page.textContent('main');
    expect(asked).toContain('create:contacts');
    expect(asked).not.toMatch(/(update|delete):contacts/);
    await consent(site, page);
    expect(page.url()).toBe(`${site.web}/contacts?q=a&asked=create%3Acontacts`);
    await page.getByText('You may now add contacts.').waitFor();
    expect(await permission(page, 'create:contacts').innerText()).toContain('You may add contacts');
    expect(await permission(page, 'delete:contacts').innerText()).toContain('You may not');

    await page.fill('[name="name"]', 'Mary Jackson');
    await page.fill('[name="email"]', 'mary@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByText('Mary Jackson was added.').waitFor();
  });

  test('the input of alice is still there when she returns with the scope', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await page.fill('[name="name"]', 'Annie Easley');
    await page.fill('[name="email"]', 'annie@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText('create:contacts').waitFor();
    await askFor(page, 'create:contacts').click();
    // She has consented before, so there is no consent page.
    await page.getByText('What you typed before is still here.').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('Annie Easley');
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Annie Easley was added.').waitFor();
  });

  test('alice declines, and keeps her session and scopes', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await askFor(page, 'delete:contacts').click();
    await page.waitForURL(/\/u\/consent\//);
    await page.click('[name="action"][value="decline"]');
    await page.getByRole('heading', { name: 'Nothing has changed' }).waitFor();
    await page.getByRole('link', { name: 'Back to the contacts' }).click();
    await page.getByRole('heading', { name: 'Contacts', exact: true }).waitFor();
    expect(await page.textContent('main')).toContain('Ada Lovelace');
    expect(await permission(page, 'delete:contacts').innerText()).toContain('You may not');
  });

  test('bob has no role with the scope: he asks once, and sees the result and the reason', async () => {
    const page = await site.visit();
    await signIn(site, page, 'bob');
    await page.fill('[name="name"]', 'Kept Name');
    await page.fill('[name="email"]', 'kept@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText(CAN_GRANT).waitFor();

    await askFor(page, 'create:contacts').click();
    const result = page.getByRole('status').filter({ hasText: 'You still may not add contacts' });
    await result.waitFor();
    expect(page.url()).toBe(`${site.web}/contacts?asked=create%3Acontacts`);
    expect(await result.innerText()).toContain('An administrator of acme');
    expect(await page.inputValue('[name="name"]')).toBe('Kept Name');
    // Asking again would not help. The other permissions can still be requested.
    expect(await askFor(page, 'create:contacts').count()).toBe(0);
    expect(await askFor(page, 'update:contacts').count()).toBe(1);
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.length).toBeGreaterThan(20);
    expect(site.complaints()).toEqual([]);
  });
});
