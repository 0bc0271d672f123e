import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { type LocalIssuer, startLocalIssuer } from '@koa-oauth/authorization-server/testing';
import type { Browser, Page } from 'playwright-core';
import { launchChromium } from '../support/chromium.ts';
import { describeInBrowser, typePassword } from './site.ts';

describeInBrowser('a form that another site posts to the issuer', () => {
  let issuer: LocalIssuer;
  let browser: Browser;
  let page: Page;
  let form = '';
  const posted: string[] = [];
  // Another site than the issuer's, which is localhost.
  const app = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    if (request.method === 'GET') response.end(request.url === '/' ? form : 'back');
    else request.on('data', (chunk) => posted.push(String(chunk))).on('end', () => response.end());
  });
  const site = () => `http://127.0.0.1:${(app.address() as AddressInfo).port}`;

  beforeAll(async () => {
    await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening));
    const tenant = loadTenant(demoTenantFile);
    const [web] = tenant.clients;
    web!.callbacks = [`${site()}/callback`];
    web!.allowed_logout_urls = [`${site()}/bye`];
    web!.grant_types.push('implicit');
    issuer = await startLocalIssuer({ tenant });
    browser = await launchChromium();
    page = await browser.newPage();
  });
  afterAll(async () => {
    await browser?.close();
    await issuer?.close();
    app.close();
  });

  const post = async (path: string, fields: Record<string, string>) => {
    const inputs = Object.entries(fields).map(
      ([name, value]) => `<input name="${name}" value="${value}">`,
    );
    form = `<form method="post" action="${issuer.issuer}${path}">${inputs.join('')}<button>Go</button></form>`;
    await page.goto(`${site()}/`);
    await page.click('button');
  };
  const request = (more: Record<string, string>) => ({
    response_type: 'code',
    client_id: 'contacts-web',
    redirect_uri: `${site()}/callback`,
    scope: 'openid',
    ...more,
  });

  test('finds the session of the user', async () => {
    await post('authorize', request({ state: 'first' }));
    await typePassword(page, 'alice');
    await page.click('[name="action"][value="accept"]');
    await page.waitForURL(/callback.*state=first/);
    await post('authorize', request({ prompt: 'none', state: 'second' }));
    await page.waitForURL(/callback.*state=second/);
    expect(new URL(page.url()).searchParams.get('error')).toBeNull();
  });

  test('gets an ID token by a form, which ends the session in a second one', async () => {
    const more = { response_type: 'id_token', response_mode: 'form_post', nonce: 'n' };
    await post('authorize', request({ ...more, prompt: 'none' }));
    await page.waitForURL(/callback$/);
    const token = new URLSearchParams(posted.join('')).get('id_token') ?? '';
    expect(token.split('.')).toHaveLength(3);
    await post('oidc/logout', { id_token_hint: token, post_logout_redirect_uri: `${site()}/bye` });
    await page.waitForURL(/bye$/);
    await post('authorize', request({ prompt: 'none' }));
    await page.waitForURL(/callback.*error=login_required/);
  });
});
