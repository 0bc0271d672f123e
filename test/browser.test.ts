import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launchChromium, whyNoChromium } from './chromium.ts';
import { type Services, startServices } from './services.ts';

// Set to a folder, each page is kept there as a picture, in both themes and at two widths.
const pictures = process.env.SCREENSHOTS;

(whyNoChromium ? describe.skip : describe)(`in a browser${whyNoChromium}`, () => {
  let services: Services;
  let browser: Browser;
  const problems: string[] = [];

  beforeAll(async () => {
    services = await startServices();
    browser = await launchChromium();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await services?.stop();
  });

  async function openPage(): Promise<{ context: BrowserContext; page: Page }> {
    const context = await browser.newContext({ locale: 'en-GB' });
    const page = await context.newPage();
    // A blocked style or a failed file shows up nowhere else.
    page.on('console', (message) => {
      if (message.type() === 'error' && !/status of 4\d\d/.test(message.text()))
        problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    return { context, page };
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (!pictures) return;
    await mkdir(pictures, { recursive: true });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [390, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        await page.screenshot({
          path: join(pictures, `${name}-${width}-${colorScheme}.png`),
          fullPage: true,
          animations: 'disabled',
        });
      }
    }
    await page.emulateMedia({ colorScheme: null });
  }

  async function signIn(page: Page, user: string): Promise<void> {
    await page.goto(`${services.web}/contacts`);
    await page.fill('input[name="username"]:visible', `${user}@example.com`);
    await page.fill('input[name="password"]:visible', `${user}-demo`);
    await picture(page, 'login');
    await page.press('input[name="password"]:visible', 'Enter');
    await page.waitForSelector('[name="action"][value="accept"]');
    await picture(page, 'consent');
    await page.click('[name="action"][value="accept"]');
    await page.waitForURL(`${services.web}/contacts`);
  }

  test('alice signs in, sees, adds, signs out', async () => {
    const { context, page } = await openPage();
    await page.goto(services.web);
    await picture(page, 'home');
    await signIn(page, 'alice');
    expect(await page.textContent('main')).toContain('Ada Lovelace');
    await picture(page, 'contacts');

    await page.fill('[name="name"]', 'Hedy Lamarr');
    await page.fill('[name="email"]', 'hedy@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.waitForSelector('text=Hedy Lamarr');

    await page.fill('[name="name"]', 'No Address');
    await page.evaluate("document.querySelector('[name=email]').form.noValidate = true");
    await page.fill('[name="email"]', 'nonsense');
    await page.press('[name="email"]', 'Enter');
    await page.waitForSelector('text=must be an e-mail address');
    expect(await page.inputValue('[name="name"]')).toBe('No Address');
    await picture(page, 'contacts-wrong-input');

    await page.goto(`${services.web}/logout`);
    await picture(page, 'logout');
    await page.click('main form[action="/logout"] button');
    await page.waitForURL(new RegExp(`^${services.web}`));
    await picture(page, 'home-after-logout');
    await page.goto(`${services.web}/contacts`);
    await page.waitForSelector('input[name="password"]:visible');
    await context.close();
  });

  test('bob is told which scope he lacks, and keeps what he typed', async () => {
    const { context, page } = await openPage();
    await signIn(page, 'bob');
    await page.fill('[name="name"]', 'Kept Name');
    await page.fill('[name="email"]', 'kept@example.com');
    await page.press('[name="email"]', 'Enter');
    await page.waitForSelector('text=create:contacts');
    expect(await page.inputValue('[name="name"]')).toBe('Kept Name');
    await picture(page, 'contacts-refused');
    await context.close();
  });

  test("carol sees none of acme's contacts", async () => {
    const { context, page } = await openPage();
    await signIn(page, 'carol');
    expect(await page.textContent('main')).toContain('Alan Turing');
    expect(await page.textContent('main')).not.toContain('Ada Lovelace');
    await context.close();
  });

  test('wrong password, unasked callback, foreign callback: pages that say what to do', async () => {
    const { context, page } = await openPage();
    await page.goto(`${services.web}/login`);
    await page.fill('input[name="username"]:visible', 'alice@example.com');
    await page.fill('input[name="password"]:visible', 'wrong');
    await page.press('input[name="password"]:visible', 'Enter');
    await page.waitForSelector('[role="alert"]');
    await picture(page, 'login-wrong-password');

    const unasked = await page.goto(`${services.web}/callback?code=x&state=y`);
    expect(unasked?.status()).toBe(400);
    await picture(page, 'callback-unasked');

    const foreign = await page.goto(
      `${services.issuer}authorize?client_id=contacts-web&response_type=code&scope=openid&redirect_uri=https://evil.example/`,
    );
    expect(foreign?.status()).toBe(400);
    await picture(page, 'issuer-wrong-callback');

    const missing = await page.goto(`${services.web}/nowhere`);
    expect(missing?.status()).toBe(404);
    await picture(page, 'not-found');
    await context.close();
  });

  test('nothing was blocked by the content security policy, and no script failed', () => {
    expect(problems).toEqual([]);
  });
});
