import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { launchChromium, whyNoChromium } from '../../../../test/support/chromium.ts';
import { type RunningApp, startApp } from '../support/running-app.ts';

// Each of these tests continues on the page that the one before left.
(whyNoChromium ? describe.skip : describe)(`/docs in a browser${whyNoChromium}`, () => {
  let browser: Browser;
  let page: Page;
  const foreign: string[] = [];
  const problems: string[] = [];

  let running: RunningApp;

  beforeAll(async () => {
    running = await startApp();
    browser = await launchChromium();
    page = await browser.newPage({ locale: 'en-GB' });
    const here = `http://127.0.0.1:${running.port}/`;
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(here) && !url.startsWith('data:')) foreign.push(url);
    });
    // Only the console shows a blocked style or a failed file.
    page.on('console', (message) => {
      if (message.type() === 'error' && !/status of 40[13]/.test(message.text()))
        problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${here}docs`);
  });
  afterAll(async () => {
    await browser?.close();
    await running?.close();
  });

  /** Opens an operation, calls it, and waits until the page shows these texts of the answer. */
  async function execute(summary: string, ...shown: string[]): Promise<void> {
    await page.getByRole('link', { name: summary, exact: true }).click();
    await page.getByRole('heading', { name: summary, exact: true }).waitFor();
    await page.getByRole('button', { name: 'Execute' }).click();
    for (const text of shown) await page.locator('api-request').getByText(text).first().waitFor();
  }

  test('the page lists every operation', async () => {
    for (const { summary } of running.app.operations) {
      expect(await page.getByRole('link', { name: summary, exact: true }).count()).toBe(1);
    }
  });

  test('a call without a token is refused', async () => {
    await execute('Show the claims of your access token', 'Unauthorized (401)');
  });

  // Someone could otherwise sign a reader in as themselves, and get the contacts that the reader adds.
  test.each(['?', '#?route=auth&'])(
    'an address with a token after "%s" sets none',
    async (mark) => {
      const state = Buffer.from('{"apiKeyId":"accessToken"}').toString('base64url');
      const token = running.token('read:contacts');
      await page.goto('about:blank');
      await page.goto(
        `http://127.0.0.1:${running.port}/docs${mark}state=${state}&token_type=Bearer&access_token=${token}`,
      );
      await execute('Show the claims of your access token', 'Unauthorized (401)');
      expect(page.url()).not.toContain(token);
    },
  );

  test('a call with a pasted token is answered', async () => {
    await page.getByRole('link', { name: 'Authentication' }).click();
    await page.fill('input[name="api-key"]', running.token('read:contacts'));
    await page.press('input[name="api-key"]', 'Enter');
    await execute('List your organization’s contacts', 'OK (200)', '"next"');
  });

  test('a call without the scope is refused and names the scope', async () => {
    const detail = 'this needs the scope create:contacts';
    await execute('Add a contact', 'Forbidden (403)', detail);
  });

  test('no request went to another host, and none was blocked or failed', () => {
    expect(foreign).toEqual([]);
    expect(problems).toEqual([]);
  });
});
