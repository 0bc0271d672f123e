import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals';
import { got } from 'got';
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { openBrowser, tokensFor } from '../support/sign-in.ts';

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
])('an application that %s does not delay the logout', async (_name, answer, failures) => {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const limit = jest.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(ms / 10));
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
