import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import { got } from 'got';
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthorizationServer } from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import {
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

describe('logout', () => {
  let server: AuthorizationServer;
  beforeAll(async () => {
    server = await startDemo();
  });
  afterAll(stopServers);

  const silently = async (browser: ReturnType<typeof openBrowser>) => {
    const { url } = authorizationRequest(server, { prompt: 'none' });
    return callbackOf(await browser.get(url)).get('error');
  };

  const to = (path: string, params: Record<string, string>) =>
    `${server.issuer}${path}?${new URLSearchParams(params)}`;

  test.each([
    ['/v2/logout', 'v2/logout'],
    ['/oidc/logout', 'oidc/logout'],
  ])('a code that was given before %s is refused after it', async (_name, path) => {
    const browser = openBrowser();
    const request = authorizationRequest(server);
    const codeOf = async (url: string) => callbackOf(await browser.get(url)).get('code') ?? '';
    const form = (code: string, verifier: string) => ({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: CALLBACK,
    });
    const first = (await signIn(browser, request)).get('code') ?? '';
    const { status, body } = await requestTokens(server, form(first, request.verifier));
    expect(status).toBe(200);
    const late = authorizationRequest(server, { prompt: 'none' });
    const code = await codeOf(late.url);
    await browser.get(to(path, { id_token_hint: body.id_token ?? '' }));
    expect(await silently(browser)).toBe('login_required');
    const refused = await requestTokens(server, form(code, late.verifier));
    expect([refused.status, refused.body.error]).toEqual([403, 'invalid_grant']);
  });

  test('a request that runs while its user signs out brings back no session', async () => {
    const held: ServerResponse[] = [];
    const gate = createServer((_request, response) => void held.push(response));
    gate.listen(0, '127.0.0.1');
    await once(gate, 'listening');
    const { port } = gate.address() as AddressInfo;
    const wait = `if (event.transaction.prompt?.includes('none')) await fetch('http://127.0.0.1:${port}');`;
    const slow = await startDemo((tenant) => {
      Object.assign(tenant, { postLogin: [actionOf(wait), ...tenant.postLogin] });
    });
    const { browser } = await tokensFor(slow);
    const late = authorizationRequest(slow, { prompt: 'none' });
    const running = browser.get(late.url);
    await once(gate, 'request');
    await browser.get(`${slow.issuer}v2/logout?client_id=contacts-web`);
    held[0]?.end();
    const code = callbackOf(await running).get('code') ?? '';
    const refused = await requestTokens(slow, {
      grant_type: 'authorization_code',
      code,
      code_verifier: late.verifier,
      redirect_uri: CALLBACK,
    });
    expect(refused.body.error).toBe('invalid_grant');
    const { url } = authorizationRequest(slow, { prompt: 'none' });
    expect(callbackOf(await browser.get(url)).get('error')).toBe('login_required');
    await once(gate.close(), 'close');
  });

  describe('/v2/logout', () => {
    test('ends the session and redirects to returnTo; the refresh token stays valid', async () => {
      const { browser, tokens } = await tokensFor(server);
      expect(await silently(browser)).toBeNull();
      const params = { client_id: 'contacts-web', returnTo: 'http://localhost:3000' };
      const page = await browser.get(to('v2/logout', params));
      expect(page.statusCode).toBe(302);
      expect(page.headers.location).toBe('http://localhost:3000/');
      expect(await silently(browser)).toBe('login_required');
      const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
      expect((await requestTokens(server, form)).status).toBe(200);
    });

    test('redirects to the first allowed URL without returnTo, and works without a session', async () => {
      const page = await openBrowser().get(to('v2/logout', { client_id: 'contacts-web' }));
      expect(page.headers.location).toBe('http://localhost:3000/');
    });

    test('shows a page when no URL is allowed', async () => {
      const page = await openBrowser().get(to('v2/logout', { client_id: 'contacts-cli' }));
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('You are signed out');
    });

    test.each([
      ['a foreign URL', { client_id: 'contacts-web', returnTo: 'http://evil.example/<b>' }],
      [
        'an allowed URL with more',
        { client_id: 'contacts-web', returnTo: 'http://localhost:3000/' },
      ],
      ['an unknown client', { client_id: 'x', returnTo: 'http://localhost:3000' }],
      ['a URL of another client', { client_id: 'contacts-cli', returnTo: 'http://localhost:3000' }],
      ['a foreign URL without a client', { returnTo: 'http://evil.example/' }],
    ])('%s is a page with 400, and the session stays', async (_name, params) => {
      proves('RFC 9700 §4.11.2');
      const { browser } = await tokensFor(server);
      const page = await browser.get(to('v2/logout', params));
      expect(page.statusCode).toBe(400);
      expect(page.headers.location).toBeUndefined();
      expect(page.body).toContain('Logout URL mismatch');
      expect(page.body).not.toContain('<b>');
      expect(await silently(browser)).toBeNull();
    });
  });

  describe('/oidc/logout, OpenID Connect RP-Initiated Logout', () => {
    test('with the ID token it redirects at once to the allowed URL, with the state', async () => {
      const { browser, tokens } = await tokensFor(server);
      const page = await browser.get(
        to('oidc/logout', {
          id_token_hint: tokens.id_token ?? '',
          post_logout_redirect_uri: 'http://localhost:3000',
          state: 'bye',
        }),
      );
      expect(page.headers.location).toBe('http://localhost:3000/?state=bye');
      expect(await silently(browser)).toBe('login_required');
    });

    test('with the session’s sid as logout_hint it redirects at once', async () => {
      const { browser, tokens } = await tokensFor(server);
      const page = await browser.get(
        to('oidc/logout', {
          client_id: 'contacts-web',
          logout_hint: String(decodeJwt(tokens.id_token ?? '').sid),
          post_logout_redirect_uri: 'http://localhost:3000',
        }),
      );
      expect(page.headers.location).toBe('http://localhost:3000/');
      expect(await silently(browser)).toBe('login_required');
    });

    test.each<Record<string, string>>([{}, { logout_hint: 'another' }, { logout_hint: '' }])(
      'with %j it asks first',
      async (hint) => {
        proves('ASVS 10.6.2');
        const { browser } = await tokensFor(server);
        const page = await browser.get(to('oidc/logout', { client_id: 'contacts-web', ...hint }));
        expect(page.body).toContain('Sign out?');
        expect(await silently(browser)).toBeNull();
      },
    );

    test('without a hint it asks first', async () => {
      proves('ASVS 10.6.2');
      const { browser } = await tokensFor(server);
      const page = await browser.get(to('oidc/logout', {}));
      expect(page.body).toContain('Sign out?');
      expect(await silently(browser)).toBeNull();
      const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
      const confirm = { ...page, url: `${server.issuer}oidc/logout/confirm` } as typeof page;
      const done = await browser.submit(confirm, { xsrf, logout: 'yes' });
      expect(done.body).toContain('You are signed out');
      expect(await silently(browser)).toBe('login_required');
    });

    test('the session of a browser that is not signed in ends after an hour', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'logout-'));
      const state = `file:${join(folder, 'state.db')}`;
      const kept = await startDemo(undefined, { state });
      const answer = await fetch(`${kept.issuer}oidc/logout`);
      const [cookie = ''] = answer.headers.getSetCookie();
      const id = /^issuer_session_\d+=([^;]+)/.exec(cookie)?.[1] ?? '';
      const isThere = (seconds: number): boolean => {
        const store = openStateStore(state, () => Math.floor(Date.now() / 1000) + seconds);
        const found = store.read('Session', id);
        store.close();
        return found !== undefined;
      };
      expect([isThere(3500), isThere(3700)]).toEqual([true, false]);
      await kept.close();
      rmSync(folder, { recursive: true });
    });

    test('a URL that is not allowed is a page with 400', async () => {
      const { browser, tokens } = await tokensFor(server);
      const page = await browser.get(
        to('oidc/logout', {
          id_token_hint: tokens.id_token ?? '',
          post_logout_redirect_uri: 'http://evil.example/',
        }),
      );
      expect(page.statusCode).toBe(400);
      expect(page.headers.location).toBeUndefined();
    });
  });
});

