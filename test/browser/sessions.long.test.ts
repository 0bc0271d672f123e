import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { launchChromium } from '../support/chromium.ts';
import { proves } from '../support/proves.ts';
import {
  consent,
  describeInBrowser,
  hasToken,
  openSite,
  type Site,
  signIn,
  typePassword,
} from './site.ts';

describeInBrowser('sessions in a browser', () => {
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

  async function cookieOf(page: Page): Promise<string | undefined> {
    const cookies = await page.context().cookies(site.web);
    return cookies.find(({ name }) => name === 'session')?.value;
  }

  /** Ends them from another browser of the user, which then signs out. */
  async function endOtherSessions(user: string): Promise<void> {
    const page = await site.visit();
    await signIn(site, page, user, '/session');
    await page.getByRole('button', { name: 'End all others' }).click();
    await page.getByText(/session(s were| was) ended/).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
  }

  async function add(page: Page, name: string): Promise<void> {
    await page.fill('[name="name"]', name);
    await page.fill('[name="email"]', 'someone@example.com');
    await page.press('[name="email"]', 'Enter');
  }

  test('each browser lists the other, and one ends the session of the other (OWASP ASVS 5.0 7.5.2)', async () => {
    proves('ASVS 7.5.2');
    const [one, other] = [await visitAs('carol'), await visitAs('carol')];
    await one.goto(`${site.web}/session`);
    const listed = one.locator('.sessions li');
    expect(await listed.count()).toBe(2);
    expect(await listed.locator('.badge', { hasText: 'this one' }).count()).toBe(1);
    await one.getByRole('button', { name: /^End this one: Chrome/ }).click();
    await one.getByText('One session was ended.').waitFor();
    expect(await listed.count()).toBe(1);
    // That browser is still signed in at the authorization server, so it gets a new session at once.
    const ended = await cookieOf(other);
    await other.goto(`${site.web}/contacts`);
    expect(await cookieOf(other)).not.toBe(ended);
  });

  test('the input survives a session that was ended elsewhere', async () => {
    const page = await visitAs('alice');
    await page.fill('[name="notes"]', 'two\nlines');
    await endOtherSessions('alice');
    await add(page, 'Dorothy Vaughan');
    await page.getByRole('heading', { name: 'Please sign in' }).waitFor();
    expect(await page.textContent('main')).toContain('What you sent was not saved.');
    await page.locator('main').getByRole('link', { name: 'Sign in' }).click();
    await page.waitForURL(`${site.web}/contacts`);
    await page.getByText('What you typed before is still here.').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('Dorothy Vaughan');
    expect(await page.inputValue('[name="notes"]')).toBe('two\nlines');
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Dorothy Vaughan was added.').waitFor();
    expect(await page.inputValue('[name="name"]')).toBe('');
    await page.reload();
    expect(await page.inputValue('[name="name"]')).toBe('');
  });

  test('the input of an edited contact does too', async () => {
    const page = await visitAs('alice');
    await page.goto(`${site.web}/contacts?q=grace`);
    await page.getByRole('link', { name: 'Edit Grace Hopper' }).click();
    await page.fill('[name="notes"]', 'a moth');
    await endOtherSessions('alice');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.locator('main').getByRole('link', { name: 'Sign in' }).click();
    await page.getByText('What you typed before is still here.').waitFor();
    expect(await page.inputValue('[name="notes"]')).toBe('a moth');
  });

  test('the input of one user is not shown to another user of the same tab', async () => {
    const page = await visitAs('alice');
    await endOtherSessions('alice');
    await add(page, 'Of Alice Alone');
    await page.getByRole('heading', { name: 'Please sign in' }).waitFor();
    await page.context().clearCookies();
    await signIn(site, page, 'carol');
    expect(await page.inputValue('[name="name"]')).toBe('');
    expect(await page.content()).not.toContain('Of Alice Alone');
    await page.context().clearCookies();
    await signIn(site, page, 'alice');
    expect(await page.inputValue('[name="name"]')).toBe('Of Alice Alone');
  });

  test('after a sign-out in one tab, another tab saves nothing and shows nothing', async () => {
    const page = await visitAs('alice');
    const other = await page.context().newPage();
    await other.goto(`${site.web}/contacts`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);

    await add(other, 'Never Saved');
    await other.getByRole('heading', { name: 'Please sign in' }).waitFor();
    expect(await other.getByRole('navigation').count()).toBe(0);
    await other.goto(`${site.web}/contacts`);
    await other.waitForSelector('input[name="password"]:visible');
    await typePassword(other, 'alice');
    await consent(site, other);
    expect(await other.locator('.contact h3').allInnerTexts()).not.toContain('Never Saved');
    expect(await other.inputValue('[name="name"]')).toBe('Never Saved');
  });

  test('signing out removes the input from the tab', async () => {
    const page = await visitAs('alice');
    const kept = () => page.evaluate('Object.keys(sessionStorage)');
    await page.fill('[name="name"]', 'On A Shared Computer');
    await page.press('[name="name"]', 'Enter');
    await page.getByRole('alert').waitFor();
    expect(await kept()).toHaveLength(1);
    await page.fill('[name="name"]', 'Typed Once More');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
    expect(await kept()).toEqual([]);
  });

  test('the back button after a sign-out leads to the sign-in and shows no data (OWASP ASVS 5.0 7.4.1)', async () => {
    proves('ASVS 7.4.1');
    const page = await visitAs('alice');
    await page.goto(`${site.web}/session`);
    await page.goto(`${site.web}/contacts`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${site.web}/`);
    for (let back = 0; back < 2; back += 1) {
      await page.goBack();
      expect(await page.content()).not.toMatch(/Ada Lovelace|Sign out|eyJ/);
    }
    await page.waitForSelector('input[name="password"]:visible');
  });

  test('a browser with a back/forward cache shows no data after a sign-out', async () => {
    const browser = await launchChromium({ keepsPages: true });
    try {
      const page = await browser.newPage();
      const targets = await browser.newBrowserCDPSession();
      await signIn(site, page, 'alice');
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.waitForURL(`${site.web}/`);
      await page.evaluate('history.back()');
      let title = '';
      for (const end = Date.now() + 5000; Date.now() < end && !title.startsWith('Sign in'); ) {
        const { targetInfos } = await targets.send('Target.getTargets');
        title = targetInfos.find(({ type }) => type === 'page')?.title ?? '';
      }
      expect(title).toContain('Sign in');
    } finally {
      await browser.close();
    }
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.filter(hasToken).length).toBeGreaterThan(0);
    expect(site.complaints()).toEqual([]);
  });
});
