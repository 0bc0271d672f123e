import { afterEach, beforeEach, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import { API, standInForIssuer, startApp, type TestApp } from './support/stand-ins.ts';

let app: TestApp;

beforeEach(async () => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  standInForIssuer();
  // Each page, of the API's as well as of ours, must do while the API is of no use.
  nock(API).persist().get(/.*/).reply(500, {});
  app = await startApp();
  await app.signIn();
});
afterEach(async () => {
  await app.close();
  nock.cleanAll();
});

test.each(['/', '/contacts', '/contacts/1/edit', '/session', '/logout', '/nowhere'])(
  'V7.4.4: %s has a way out',
  async (path) => {
    proves('ASVS 7.4.4');
    const response = await app.get(path);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await response.text()).toMatch(/<form method="post" action="\/logout">\s*<button/);
  },
);
