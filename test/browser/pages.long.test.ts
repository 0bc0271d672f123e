import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { launchChromium } from '../support/chromium.ts';
import { savePictures } from '../support/pictures.ts';
import { type Services, startServices } from '../support/services.ts';
import { findViolations } from './accessibility.ts';
import { consent, describeInBrowser, signIn, typePassword } from './site.ts';

describeInBrowser('axe finds no violation', () => {
  let services: Services;
  let browser: Browser;
  let alice: Page;
  let violations: string[] = [];

  beforeAll(async () => {
    services = await startServices({ settings: { issuer: { CONTROL: '0' } } });
    browser = await launchChromium();
    alice = await visit();
  });
  afterAll(async () => {
    await browser?.close();
    await services?.stop();
  });

  async function visit(): Promise<Page> {
    const context = await browser.newContext({ locale: 'en-GB', bypassCSP: true });
    return context.newPage();
  }

  /** Collects violations, so that one run reports all. */
  async function examine(page: Page, name: string): Promise<void> {
    await page.bringToFront();
    await savePictures(page, name);
    violations.push(...(await findViolations(page)).map((violation) => `${name}: ${violation}`));
  }

  function expectNothingFound(): void {
    const all = violations;
    violations = [];
    expect(all).toEqual([]);
  }

  async function openAndExamine(page: Page, path: string, name: string): Promise<void> {
    await page.goto(services.web + path);
    await examine(page, name);
  }

  async function submit(page: Page, fields: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(fields)) await page.fill(`[name="${name}"]`, value);
    await page.locator('#contact-form > button').click();
  }

  const press = (page: Page, name: string) => page.getByRole('button', { name }).first().click();
  const alert = (page: Page) => page.getByRole('alert').waitFor();
  const heading = (page: Page, name: string) => page.getByRole('heading', { name }).waitFor();

  test('on the pages to sign in and out', async () => {
    await openAndExamine(alice, '/', 'home');
    await openAndExamine(alice, '/logout', 'logout-signed-out');
    await openAndExamine(alice, '/contacts', 'login');
    await typePassword(alice, 'alice', 'wrong');
    await alert(alice);
    await examine(alice, 'login-wrong-password');
    await typePassword(alice, 'alice');
    await alice.waitForURL(/\/u\/consent\//);
    await examine(alice, 'consent');
    await consent(services, alice);
    await openAndExamine(alice, '/', 'home-signed-in');
    await openAndExamine(alice, '/logout', 'logout');
    expectNothingFound();
  });

  test('on the list of contacts', async () => {
    await openAndExamine(alice, '/contacts', 'contacts');
    await submit(alice, { name: 'Hedy Lamarr', email: 'hedy@example.com', notes: 'one\ntwo' });
    await alice.getByText('Hedy Lamarr was added.').waitFor();
    await examine(alice, 'contacts-added');
    await submit(alice, { name: '', email: 'nonsense' });
    await alert(alice);
    await examine(alice, 'contacts-wrong-input');
    await openAndExamine(alice, '/contacts?q=unknown-name', 'contacts-nothing-found');
    await openAndExamine(alice, '/contacts?asked=create:contacts', 'contacts-granted');
    await openAndExamine(alice, '/activity', 'activity');
    expectNothingFound();
  });

  test('on the pages to edit and delete, and on conflicts', async () => {
    await alice.goto(`${services.web}/contacts`);
    await alice.getByRole('link', { name: 'Delete Hedy Lamarr' }).click();
    await alice.waitForURL(/\/delete$/);
    await examine(alice, 'delete');
    const editPage = alice.url().replace('/delete', '/edit');
    const [one, other] = [await alice.context().newPage(), await alice.context().newPage()];
    await one.goto(editPage);
    await other.goto(editPage);
    await examine(one, 'edit');
    await submit(one, { email: 'nonsense' });
    await alert(one);
    await examine(one, 'edit-wrong-input');
    await submit(one, { email: 'hedy@example.org' });
    await one.getByText('Hedy Lamarr was changed.').waitFor();
    await submit(other, { company: 'Frequency Hopping' });
    await alert(other);
    await examine(other, 'edit-conflict');
    await press(alice, 'Delete');
    await alert(alice);
    await examine(alice, 'delete-conflict');
    await press(alice, 'Delete');
    await alice.getByText('The contact was deleted.').waitFor();
    await examine(alice, 'contacts-deleted');
    await other.goto(editPage);
    await examine(other, 'error-contact-gone');
    expectNothingFound();
  });

  test('on the pages of a user with fewer permissions', async () => {
    const bob = await visit();
    await signIn(services, bob, 'bob');
    await examine(bob, 'contacts-reader');
    await openAndExamine(bob, '/contacts?asked=create:contacts', 'contacts-not-granted');
    await openAndExamine(bob, '/activity', 'activity-refused');
    await bob.goto(`${services.web}/contacts`);
    await submit(bob, { name: 'Kept Name', email: 'kept@example.com' });
    await alert(bob);
    await examine(bob, 'contacts-refused');
    await alice.goto(`${services.web}/contacts`);
    const editPage = await alice
      .getByRole('link', { name: 'Edit Ada Lovelace' })
      .getAttribute('href');
    await openAndExamine(bob, editPage ?? '', 'edit-reader');
    await submit(bob, { company: 'Not His To Change' });
    await alert(bob);
    await examine(bob, 'edit-refused');
    await bob.goto(services.web + editPage?.replace('/edit', '/delete'));
    await press(bob, 'Delete');
    await alert(bob);
    await examine(bob, 'delete-refused');
    expectNothingFound();
  });

  test('on the session page', async () => {
    const other = await visit();
    await signIn(services, other, 'alice', '/session');
    await examine(other, 'session');
    await other.setViewportSize({ width: 390, height: 844 });
    // No name of a scope is broken on a phone.
    const scopes = other.locator('.scopes code');
    const heights = await scopes.evaluateAll((codes) => codes.map((code) => code.clientHeight));
    expect(new Set(heights).size).toBe(1);
    await press(other, 'Refresh now');
    await other.getByRole('status').waitFor();
    await examine(other, 'session-refreshed');
    await press(other, 'A broken signature');
    await other.locator('#answer').waitFor();
    const top = 'document.querySelector("#answer").getBoundingClientRect().top / innerHeight';
    const place = await other.evaluate<number>(top);
    expect(place > 0 && place < 1).toBe(true);
    await examine(other, 'session-tried');
    await press(other, 'End all others');
    await other.getByText('One session was ended.').waitFor();
    await examine(other, 'session-ended');

    await services.each.web.stop();
    await services.each.web.start({ SHOW_TOKENS: 'no' });
    await openAndExamine(other, '/session', 'session-in-production');
    alice = other;
    expectNothingFound();
  });

  test('on error pages', async () => {
    await openAndExamine(alice, '/nowhere', 'error-not-found');
    const stranger = await visit();
    await openAndExamine(stranger, '/callback?code=x&state=y', 'error-unasked-callback');
    await stranger.goto(`${services.web}/contacts`);
    await stranger.evaluate(`
      const form = document.createElement('form');
      form.method = 'post';
      form.action = '${services.web}/contacts';
      document.body.append(form);
      form.submit();
    `);
    await heading(stranger, 'This came from another site');
    await examine(stranger, 'error-cross-site');
    await alice.goto(`${services.web}/contacts`);
    const cookies = await alice.context().cookies();
    await alice.context().clearCookies();
    await submit(alice, { name: 'Not Saved', email: 'not-saved@example.com' });
    await heading(alice, 'Please sign in');
    await examine(alice, 'error-signed-out');
    await alice.context().addCookies(cookies);

    await stranger.goto(`${services.web}/contacts`);
    await typePassword(stranger, 'carol');
    await stranger.waitForURL(/\/u\/consent\//);
    await press(stranger, 'Decline');
    await heading(stranger, 'You were not signed in');
    await examine(stranger, 'error-declined');
    expectNothingFound();
  });

  test('on an empty list', async () => {
    const carol = await visit();
    await signIn(services, carol, 'carol');
    while ((await carol.getByRole('link', { name: /^Delete / }).count()) > 0) {
      await carol
        .getByRole('link', { name: /^Delete / })
        .first()
        .click();
      await press(carol, 'Delete');
      await carol.getByText('The contact was deleted.').waitFor();
    }
    await openAndExamine(carol, '/contacts', 'contacts-empty');
    expectNothingFound();
  });

  test('on other pages of the authorization server', async () => {
    const page = await visit();
    for (const [path, name] of [
      ['', 'issuer-home'],
      ['log', 'issuer-log'],
      ['nowhere', 'issuer-not-found'],
      ['oidc/logout', 'issuer-logout'],
      [
        'authorize?client_id=contacts-web&response_type=code&redirect_uri=https://evil.example/',
        'issuer-foreign-callback',
      ],
      ['u/login/unknown', 'issuer-login-gone'],
    ] as const) {
      await page.goto(services.issuer + path);
      await examine(page, name);
    }
    expectNothingFound();
  });

  test('on the pages that connect a device', async () => {
    const page = await visit();
    const newCode = async (): Promise<string> => {
      const client = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
      const body = new URLSearchParams({ ...client, scope: 'openid' });
      const answer = await fetch(`${services.issuer}oauth/device/code`, { method: 'POST', body });
      return ((await answer.json()) as { user_code: string }).user_code;
    };
    await page.goto(`${services.issuer}activate`);
    await examine(page, 'device-code');
    await page.fill('[name="user_code"]', 'BBBB-BBBB');
    await press(page, 'Continue');
    await alert(page);
    await examine(page, 'device-code-unknown');
    await page.fill('[name="user_code"]', await newCode());
    await press(page, 'Continue');
    await heading(page, 'Connect Contacts command line');
    await examine(page, 'device-confirm');
    await press(page, 'Cancel');
    await heading(page, 'Your device is not connected');
    await examine(page, 'device-cancelled');
    await page.goto(`${services.issuer}activate?user_code=${await newCode()}`);
    await press(page, 'Confirm');
    await typePassword(page, 'alice');
    await press(page, 'Accept');
    await heading(page, 'Your device is connected');
    await examine(page, 'device-connected');
    expectNothingFound();
  });

  test('on pages while the API and the issuer are down', async () => {
    await alice.goto(`${services.web}/contacts`);
    await services.each.api.stop();
    await submit(alice, { name: 'Patient Person', email: 'patient@example.com' });
    await alert(alice);
    await examine(alice, 'contacts-unavailable');
    await openAndExamine(alice, '/contacts', 'error-api-down');
    await services.each.issuer.stop();
    await services.each.web.stop();
    await services.each.web.start();
    await openAndExamine(await visit(), '/contacts', 'error-issuer-down');
    expectNothingFound();
  });
});