describe('back-channel logout', () => {
  // A logout token is sent again after a while. Only `setTimeout` is faked.
  const others = ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask'] as const;
  const timers = ['setImmediate', 'clearImmediate', 'setInterval', 'clearInterval'] as const;
  beforeEach(() => void jest.useFakeTimers({ doNotFake: [...others, ...timers] }));
  afterEach(() => void jest.useRealTimers());
  afterAll(stopServers);

  interface Receiver {
    readonly url: string;
    readonly received: { token: string; type: string | undefined; path: string | undefined }[];
  }

  const receivers: Server[] = [];
  afterEach(() => {
    for (const receiver of receivers.splice(0)) {
      receiver.closeAllConnections();
      receiver.close();
    }
  });

  /** An application's end of it: keeps what is posted. */
  async function startReceiver(
    answer = (response: ServerResponse): void => void response.end(),
  ): Promise<Receiver> {
    const received: Receiver['received'] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        const token = new URLSearchParams(text).get('logout_token') ?? '';
        received.push({ token, type: request.headers['content-type'], path: request.url });
        answer(response);
      });
    }).listen(0, '127.0.0.1');
    receivers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}/backchannel`, received };
  }

  async function startTelling(url: string, options: Parameters<typeof startDemo>[1] = {}) {
    return startDemo((tenant) => {
      tenant.clients[0]!.oidc_logout = { backchannel_logout_urls: [url] };
    }, options);
  }

  /** Judges a logout token as OpenID Connect Back-Channel Logout 1.0 §2.6 has it. */
  async function verified(server: AuthorizationServer, token = ''): Promise<JWTPayload> {
    const keys = createRemoteJWKSet(new URL(`${server.issuer}.well-known/jwks.json`));
    const { payload } = await jwtVerify(token, keys, {
      issuer: server.issuer,
      audience: 'contacts-web',
      typ: 'logout+jwt',
      algorithms: ['RS256'],
      requiredClaims: ['iat', 'exp', 'jti'],
      maxTokenAge: 120,
    });
    expect(payload.events).toEqual({ 'http://schemas.openid.net/event/backchannel-logout': {} });
    expect(payload).not.toHaveProperty('nonce');
    return payload;
  }

  type Page = Awaited<ReturnType<ReturnType<typeof openBrowser>['get']>>;
  type LogOut = (
    server: AuthorizationServer,
    browser: ReturnType<typeof openBrowser>,
    idToken: string,
  ) => Promise<Page>;

  const WAYS: [string, LogOut][] = [
    ['/v2/logout', (server, browser) => browser.get(`${server.issuer}v2/logout`)],
    [
      '/oidc/logout with the ID token',
      (server, browser, idToken) =>
        browser.get(`${server.issuer}oidc/logout?id_token_hint=${idToken}`),
    ],
    [
      '/oidc/logout after its question',
      async (server, browser) => {
        const page = await browser.get(`${server.issuer}oidc/logout`);
        const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
        const confirm = { ...page, url: `${server.issuer}oidc/logout/confirm` } as Page;
        return browser.submit(confirm, { xsrf, logout: 'yes' });
      },
    ],
  ];

  describe.each(WAYS)('%s', (_name, logOut) => {
    test('sends a logout token for the session, once', async () => {
      const receiver = await startReceiver();
      const server = await startTelling(receiver.url);
      const { browser, tokens } = await tokensFor(server);
      const { sid, sub } = decodeJwt(tokens.id_token ?? '');
      await logOut(server, browser, tokens.id_token ?? '');
      expect(receiver.received).toEqual([
        {
          token: expect.any(String),
          type: expect.stringContaining('application/x-www-form-urlencoded'),
          path: '/backchannel',
        },
      ]);
      const payload = await verified(server, receiver.received[0]?.token);
      expect([payload.sid, payload.sub]).toEqual([sid, sub]);
      expect(sid).toEqual(expect.any(String));
      // There is no session any more.
      await logOut(server, browser, tokens.id_token ?? '').catch(() => {});
      expect(receiver.received).toHaveLength(1);
    });

    test('goes on when the application can’t be reached', async () => {
      const { logger, lines } = keptLog();
      const receiver = await startReceiver((response) => void response.writeHead(500).end('no'));
      const server = await startTelling(receiver.url, { logger });
      const { browser, tokens } = await tokensFor(server);
      const page = await logOut(server, browser, tokens.id_token ?? '');
      expect(page.statusCode).toBeLessThan(400);
      expect(receiver.received).toHaveLength(1);
      expect(lines).toContainEqual(
        expect.objectContaining({
          type: 'oidc_backchannel_logout_failed',
          client: 'contacts-web',
          user: 'auth0|alice',
        }),
      );
      expect(JSON.stringify(lines)).not.toContain(receiver.received[0]?.token);
    });
  });

  describe('to an application that could not take it', () => {
    type Respond = (response: ServerResponse) => void;
    const answer =
      (status: number): Respond =>
      (response) =>
        void response.writeHead(status).end();

    test.each<[string, Respond[], string[]]>([
      ['503, then 200', [answer(503), answer(200)], ['failed', 'succeeded']],
      ['no answer, then 200', [(r) => void r.destroy(), answer(200)], ['failed', 'succeeded']],
      [
        '429, 500, then 204',
        [answer(429), answer(500), answer(204)],
        ['failed', 'failed', 'succeeded'],
      ],
      ['503 four times', Array(4).fill(answer(503)), Array(4).fill('failed')],
      ['400', [answer(400)], ['failed']],
      ['503, then 400', [answer(503), answer(400)], ['failed', 'failed']],
    ])('is sent again: %s', async (_, answers, outcomes) => {
      const { logger, lines } = keptLog();
      const receiver = await startReceiver((response) =>
        answers[receiver.received.length - 1]?.(response),
      );
      const server = await startTelling(receiver.url, { logger });
      const { browser } = await tokensFor(server);
      const page = await browser.get(`${server.issuer}v2/logout?client_id=contacts-web`);
      expect(page.headers.location).toBe('http://localhost:3000/');
      const logged = () =>
        lines.flatMap(({ type }) => /^oidc_backchannel_logout_(.+)/.exec(String(type))?.[1] ?? []);
      for (let sent = 1; sent < outcomes.length; sent += 1) {
        expect(receiver.received).toHaveLength(sent);
        await jest.advanceTimersByTimeAsync(25_000);
        while (logged().length <= sent) await new Promise(setImmediate);
      }
      await jest.advanceTimersByTimeAsync(120_000);
      expect(jest.getTimerCount()).toBe(0);
      expect(logged()).toEqual(outcomes);
      // One token, which its receiver can recognize.
      expect(new Set(receiver.received.map(({ token }) => token)).size).toBe(1);
    });

    test.each([
      ['10', 10_000],
      ['0', 1000],
      ['3600', 25_000],
      ['soon', 1000],
    ])('with Retry-After: %s, is sent again after %i ms', async (value, waitMs) => {
      const receiver = await startReceiver(
        (response) => void response.writeHead(503, { 'retry-after': value }).end(),
      );
      const server = await startTelling(receiver.url);
      const { browser } = await tokensFor(server);
      const timeout = jest.spyOn(globalThis, 'setTimeout');
      await browser.get(`${server.issuer}v2/logout?client_id=contacts-web`);
      expect(timeout.mock.calls.map(([, ms]) => ms)).toContain(waitMs);
    });

    test('gets nothing from a server that has closed', async () => {
      const receiver = await startReceiver(answer(503));
      const server = await startTelling(receiver.url);
      const { browser } = await tokensFor(server);
      await browser.get(`${server.issuer}v2/logout?client_id=contacts-web`);
      const closed = server.close();
      await jest.advanceTimersByTimeAsync(25_000);
      await closed;
      // A token that was sent before this request arrives before it.
      await got.post(receiver.url, { throwHttpErrors: false, retry: { limit: 0 } });
      expect(receiver.received.map(({ token }) => token === '')).toEqual([false, true]);
    });
  });

  test.each<[string, (response: ServerResponse) => void, number]>([
    ['never answers', () => {}, 1],
    ['answers with a redirect', (r) => void r.writeHead(302, { location: '/other' }).end(), 1],
    ['cuts the connection', (r) => void r.destroy(), 1],
    [
      'answers without an end',
      (r) => {
        r.write('x'.repeat(100_000));
      },
      0,
    ],
  ])('an application that %s does not delay the logout', async (name, answer, failures) => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const limit = jest
      .spyOn(AbortSignal, 'timeout')
      .mockImplementation((ms) => timeout(name === 'never answers' ? ms / 10 : ms));
    const { logger, lines } = keptLog();
    const receiver = await startReceiver(answer);
    const server = await startTelling(receiver.url, { logger });
    const { browser } = await tokensFor(server);
    const page = await browser.get(`${server.issuer}v2/logout?client_id=contacts-web`);
    expect(page.headers.location).toBe('http://localhost:3000/');
    expect(receiver.received.map(({ path }) => path)).toEqual(['/backchannel']);
    const failed = lines.filter(({ type }) => type === 'oidc_backchannel_logout_failed');
    expect(failed).toHaveLength(failures);
    expect(limit.mock.calls).toEqual([[2500]]);
  });

  test('each application of the session gets its own logout token, and no other does', async () => {
    const [one, two] = [await startReceiver(), await startReceiver()];
    const server = await startDemo((tenant) => {
      const [web] = tenant.clients;
      const with_ = (client_id: string, url?: string) => ({
        ...web!,
        client_id,
        oidc_logout: url === undefined ? undefined : { backchannel_logout_urls: [url] },
      });
      tenant.clients.push(with_('second', two.url), with_('silent'), with_('stranger', one.url));
      web!.oidc_logout = { backchannel_logout_urls: [one.url] };
    });
    const { browser } = await tokensFor(server);
    for (const client_id of ['second', 'silent']) {
      const url = new URL('authorize', server.issuer);
      url.search = new URLSearchParams({
        client_id,
        response_type: 'code',
        redirect_uri: 'http://localhost:3000/callback',
        scope: 'openid',
        code_challenge: 'x'.repeat(43),
        code_challenge_method: 'S256',
      }).toString();
      const page = await browser.get(url.href);
      if (page.url.includes('/u/consent/')) await browser.submit(page, { action: 'accept' });
    }
    await browser.get(`${server.issuer}v2/logout`);
    const audiences = [one, two].map(({ received }) =>
      received.map(({ token }) => decodeJwt(token).aud),
    );
    expect(audiences).toEqual([['contacts-web'], ['second']]);
    const sids = [one, two].map(({ received }) => decodeJwt(received[0]?.token ?? '').sid);
    expect(new Set(sids).size).toBe(2);
  });

  test('all receivers of an application get the token, also when one fails', async () => {
    const { logger, lines } = keptLog();
    const failing = await startReceiver((response) => void response.writeHead(503).end());
    const [web, api] = [await startReceiver(), await startReceiver()];
    const receivers = [failing, web, api];
    const server = await startDemo(
      (tenant) => {
        const urls = receivers.map(({ url }) => url);
        tenant.clients[0]!.oidc_logout = { backchannel_logout_urls: urls };
      },
      { logger },
    );
    const { browser } = await tokensFor(server);
    await browser.get(`${server.issuer}v2/logout`);
    const tokens = receivers.map(({ received }) => received.map(({ token }) => token));
    expect(tokens.map(({ length }) => length)).toEqual([1, 1, 1]);
    await verified(server, tokens[2]?.[0]);
    const types = lines.map(({ type }) => type);
    expect(types).toContain('oidc_backchannel_logout_failed');
    expect(types).not.toContain('oidc_backchannel_logout_succeeded');
  });

  test('access tokens of the demo tenant have the sid that a logout token names, as ID tokens', async () => {
    const receiver = await startReceiver();
    const server = await startTelling(receiver.url);
    const { browser, tokens } = await tokensFor(server);
    const claim = 'https://contacts.example.com/sid';
    const { sid } = decodeJwt(tokens.id_token ?? '');
    expect(sid).toEqual(expect.any(String));
    const refresh_token = tokens.refresh_token ?? '';
    const { body } = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
    for (const token of [tokens.access_token, body.access_token]) {
      expect(decodeJwt(token ?? '')[claim]).toBe(sid);
    }
    const other = await tokensFor(server);
    expect(decodeJwt(other.tokens.access_token ?? '')[claim]).not.toBe(sid);
    await browser.get(`${server.issuer}v2/logout`);
    expect(decodeJwt(receiver.received[0]?.token ?? '').sid).toBe(sid);
  });

  test('the clock of the tokens does not change the times of a logout token', async () => {
    const receiver = await startReceiver();
    const server = await startTelling(receiver.url);
    server.clock = 3600;
    const { browser } = await tokensFor(server);
    await browser.get(`${server.issuer}v2/logout`);
    const { iat = 0, exp = 0 } = await verified(server, receiver.received[0]?.token);
    expect(exp - iat).toBe(120);
  });

  test('without a session nothing is sent', async () => {
    const receiver = await startReceiver();
    const server = await startTelling(receiver.url);
    await openBrowser().get(`${server.issuer}v2/logout`);
    expect(receiver.received).toEqual([]);
  });

  test('the metadata announces the back-channel logout', async () => {
    const server = await startDemo();
    const metadata = await got(`${server.issuer}.well-known/openid-configuration`).json();
    expect(metadata).toMatchObject({
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    });
  });
});
