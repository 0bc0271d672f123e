import { afterEach, beforeEach, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { API, standInForIssuer, startApp, type TestApp } from './support/stand-ins.ts';

let app: TestApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  standInForIssuer();
  // The API fails, so error pages are tested too.
  nock(API).persist().get(/.*/).reply(500, {});
  app = await startApp();
  await app.signIn();
});
afterEach(async () => {
  await app.close();
  nock.cleanAll();
});

test.each(['/', '/contacts', '/contacts/1/edit', '/session', '/logout', '/nowhere'])(
  'the page %s has a button to sign out (OWASP ASVS 5.0 7.4.4)',
  async (path) => {
    proves('ASVS 7.4.4');
    const response = await app.get(path);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await response.text()).toMatch(/<form method="post" action="\/logout">\s*<button/);
  },
);
