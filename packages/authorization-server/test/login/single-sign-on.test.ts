import { createContext, runInContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { parse } from 'node-html-parser';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { takeClock } from '../support/clock.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  type Browser,
  CALLBACK,
  callbackOf,
  openBrowser,
  type Page,
  requestTokens,
  signIn,
} from '../support/sign-in.ts';

describe('single sign-on', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo((tenant) => {
      const [first] = tenant.clients;
      tenant.clients.push({ ...first!, client_id: 'second-web', name: 'Second application' });
    });
  });
  afterAll(stopServers);

  const signedIn = async (user = 'alice'): Promise<Browser> => {
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server), user);
    return browser;
  };

  const ask = (browser: Browser, change: Record<string, string>): Promise<Page> =>
    browser.get(authorizationRequest(server, change).url);

  const password = (browser: Browser, page: Page): Promise<Page> =>
    browser.submit(page, { username: 'alice@example.com', password: 'alice-demo' });

  /** Returns the claims of the session in the ID token. */
  const sessionOf = async (callback: URLSearchParams, verifier: string) => {
    const { body } = await requestTokens(server, {
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: verifier,
    });
    const { sub, auth_time } = decodeJwt(body.id_token ?? '');
    return { sub, auth_time };
  };

  test('a second application needs no second login, only consent, and that once', async () => {
    const browser = await signedIn();
    const first = await ask(browser, { client_id: 'second-web' });
    expect(first.url).toContain('/u/consent/');
    await browser.submit(first, { action: 'accept' });
    const second = await ask(browser, { client_id: 'second-web', state: 'another state' });
    expect(Object.fromEntries(callbackOf(second))).toEqual({
      code: expect.any(String),
      state: 'another state',
    });
  });

  test('another server on the same host, at another port, ends no session', async () => {
    const other = await startDemo();
    const browser = await signedIn();
    await signIn(browser, authorizationRequest(other), 'bob');
    for (const each of [server, other]) {
      const page = await browser.get(authorizationRequest(each, { prompt: 'none' }).url);
      expect(callbackOf(page).get('error')).toBeNull();
    }
  });

  test('another browser needs a login', async () => {
    await signedIn();
    expect((await ask(openBrowser(), {})).url).toContain('/u/login/');
  });

  describe('a login within a session is forced by', () => {
    test.each<Record<string, string>>([{ prompt: 'login' }, { max_age: '0' }])(
      '%j, and then goes on without consent',
      async (change) => {
        const browser = await signedIn();
        const request = authorizationRequest(server, change);
        const page = await browser.get(request.url);
        expect(page.url).toContain('/u/login/');
        const callback = callbackOf(await password(browser, page));
        expect(callback.get('state')).toBe('state-1');
        expect(await sessionOf(callback, request.verifier)).toEqual({
          sub: 'auth0|alice',
          auth_time: expect.any(Number),
        });
      },
    );

    test('prompt=select_account', async () => {
      const browser = await signedIn();
      const request = authorizationRequest(server, { prompt: 'select_account' });
      const page = await browser.get(request.url);
      expect(page.url).toContain('/u/login/');
      const callback = callbackOf(await password(browser, page));
      expect((await sessionOf(callback, request.verifier)).sub).toBe('auth0|alice');
      const silent = await ask(browser, { prompt: 'none select_account' });
      expect(callbackOf(silent).get('error')).toBe('invalid_request');
    });

    test('a max_age that is over, and not by one that is not', async () => {
      const clock = takeClock();
      const browser = await signedIn();
      expect(callbackOf(await ask(browser, { max_age: '3600' })).get('code')).toBeTruthy();
      clock.pass(2100);
      expect((await ask(browser, { max_age: '1' })).url).toContain('/u/login/');
      const silent = await ask(browser, { max_age: '1', prompt: 'none' });
      expect(callbackOf(silent).get('error')).toBe('login_required');
    });
  });

  describe('consent', () => {
    test('is remembered, and forced by prompt=consent', async () => {
      const browser = await signedIn('bob');
      expect(callbackOf(await ask(browser, {})).get('code')).toBeTruthy();
      const page = await ask(browser, { prompt: 'consent' });
      expect(page.url).toContain('/u/consent/');
      const callback = callbackOf(await browser.submit(page, { action: 'accept' }));
      expect(callback.get('code')).toBeTruthy();
    });

    test('once given, stays after a refusal', async () => {
      const browser = await signedIn('carol');
      const page = await ask(browser, { prompt: 'consent' });
      const refused = callbackOf(await browser.submit(page, { action: 'decline' }));
      expect(refused.get('error')).toBe('access_denied');
      expect(callbackOf(await ask(browser, {})).get('code')).toBeTruthy();
    });
  });

  test.each(['', 'a b+c&d=e', 'ünï%20côde', 'x'.repeat(1000)])(
    'state %p is echoed as it was sent',
    async (state) => {
      const success = callbackOf(await ask(await signedIn(), { state }));
      const failure = callbackOf(await ask(openBrowser(), { state, prompt: 'none' }));
      expect([success, failure].map((callback) => callback.get('state') ?? '')).toEqual([
        state,
        state,
      ]);
    },
  );
});

describe('web messages', () => {
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
});
