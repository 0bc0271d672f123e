import { expect, test } from '@jest/globals';
import Koa from 'koa';
import { refuseCrossSite } from '../../src/browser/cross-site.ts';
import { serve } from '../support/browser.ts';

const BASE_URL = 'https://app.example';

test.each([
  ['a form of ours', { 'sec-fetch-site': 'same-origin' }, 200],
  ['typed by the user', { 'sec-fetch-site': 'none' }, 200],
  ['an older browser, ours', { 'sec-fetch-site': '', origin: BASE_URL }, 200],
  ['no browser', { 'sec-fetch-site': '' }, 200],
  ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
  [
    'another site that claims our origin',
    { 'sec-fetch-site': 'cross-site', origin: BASE_URL },
    403,
  ],
  ['a neighbouring subdomain', { 'sec-fetch-site': 'same-site' }, 403],
  ['an older browser, another site', { 'sec-fetch-site': '', origin: 'https://evil.example' }, 403],
  ['another port', { 'sec-fetch-site': '', origin: `${BASE_URL}:444` }, 403],
  ['http instead of https', { 'sec-fetch-site': '', origin: 'http://app.example' }, 403],
  ['a sandboxed frame', { 'sec-fetch-site': '', origin: 'null' }, 403],
])('F4: %s', async (_name, headers, status) => {
  const app = new Koa();
  app.silent = true;
  app.use(refuseCrossSite({ baseURL: BASE_URL }));
  app.use(async (ctx) => {
    ctx.body = 'done';
  });
  const served = await serve(app, BASE_URL);
  const response = await served.browser().post('/', headers as Record<string, string>);
  expect(response.status).toBe(status);
  expect((await served.browser().get('/', headers as Record<string, string>)).status).toBe(200);
  await served.close();
});
