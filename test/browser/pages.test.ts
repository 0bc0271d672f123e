import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { launchChromium } from '../support/chromium.ts';
import { keepPictures } from '../support/pictures.ts';
import { type Services, startServices } from '../support/services.ts';
import { violationsOf } from './accessibility.ts';
import { consent, describeInBrowser, signIn, typePassword } from './site.ts';

// Each test looks at many pages.
jest.setTimeout(60_000);

describeInBrowser('axe finds nothing wrong with the pages', () => {
  let services: Services;
  let browser: Browser;
  let alice: Page;
  let found: string[] = [];

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

  /** Goes on after a fault, so that one run shows all. */
  async function look(page: Page, name: string): Promise<void> {
    await page.bringToFront();
    await keepPictures(page, name);
    await page.setViewportSize({ width: 1280, height: 800 });
    found.push(...(await violationsOf(page)).map((violation) => `${name}: ${violation}`));
  }

  function expectNothingFound(): void {
    const all = found;
    found = [];
    expect(all).toEqual([]);
  }

  async function lookAt(page: Page, path: string, name: string): Promise<void> {
    await page.goto(services.web + path);
    await look(page, name);
  }

  async function submit(page: Page, fields: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(fields)) await page.fill(`[name="${name}"]`, value);
    await page.locator('#contact-form > button').click();
  }

  const press = (page: Page, name: string) => page.getByRole('button', { name }).first().click();
  const alert = (page: Page) => page.getByRole('alert').waitFor();
  const heading = (page: Page, name: string) => page.getByRole('heading', { name }).waitFor();

  test('home, signing in, signing out', async () => {
    await lookAt(alice, '/', 'home');
    await lookAt(alice, '/logout', 'logout-signed-out');
    await lookAt(alice, '/contacts', 'login');
    await typePassword(alice, 'alice', 'wrong');
    await alert(alice);
    await look(alice, 'login-wrong-password');
    await typePassword(alice, 'alice');
    await alice.waitForURL(/\/u\/consent\//);
    await look(alice, 'consent');
    await consent(services, alice);
    await lookAt(alice, '/', 'home-signed-in');
    await lookAt(alice, '/logout', 'logout');
    expectNothingFound();
  });

  test('contacts', async () => {
    await lookAt(alice, '/contacts', 'contacts');
    await submit(alice, { name: 'Hedy Lamarr', email: 'hedy@example.com', notes: 'one\ntwo' });
    await alice.getByText('Hedy Lamarr was added.').waitFor();
    await look(alice, 'contacts-added');
    await submit(alice, { name: '', email: 'nonsense' });
    await alert(alice);
    await look(alice, 'contacts-wrong-input');
    await lookAt(alice, '/contacts?q=nobody-at-all', 'contacts-nothing-found');
    expectNothingFound();
  });

  test('editing and deleting, and conflicts', async () => {
    await alice.goto(`${services.web}/contacts`);
    await alice.getByRole('link', { name: 'Delete Hedy Lamarr' }).click();
    await alice.waitForURL(/\/delete$/);
    await look(alice, 'delete');
    const edition = alice.url().replace('/delete', '/edit');
    const [one, other] = [await alice.context().newPage(), await alice.context().newPage()];
    await one.goto(edition);
    await other.goto(edition);
    await look(one, 'edit');
    await submit(one, { email: 'nonsense' });
    await alert(one);
    await look(one, 'edit-wrong-input');
    await submit(one, { email: 'hedy@example.org' });
    await one.getByText('Hedy Lamarr was changed.').waitFor();
    await submit(other, { company: 'Frequency Hopping' });
    await alert(other);
    await look(other, 'edit-conflict');
    await press(alice, 'Delete');
    await alert(alice);
    await look(alice, 'delete-conflict');
    await press(alice, 'Delete');
    await alice.getByText('The contact was deleted.').waitFor();
    await look(alice, 'contacts-deleted');
    await other.goto(edition);
    await look(other, 'error-contact-gone');
    expectNothingFound();
  });

  test('a user who may do less', async () => {
    const bob = await visit();
    await signIn(services, bob, 'bob');
    await look(bob, 'contacts-reader');
    await submit(bob, { name: 'Kept Name', email: 'kept@example.com' });
    await alert(bob);
    await look(bob, 'contacts-refused');
    await alice.goto(`${services.web}/contacts`);
    const edition = await alice
      .getByRole('link', { name: 'Edit Ada Lovelace' })
      .getAttribute('href');
    await lookAt(bob, edition ?? '', 'edit-reader');
    await submit(bob, { company: 'Not His To Change' });
    await alert(bob);
    await look(bob, 'edit-refused');
    await bob.goto(services.web + edition?.replace('/edit', '/delete'));
    await press(bob, 'Delete');
    await alert(bob);
    await look(bob, 'delete-refused');
    expectNothingFound();
  });

  test('the session', async () => {
    const other = await visit();
    await signIn(services, other, 'alice', '/session');
    await look(other, 'session');
    await press(other, 'Refresh now');
    await other.getByRole('status').waitFor();
    await look(other, 'session-refreshed');
    await press(other, 'A broken signature');
    await other.locator('#answer').waitFor();
    await look(other, 'session-tried');
    await press(other, 'End all others');
    await other.getByText('One session was ended.').waitFor();
    await look(other, 'session-ended');

    await services.each.web.stop();
    await services.each.web.start({ SHOW_TOKENS: 'no' });
    await lookAt(other, '/session', 'session-in-production');
    alice = other;
    expectNothingFound();
  });

  test('errors', async () => {
    await lookAt(alice, '/nowhere', 'error-not-found');
    const stranger = await visit();
    await lookAt(stranger, '/callback?code=x&state=y', 'error-unasked-callback');
    await stranger.goto(`${services.web}/contacts`);
    await stranger.evaluate(`
      const form = document.createElement('form');
      form.method = 'post';
      form.action = '${services.web}/contacts';
      document.body.append(form);
      form.submit();
    `);
    await heading(stranger, 'This came from another site');
    await look(stranger, 'error-cross-site');
    await alice.goto(`${services.web}/contacts`);
    const cookies = await alice.context().cookies();
    await alice.context().clearCookies();
    await submit(alice, { name: 'Nobody', email: 'nobody@example.com' });
    await heading(alice, 'Please sign in');
    await look(alice, 'error-signed-out');
    await alice.context().addCookies(cookies);

    await stranger.goto(`${services.web}/contacts`);
    await typePassword(stranger, 'carol');
    await stranger.waitForURL(/\/u\/consent\//);
    await press(stranger, 'Decline');
    await heading(stranger, 'You were not signed in');
    await look(stranger, 'error-declined');
    expectNothingFound();
  });

  test('a list that is empty', async () => {
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
    await lookAt(carol, '/contacts', 'contacts-empty');
    expectNothingFound();
  });

  test('the authorization server, besides signing in', async () => {
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
      await look(page, name);
    }
    expectNothingFound();
  });

  test('the API, then the issuer, are down', async () => {
    await alice.goto(`${services.web}/contacts`);
    await services.each.api.stop();
    await submit(alice, { name: 'Patient Person', email: 'patient@example.com' });
    await alert(alice);
    await look(alice, 'contacts-unavailable');
    await lookAt(alice, '/contacts', 'error-api-down');
    await services.each.issuer.stop();
    await services.each.web.stop();
    await services.each.web.start();
    await lookAt(await visit(), '/contacts', 'error-issuer-down');
    expectNothingFound();
  });
});
