import { describe } from '@jest/globals';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium, whyNoChromium } from '../support/chromium.ts';
import { type Services, type ServicesOptions, startServices } from '../support/services.ts';
import { type Delivery, recordDeliveries } from './deliveries.ts';

/** Running services and a browser. */
export interface Site extends Services {
  readonly browser: Browser;
  /** Opens a tab with cookies of its own. */
  visit(options?: BrowserContextOptions): Promise<Page>;
  /** All answers to browsers so far. */
  readonly deliveries: readonly Delivery[];
  /** Returns errors of scripts, blocked files, and addresses of tokens outside `/session`. */
  complaints(): string[];
}

/** Signed JWT: header and claims are JSON objects in base64url. */
const TOKEN = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/;

export async function openSite(options: ServicesOptions = {}): Promise<Site> {
  const browser = await launchChromium();
  const services = await startServices(options).catch(async (error) => {
    await browser.close();
    throw error;
  });
  const problems: string[] = [];
  const deliveries: Delivery[] = [];

  return {
    ...services,
    browser,
    deliveries,
    async visit(options) {
      const context = await browser.newContext({ locale: 'en-GB', ...options });
      // Only the console reports a blocked style or a failed file.
      context.on('console', (message) => {
        if (message.type() === 'error' && !/status of (4\d\d|503)/.test(message.text())) {
          problems.push(message.text());
        }
      });
      context.on('weberror', (error) => problems.push(error.error().message));
      const page = await context.newPage();
      await recordDeliveries(page, deliveries);
      return page;
    },
    complaints: () => [...problems, ...deliveries.filter(hasStrayToken).map(({ url }) => url)],
    async stop() {
      await browser.close();
      await services.stop();
    },
  };
}

export function hasToken({ headers, body }: Delivery): boolean {
  return TOKEN.test(headers) || TOKEN.test(body);
}

/** Only the page that shows tokens to developers may hold any. */
function hasStrayToken(delivery: Delivery): boolean {
  return hasToken(delivery) && !/^\/session(\/|$)/.test(new URL(delivery.url).pathname);
}

/** Calls `describe`, or skips it and says why when there is no browser. */
export function describeInBrowser(name: string, tests: () => void): void {
  (whyNoChromium ? describe.skip : describe)(`${name}${whyNoChromium}`, tests);
}

/** Opens a page of the web app that needs a sign-in, and signs in. */
export async function signIn(
  site: Pick<Site, 'web'>,
  page: Page,
  user: string,
  path = '/contacts',
): Promise<void> {
  await page.goto(site.web + path);
  await typePassword(page, user);
  await consent(site, page);
}

/** Fills in and submits the sign-in page of the authorization server. */
export async function typePassword(page: Page, user: string, password = `${user}-demo`) {
  await page.fill('input[name="username"]:visible', `${user}@example.com`);
  await page.fill('input[name="password"]:visible', password);
  await page.press('input[name="password"]:visible', 'Enter');
}

/** Accepts the consent page, if there is one. */
export async function consent({ web }: Pick<Site, 'web'>, page: Page): Promise<void> {
  await page.waitForURL((url) => url.origin === web || url.pathname.startsWith('/u/consent/'));
  if (!page.url().startsWith(web)) {
    await page.click('[name="action"][value="accept"]');
    await page.waitForURL((url) => url.origin === web);
  }
}
