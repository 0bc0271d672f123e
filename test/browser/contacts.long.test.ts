import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { logWhile } from './log-lines.ts';
import { consent, describeInBrowser, openSite, type Site, signIn, typePassword } from './site.ts';

const PAGE_SIZE = 20;

describeInBrowser('contacts in a browser', () => {
  let site: Site;

  beforeAll(async () => {
    site = await openSite();
  });
  afterAll(() => site?.stop());

  async function visitAs(user: string): Promise<Page> {
    const page = await site.visit();
    await signIn(site, page, user);
    return page;
  }

  const names = (page: Page) => page.locator('.contact h3').allInnerTexts();
  const edit = (page: Page) => page.getByRole('link', { name: 'Edit Grace Hopper' }).click();

  async function save(page: Page, notes: string): Promise<void> {
    await page.fill('[name="notes"]', notes);
    await page.getByRole('button', { name: 'Save changes' }).click();
  }

  // The first test: the consent page is shown once to each user.
  test('a user at the consent page can continue as another', async () => {
    const page = await site.visit();
    await page.goto(`${site.web}/contacts`);
    await typePassword(page, 'bob');
    await page.getByRole('button', { name: 'Use another account' }).click();
    await page.waitForURL(/\/u\/login\//);
    await typePassword(page, 'alice');
    await page.getByText('Alice Adams').waitFor();
    await consent(site, page);
    await page.getByRole('heading', { name: 'Contacts', exact: true }).waitFor();
    expect(await page.textContent('header')).toContain('Alice Adams');
  });

  test('a refused field has a message, and the input stays', async () => {
    const page = await visitAs('alice');
    await page.fill('[name="name"]', 'No Address');
    await page.fill('[name="email"]', 'nonsense');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText('must be an e-mail address').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('No Address');
    expect(await page.evaluate('document.activeElement.name')).toBe('email');
  });

  test('bob may only read: he has no links to change a contact, and the API refuses him', async () => {
    const page = await visitAs('bob');
    expect(await page.getByRole('link', { name: /^(Edit|Delete) / }).count()).toBe(0);
    await page.fill('[name="name"]', 'Kept Name');
    await page.fill('[name="email"]', 'kept@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByRole('alert').getByText('create:contacts').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('Kept Name');
    expect(await names(page)).not.toContain('Kept Name');
  });

  test('carol sees no contacts of acme, and pages through those of globex', async () => {
    const page = await visitAs('carol');
    for (let i = 0; i < PAGE_SIZE; i += 1) {
      const form = { name: `Person ${i}`, email: `person-${i}@example.com` };
      const added = await page.request.post(`${site.web}/contacts`, {
        form,
        headers: { origin: site.web },
        maxRedirects: 0,
      });
      expect(added.status()).toBe(303);
    }
    await page.goto(`${site.web}/contacts`);
    const first = await names(page);
    expect(first).toHaveLength(PAGE_SIZE);
    expect(first).toContain('Alan Turing');
    expect(first).not.toContain('Ada Lovelace');
    await page.getByRole('link', { name: 'Next page' }).click();
    await page.getByRole('link', { name: 'Previous page' }).waitFor();
    const second = await names(page);
    expect(second.length).toBeGreaterThan(0);
    expect(first.filter((name) => second.includes(name))).toEqual([]);
    await page.getByRole('link', { name: 'Previous page' }).click();
    await page.getByText(`1 to ${PAGE_SIZE} of more than ${PAGE_SIZE} people`).waitFor();
    expect(await names(page)).toEqual(first);

    // The form is below the list on a phone, and a new contact can be on another page.
    await page.setViewportSize({ width: 390, height: 800 });
    await page.getByRole('link', { name: 'Add a contact' }).click();
    await page.fill('[name="name"]', 'Zuse');
    await page.fill('[name="email"]', 'zuse@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByText('Zuse was added.').waitFor();
    expect(await names(page)).not.toContain('Zuse');
    await page.getByRole('link', { name: 'Zuse', exact: true }).click();
    await page.waitForURL(/q=zuse/);
    expect(await names(page)).toEqual(['Zuse']);
  });

  test('two browsers change one contact: the second one sees both versions and chooses', async () => {
    const [one, other] = await Promise.all([visitAs('alice'), visitAs('alice')]);
    await Promise.all([edit(one), edit(other)]);
    await save(one, 'an apple');
    await one.getByText('Grace Hopper was changed.').waitFor();
    await save(other, 'nanoseconds');
    await other.getByRole('alert').getByText('Someone else has changed this contact').waitFor();
    const notes = other.locator('tr', { hasText: 'Notes' }).locator('td');
    expect(await notes.allInnerTexts()).toEqual(['an apple', 'nanoseconds']);

    await other.getByRole('button', { name: 'Save my version' }).click();
    await other.getByText('Grace Hopper was changed.').waitFor();
    expect(await other.textContent('main')).toContain('nanoseconds');
    expect(await other.textContent('main')).not.toContain('an apple');

    // Deleting applies only to the version that was shown.
    await other.getByRole('link', { name: 'Delete Grace Hopper' }).click();
    await one.goto(`${site.web}/contacts`);
    await edit(one);
    await save(one, 'COBOL');
    await one.getByText('Grace Hopper was changed.').waitFor();
    await other.getByRole('button', { name: 'Delete' }).click();
    await other.getByRole('alert').getByText('It was not deleted.').waitFor();
    await one.goto(`${site.web}/contacts`);
    expect(await names(one)).toContain('Grace Hopper');
  });

  test('the form with the other version does not restore the own input', async () => {
    const page = await visitAs('alice');
    const other = await page.context().newPage();
    await other.goto(`${site.web}/contacts`);
    await Promise.all([edit(page), edit(other)]);
    await save(other, 'theirs');
    await other.getByText('Grace Hopper was changed.').waitFor();
    await save(page, 'mine');
    await page.getByRole('link', { name: 'Edit their version' }).click();
    await page.getByRole('heading', { name: 'Edit a contact' }).waitFor();
    expect(await page.inputValue('[name="notes"]')).toBe('theirs');
  });

  test('a double click on a button sends its form once', async () => {
    const page = await visitAs('alice');
    const sent: string[] = [];
    await page.route(/\/contacts/, async (route) => {
      if (route.request().method() === 'POST') {
        sent.push(new URL(route.request().url()).pathname);
        await setTimeout(600);
      }
      await route.continue();
    });
    // The second click is 200 ms after the first.
    const doubleClick = (name: string) =>
      page.getByRole('button', { name }).click({ clickCount: 2, delay: 200 });
    await page.fill('[name="name"]', 'Mary Jackson');
    await page.fill('[name="email"]', 'mary@example.com');
    await doubleClick('Add contact');
    await page.getByText('Mary Jackson was added.').waitFor();
    await page.getByRole('link', { name: 'Delete Mary Jackson' }).click();
    await doubleClick('Delete');
    await page.getByText('The contact was deleted.').waitFor();
    expect(sent).toEqual(['/contacts', expect.stringMatching(/\/delete$/)]);
  });

  test('the list needs one call of the API and no refresh', async () => {
    const page = await visitAs('alice');
    let web: unknown;
    const api = await logWhile(site.each.api, site.api, async () => {
      web = await logWhile(site.each.web, site.web, () => page.goto(`${site.web}/contacts`));
    });
    expect(api.map(({ method, path, status }) => [method, path, status])).toEqual([
      ['GET', '/contacts', 200],
    ]);
    expect(web).toContainEqual(expect.objectContaining({ path: '/contacts', status: 200 }));
    expect(web).not.toContainEqual(expect.objectContaining({ msg: 'token refreshed' }));
  });

  test('every page works without a script', async () => {
    const page = await site.visit({ javaScriptEnabled: false });
    await signIn(site, page, 'alice');
    await page.fill('[name="name"]', 'Emmy Noether');
    await page.fill('[name="email"]', 'emmy@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.getByText('Emmy Noether was added.').waitFor();
    await page.fill('[name="q"]', 'emmy');
    await page.getByRole('button', { name: 'Show' }).click();
    expect(await names(page)).toEqual(['Emmy Noether']);
    await page.getByRole('link', { name: 'Edit Emmy Noether' }).click();
    await page.fill('[name="phone"]', '+49 9131 85');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('Emmy Noether was changed.').waitFor();
    await page.getByRole('link', { name: 'Delete Emmy Noether' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('The contact was deleted.').waitFor();
    await page.getByRole('link', { name: 'Session' }).click();
    await page.getByRole('heading', { name: 'Your session', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.length).toBeGreaterThan(50);
    expect(site.complaints()).toEqual([]);
  });
});
