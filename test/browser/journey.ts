import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ServicesOptions } from '../support/services.ts';
import { openSite, type Site, signIn } from './site.ts';

/** Tests of a user who signs in, changes contacts and signs out. */
export function journey(settings: NonNullable<ServicesOptions['settings']>): void {
  let site: Site;

  beforeAll(async () => {
    site = await openSite({ settings });
  });
  afterAll(() => site?.stop());

  test('alice adds a contact, finds it, changes it, deletes it, and signs out', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    const names = () => page.locator('.contact h3').allInnerTexts();
    expect(await names()).toContain('Ada Lovelace');
    await page.fill('[name="name"]', 'Hedy Lamarr');
    await page.fill('[name="email"]', 'hedy@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByText('Hedy Lamarr was added.').waitFor();

    await page.selectOption('[name="sort"]', '-name');
    await page.waitForURL(/sort=-name/);
    const shown = await names();
    expect(shown).toEqual([...shown].sort().reverse());
    await page.fill('[name="q"]', 'hedy');
    await page.press('[name="q"]', 'Enter');
    await page.waitForURL(/q=hedy/);
    expect(await names()).toEqual(['Hedy Lamarr']);

    await page.getByRole('link', { name: 'Edit Hedy Lamarr' }).click();
    expect(await page.inputValue('[name="email"]')).toBe('hedy@example.com');
    await page.fill('[name="company"]', 'Frequency Hopping');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('Hedy Lamarr was changed.').waitFor();
    expect(await page.textContent('main')).toContain('Frequency Hopping');
    expect(page.url()).toMatch(/q=hedy&sort=-name/);

    await page.getByRole('link', { name: 'Delete Hedy Lamarr' }).click();
    await page.getByRole('heading', { name: 'Delete Hedy Lamarr?' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('The contact was deleted.').waitFor();
    expect(await names()).not.toContain('Hedy Lamarr');

    await page.goto(`${site.web}/session`);
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.getByRole('heading', { name: 'A new access token' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
    await page.goto(`${site.web}/contacts`);
    await page.waitForSelector('input[name="password"]:visible');
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.length).toBeGreaterThan(20);
    expect(site.complaints()).toEqual([]);
  });
}
