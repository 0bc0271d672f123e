import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type LogLine, logWhile } from './log-lines.ts';
import { describeInBrowser, openSite, type Site, signIn } from './site.ts';

const TOKEN_LIFETIME = 3;

describeInBrowser('an access token that expires while a form is open in a browser', () => {
  let site: Site;

  beforeAll(async () => {
    site = await openSite({ tokenLifetime: TOKEN_LIFETIME });
  });
  afterAll(() => site?.stop());

  test('one refresh renews it, and the contact is saved with all input', async () => {
    const page = await site.visit();
    await signIn(site, page, 'alice');
    await page.fill('[name="name"]', 'Valerie Thomas');
    await page.fill('[name="email"]', 'valerie@example.com');
    await page.fill('[name="notes"]', 'first line\nsecond line');
    await page.waitForTimeout(TOKEN_LIFETIME * 1000);

    let web: LogLine[] = [];
    const api = await logWhile(site.each.api, site.api, async () => {
      web = await logWhile(site.each.web, site.web, async () => {
        await page.getByRole('button', { name: 'Add contact' }).click();
        await page.getByText('Valerie Thomas was added.').waitFor();
      });
    });
    const answered = web.findIndex(({ method }) => method === 'POST');
    expect(web[answered]).toMatchObject({ path: '/contacts', status: 303 });
    const refreshes = web.slice(0, answered).filter(({ msg }) => msg === 'token refreshed');
    expect(refreshes).toHaveLength(1);
    expect(api.map(({ method, status }) => [method, status])).toEqual([
      ['POST', 201],
      ['GET', 200],
    ]);
    await page.getByRole('link', { name: 'Edit Valerie Thomas' }).click();
    expect(await page.inputValue('[name="notes"]')).toBe('first line\nsecond line');
  });

  test('no file was blocked, no script failed, and only /session contained tokens', () => {
    expect(site.deliveries.length).toBeGreaterThan(5);
    expect(site.complaints()).toEqual([]);
  });
});
