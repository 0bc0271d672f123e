import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { parse } from 'node-html-parser';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { authorizationRequest, type Browser, CALLBACK, openBrowser } from '../support/sign-in.ts';

const ID_TOKEN = {
  response_type: 'id_token',
  response_mode: 'form_post',
  audience: undefined,
  scope: 'openid profile email offline_access',
  code_challenge: undefined,
  code_challenge_method: undefined,
};

describe('response_type=id_token, the default of express-openid-connect', () => {
  let server: AuthorizationServer;
  const { logger, lines } = keptLog();
  beforeAll(async () => {
    const options = { logger, control: 0 };
    server = await startDemo((tenant) => {
      tenant.clients[0]!.grant_types = ['authorization_code', 'implicit', 'refresh_token'];
      tenant.clients[0]!.web_origins = ['http://localhost:3000'];
    }, options);
  });
  afterAll(stopServers);

  const ask = async (
    change: Record<string, string | undefined> = {},
    browser: Browser = openBrowser(),
  ) => {
    let page = await browser.get(authorizationRequest(server, { ...ID_TOKEN, ...change }).url);
    if (page.url.includes('/u/login/')) {
      page = await browser.submit(page, { username: 'alice@example.com', password: 'alice-demo' });
    }
    if (page.url.includes('/u/consent/')) {
      expect(page.body).not.toContain('offline_access');
      page = await browser.submit(page, { action: 'accept' });
    }
    return page;
  };

  test('is posted to the callback, and in no URL and no log', async () => {
    const page = await ask({ state: 'state-of-the-app' });
    expect(page.statusCode).toBe(200);
    const form = parse(page.body).querySelector('form');
    const fields = Object.fromEntries(
      (form?.querySelectorAll('input') ?? []).map((one) => [
        one.getAttribute('name'),
        one.getAttribute('value') ?? '',
      ]),
    );
    expect(form?.getAttribute('action')).toBe(CALLBACK);
    expect(Object.keys(fields)).toEqual(['id_token', 'state']);
    const keys = createRemoteJWKSet(new URL('.well-known/jwks.json', server.issuer));
    const { payload } = await jwtVerify(fields.id_token ?? '', keys, {
      issuer: server.issuer,
      audience: 'contacts-web',
    });
    expect(payload).toMatchObject({
      sub: 'auth0|alice',
      nonce: 'nonce-1',
      sid: expect.any(String),
      email: 'alice@example.com',
      'https://contacts.example.com/roles': ['admin'],
    });
    const [, , signature = ''] = (fields.id_token ?? '').split('.');
    expect(JSON.stringify([lines, server.log()])).not.toContain(signature);
    expect(server.log()[0]?.steps.at(-1)).toMatchObject({
      step: 'tokens',
      kinds: ['id_token'],
      user: 'auth0|alice',
      type: 's',
    });
  });

  test('needs no page within a session', async () => {
    const browser = openBrowser();
    await ask({}, browser);
    const page = await ask({ prompt: 'none', response_mode: 'web_message' }, browser);
    const response = parse(page.body).querySelector('script')?.getAttribute('data-response');
    const { id_token = '' } = JSON.parse(response ?? '{}') as { id_token?: string };
    expect(decodeJwt(id_token).sub).toBe('auth0|alice');
  });

  test.each([
    ['in a fragment, its default', { response_mode: undefined }, 'invalid_request'],
    ['in a query', { response_mode: 'query' }, 'invalid_request'],
    ['without a nonce', { nonce: undefined }, 'invalid_request'],
    ['without openid', { scope: 'email' }, 'invalid_request'],
    ['with an access token', { response_type: 'id_token token' }, 'unsupported_response_type'],
    ['with a code', { response_type: 'code id_token' }, 'unsupported_response_type'],
  ])('%s is refused', async (_name, change, error) => {
    proves('RFC 9700 §2.1.2', 'ASVS 10.6.1');
    const page = await ask(change);
    const location = page.headers.location ?? '';
    const answer = `${decodeURIComponent(location)} ${page.body}`;
    expect(answer).toContain(error);
    expect(answer).not.toMatch(/eyJ/);
  });
});
