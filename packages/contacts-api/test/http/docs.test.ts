import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { launchChromium, whyNoChromium } from '../../../../test/support/chromium.ts';
import { type RunningApp, startApp } from '../support/running-app.ts';

let running: RunningApp;

beforeAll(async () => {
  running = await startApp();
});
afterAll(() => running.close());

const fetchText = (path: string) => running.api(path, { responseType: 'text' });

test('GET /openapi.json answers the document', async () => {
  const { statusCode, headers, body } = await fetchText('openapi.json');
  expect(statusCode).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'",
  });
  expect(JSON.parse(body)).toMatchObject({ openapi: '3.1.0', info: { title: 'Contacts' } });
});

test('GET /docs answers a page that loads its viewer and nothing from another host', async () => {
  const { statusCode, headers, body } = await fetchText('docs');
  expect(statusCode).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  });
  expect(String(headers['content-security-policy']).split(';').sort()).toEqual([
    "base-uri 'none'",
    "connect-src 'self'",
    "default-src 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    'img-src data:',
    "script-src 'self'",
    "style-src 'unsafe-inline'",
  ]);
  // Relative, because a proxy may serve the API below a path.
  expect([...body.matchAll(/ (?:src|spec-url|server-url)="([^"]*)"/g)].map(([, to]) => to)).toEqual(
    ['docs/viewer.js', 'openapi.json', '.'],
  );
});

test('GET /docs/viewer.js answers a script that may be cached', async () => {
  const { statusCode, headers } = await fetchText('docs/viewer.js');
  expect(statusCode).toBe(200);
  expect(headers['content-type']).toMatch(/javascript/);
  expect(headers['cache-control']).toBe('max-age=3600');
});

// Each of these tests continues on the page that the one before left.
(whyNoChromium ? describe.skip : describe)(`in a browser${whyNoChromium}`, () => {
  let browser: Browser;
  let page: Page;
  const foreign: string[] = [];
  const problems: string[] = [];

  beforeAll(async () => {
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
  afterAll(() => browser?.close());

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
