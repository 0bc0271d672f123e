import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Page } from 'playwright-core';
import { describeInBrowser, openSite, type Site, signIn } from './site.ts';

const STEP_UP_ACR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';

/** Fills in and submits the page of the second step. */
async function typeCode(page: Page): Promise<void> {
  await page.waitForURL(/\/u\/mfa\//);
  await page.fill('[name="code"]', (await page.textContent('output#code')) ?? '');
  await page.press('[name="code"]', 'Enter');
}

describeInBrowser(
  'a route of the API that needs a stronger sign-in, with DPoP, in a browser',
  () => {
    let site: Site;

    beforeAll(async () => {
      const api = { STEP_UP_ACR, STEP_UP_MAX_AGE: '300', DPOP: 'required' };
      site = await openSite({ settings: { api, web: { DPOP: 'true' } } });
    });
    afterAll(() => site?.stop());

    async function openDeletion(page: Page, name: string): Promise<void> {
      await page.getByRole('link', { name: `Delete ${name}` }).click();
      await page.getByRole('button', { name: 'Delete' }).click();
    }

    test('a page leads to the second step, and opens after it', async () => {
      const page = await site.visit();
      await signIn(site, page, 'alice');
      await page.getByRole('link', { name: 'See who changed what' }).click();
      await typeCode(page);
      await page.getByRole('heading', { name: 'Who changed what' }).waitFor();
      expect(page.url()).toBe(`${site.web}/activity`);
    });

    test('a form shows a button for it, and the user comes back to the form', async () => {
      const page = await site.visit();
      await signIn(site, page, 'alice');
      await openDeletion(page, 'Ada Lovelace');
      await page.getByRole('heading', { name: 'Please sign in again' }).waitFor();
      await page.getByRole('button', { name: 'Sign in again' }).click();
      await typeCode(page);
      await page.getByRole('heading', { name: 'Delete Ada Lovelace?' }).waitFor();
      await page.getByRole('button', { name: 'Delete' }).click();
      await page.getByText('The contact was deleted.').waitFor();
    });

    test('an issuer that does not raise the sign-in is asked once, and the page says so', async () => {
      await site.each.api.stop();
      await site.each.api.start({ STEP_UP_ACR: 'urn:example:unknown' });
      const page = await site.visit();
      await signIn(site, page, 'alice');
      await page.getByRole('link', { name: 'See who changed what' }).click();
      await page.getByText('Signing in again may not help.').waitFor();
      expect(page.url()).toBe(`${site.web}/activity`);
      const asked = site.deliveries.filter(({ url }) => url.includes('acr_values=urn'));
      expect(asked).toHaveLength(1);
      await page.reload();
      await page.getByText('Signing in again may not help.').waitFor();
      expect(site.deliveries.filter(({ url }) => url.includes('acr_values=urn'))).toHaveLength(1);
    });

    test('no file was blocked, no script failed, and no page contained tokens', () => {
      expect(site.deliveries.length).toBeGreaterThan(10);
      expect(site.complaints()).toEqual([]);
    });
  },
);

describeInBrowser('an API that needs a stronger sign-in to add a contact, in a browser', () => {
  let site: Site;
  let api: Server;

  beforeAll(async () => {
    api = createServer((incoming, answer) => {
      const { acr } = decodeJwt(incoming.headers.authorization?.slice(7) ?? '');
      if (incoming.method === 'POST' && acr !== STEP_UP_ACR) {
        const challenge = `Bearer error="insufficient_user_authentication", acr_values="${STEP_UP_ACR}"`;
        answer.writeHead(401, { 'WWW-Authenticate': challenge }).end();
        return;
      }
      const { method, headers } = incoming;
      incoming.pipe(
        request(new URL(incoming.url ?? '', site.api), { method, headers }, (from) => {
          answer.writeHead(from.statusCode ?? 500, from.rawHeaders);
          from.pipe(answer);
        }),
      );
    }).listen(0, '127.0.0.1');
    await once(api, 'listening');
    const API_BASE_URL = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    site = await openSite({ settings: { web: { API_BASE_URL } } });
  });
  afterAll(async () => {
    api?.close();
    await site?.stop();
  });

  test('the form still has what was typed, after the second step', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await page.fill('[name="name"]', 'Hedy Lamarr');
    await page.fill('[name="email"]', 'hedy@example.com');
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('What you sent was not saved.').waitFor();
    await page.getByRole('button', { name: 'Sign in again' }).click();
    await typeCode(page);
    await page.getByText('What you typed before is still here.').waitFor();
    expect(page.url()).toBe(`${site.web}/contacts`);
    await page.getByRole('button', { name: 'Add contact' }).click();
    await page.getByText('Hedy Lamarr was added.').waitFor();
    expect(site.complaints()).toEqual([]);
  });
});
