import { createContext, runInContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { parse } from 'node-html-parser';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  type Browser,
  CALLBACK,
  openBrowser,
  type Page,
  signIn,
} from '../support/sign-in.ts';

const ORIGIN = 'http://localhost:3000';
const SPA = { client_id: 'contacts-spa', response_mode: 'web_message' };

let server: AuthorizationServer;
const spa = (from: AuthorizationServer, change = {}) =>
  authorizationRequest(from, { ...SPA, prompt: 'none', ...change });
const start = (flag?: boolean) =>
  startDemo((tenant) => {
    if (flag) tenant.tenant.flags.authorization_response_iss_parameter_supported = true;
    const { client_secret: _, ...first } = tenant.clients[0]!;
    tenant.clients.push({
      ...first,
      client_id: 'contacts-spa',
      app_type: 'spa',
      token_endpoint_auth_method: 'none',
      callbacks: [CALLBACK, 'http://localhost:4000/callback'],
      // A slash at its end has no effect.
      web_origins: [`${ORIGIN}/`],
    });
  });
beforeAll(async () => {
  server = await start();
});
afterAll(stopServers);

/** Runs the page's own script. @returns what it posts, and to whom */
async function messageOf(page: Page): Promise<[Record<string, unknown>, string]> {
  expect(page.headers['content-type']).toContain('text/html');
  const script = parse(page.body).querySelector('script');
  const { body: code } = await got(new URL(script?.getAttribute('src') ?? '', page.url));
  const dataset = {
    response: script?.getAttribute('data-response'),
    origin: script?.getAttribute('data-origin'),
  };
  const posted: [{ type: string; response: Record<string, unknown> }, string][] = [];
  const parent = { postMessage: (message: never, to: string) => posted.push([message, to]) };
  const window = { opener: null, parent };
  runInContext(code, createContext({ window, document: { currentScript: { dataset } } }));
  expect(posted).toHaveLength(1);
  const [message, to] = posted[0]!;
  expect(message.type).toBe('authorization_response');
  return [{ ...message.response }, to];
}

const signedIn = async (from: AuthorizationServer): Promise<Browser> => {
  const browser = openBrowser();
  await signIn(browser, authorizationRequest(from, { client_id: 'contacts-spa' }));
  return browser;
};

describe('prompt=none in a frame', () => {
  test('a valid code goes to the origin of the application', async () => {
    const request = spa(server);
    const page = await (await signedIn(server)).get(request.url);
    expect(page.statusCode).toBe(200);
    const [response, to] = await messageOf(page);
    expect(to).toBe(ORIGIN);
    expect(response).toEqual({ code: expect.any(String), state: 'state-1' });
    const { statusCode } = await got.post(new URL('oauth/token', server.issuer), {
      form: {
        grant_type: 'authorization_code',
        client_id: 'contacts-spa',
        code: response.code,
        redirect_uri: CALLBACK,
        code_verifier: request.verifier,
      },
    });
    expect(statusCode).toBe(200);
  });

  test('without a session the error goes there, without iss', async () => {
    const [response, to] = await messageOf(await openBrowser().get(spa(server).url));
    expect(to).toBe(ORIGIN);
    expect(response).toEqual({
      error: 'login_required',
      error_description: 'Login required',
      state: 'state-1',
    });
  });

  test("iss is sent when the tenant's flag is set", async () => {
    proves('RFC 9207 §2');
    const flagged = await start(true);
    const [failure] = await messageOf(await openBrowser().get(spa(flagged).url));
    const [success] = await messageOf(await (await signedIn(flagged)).get(spa(flagged).url));
    expect([failure.iss, success.iss]).toEqual([flagged.issuer, flagged.issuer]);
  });

  test('only that origin may frame the page, and only our script runs', async () => {
    proves('RFC 9700 §4.16');
    const { headers } = await openBrowser().get(spa(server).url);
    expect(headers).not.toHaveProperty('x-frame-options');
    const policy = headers['content-security-policy'] ?? '';
    expect(policy).toContain(`frame-ancestors ${ORIGIN}`);
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe');
  });

  test.each(['</script><script>alert(1)</script>', `"'><img src=x>`, '\u2028&quot;\\'])(
    'state %j is sent unchanged',
    async (state) => {
      const page = await openBrowser().get(spa(server, { state }).url);
      expect(parse(page.body).querySelectorAll('script')).toHaveLength(1);
      expect((await messageOf(page))[0].state).toBe(state);
    },
  );
});

describe('an origin that is not registered', () => {
  test.each([
    ['of another callback', { redirect_uri: 'http://localhost:4000/callback' }],
    ['of an application without web origins', { client_id: 'contacts-web' }],
  ])('%s gets a page and no message', async (_name, change) => {
    proves('RFC 9700 §4.17');
    const page = await (await signedIn(server)).get(spa(server, change).url);
    expect(page.statusCode).toBe(400);
    expect(page.headers['x-frame-options']).toBe('DENY');
    const content = parse(page.body);
    expect(content.querySelector('script')).toBeNull();
    const callback = 'redirect_uri' in change ? change.redirect_uri : CALLBACK;
    expect(content.querySelector('.error-text')?.text).toContain(
      `The specified redirect_uri '${callback}' does not have a registered origin.`,
    );
  });

  test('of a foreign callback is refused by the callback', async () => {
    const { url } = spa(server, { redirect_uri: 'http://evil.example/' });
    const page = await openBrowser().get(url);
    expect(page.statusCode).toBe(400);
    expect(parse(page.body).querySelector('h1')?.text).toBe('Callback URL mismatch');
  });
});

test('the metadata contains the response mode', async () => {
  for (const name of ['openid-configuration', 'oauth-authorization-server']) {
    const metadata = await got(`${server.issuer}.well-known/${name}`).json<
      Record<string, string[]>
    >();
    expect(metadata.response_modes_supported?.filter((mode) => mode === 'web_message')).toEqual([
      'web_message',
    ]);
  }
});
