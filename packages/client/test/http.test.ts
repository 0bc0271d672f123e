import { once } from 'node:events';
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import { publicJwk, signJws } from '@koa-oauth/issuer/testing';
import Koa from 'koa';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { selfSigned } from '../../issuer/test/support/self-signed.ts';
import { ApiClient } from '../src/api/api.ts';
import { auth } from '../src/index.ts';
import { postToEndpoint } from '../src/oauth/token-endpoint.ts';
import { OPTION_RULES } from '../src/options/options.ts';
import { serve } from './support/browser.ts';

describe('a proxy and authorities', () => {
  const HOST = 'tenant.example.com';
  const ISSUER = `https://${HOST}/`;
  const signer = testKey({ kid: 'key-1' });
  const { key, cert } = selfSigned(HOST);

  /** Requests that reached the server, and the hosts that the proxy was asked for. */
  const requests: string[] = [];
  const tunnels: string[] = [];
  let nonce: string;
  let state: string;
  let tenant: TlsServer;
  let proxy: Server;

  const portOf = (server: Server) => (server.address() as AddressInfo).port;

  async function answerOf(request: IncomingMessage): Promise<unknown> {
    const { method, url } = request;
    requests.push(`${method} ${url}`);
    const form = new URLSearchParams(String(Buffer.concat(await request.toArray())));
    if (url === '/.well-known/openid-configuration') {
      return {
        issuer: ISSUER,
        jwks_uri: `${ISSUER}jwks`,
        authorization_endpoint: `${ISSUER}authorize`,
        pushed_authorization_request_endpoint: `${ISSUER}par`,
        token_endpoint: `${ISSUER}token`,
        revocation_endpoint: `${ISSUER}revoke`,
      };
    }
    if (url === '/jwks') return { keys: [publicJwk(signer)] };
    if (url === '/par') {
      nonce = form.get('nonce') ?? '';
      state = form.get('state') ?? '';
      return { request_uri: 'urn:request:1', expires_in: 60 };
    }
    if (url !== '/token') return { from: 'the API' };
    const iat = Math.floor(Date.now() / 1000);
    const claims = { iss: ISSUER, sub: 'user-1', aud: 'client-1', iat, exp: iat + 300, nonce };
    return {
      access_token: 'access-1',
      token_type: 'Bearer',
      refresh_token: 'refresh-1',
      id_token: signJws({ alg: 'RS256', kid: 'key-1' }, claims, signer),
    };
  }

  beforeAll(async () => {
    tenant = createTlsServer({ key, cert }, async (request, response) => {
      const body = JSON.stringify(await answerOf(request));
      response.writeHead(request.url === '/par' ? 201 : 200, {
        'Content-Type': 'application/json',
      });
      response.end(body);
    });
    proxy = createServer().on('connect', (request, socket) => {
      tunnels.push(request.url ?? '');
      socket.on('error', () => {});
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const tunnel = connect(portOf(tenant), '127.0.0.1');
      tunnel.on('error', () => {}).on('close', () => socket.destroy());
      socket.pipe(tunnel).pipe(socket);
    });
    for (const server of [tenant, proxy]) await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  beforeEach(() => {
    requests.length = 0;
    tunnels.length = 0;
  });

  afterAll(() => {
    tenant.closeAllConnections();
    tenant.close();
    proxy.close();
  });

  test('the issuer, its endpoints and the API are reached by the proxy and authorities given', async () => {
    const app = new Koa();
    app.use(
      auth({
        issuerBaseURL: ISSUER,
        baseURL: 'https://app.example',
        clientID: 'client-1',
        clientSecret: 'client-secret-1',
        secret: 's-secret-of-the-tests-0123456789',
        pushedAuthorizationRequests: true,
        api: { baseURL: `${ISSUER}v1` },
        http: { proxy: `http://127.0.0.1:${portOf(proxy)}`, ca: cert },
      }),
    );
    app.use(async (ctx) => {
      ctx.body = (await ctx.oidc.api.get('things')).body;
    });
    const served = await serve(app, 'https://app.example');
    const browser = served.browser();
    await browser.get('/login');
    expect((await browser.get(`/callback?code=code-1&state=${state}`)).status).toBe(302);
    expect(await (await browser.get('/')).json()).toEqual({ from: 'the API' });
    await browser.post('/logout');
    await served.close();
    expect(requests).toEqual([
      'GET /.well-known/openid-configuration',
      'POST /par',
      'POST /token',
      'GET /jwks',
      'GET /v1/things',
      'POST /revoke',
    ]);
    expect(new Set(tunnels)).toEqual(new Set([`${HOST}:443`]));
  });

  test('certificates are checked at the token endpoint and the API, and no option turns that off', async () => {
    proves('RFC 6750 §5.3 certificates');
    const http = createHttpClient();
    const origin = `https://127.0.0.1:${portOf(tenant)}/`;
    const refresh = postToEndpoint({
      url: `${origin}token`,
      issuer: origin,
      credentials: { clientID: 'client-1', clientAuthMethod: 'none' },
      parameters: { refresh_token: 'refresh-1' },
      http,
      seconds: () => 1_700_000_000,
    });
    await expect(refresh).rejects.toMatchObject({
      code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
      detail: `POST ${origin}token: DEPTH_ZERO_SELF_SIGNED_CERT`,
    });
    const api = new ApiClient({ baseURL: origin, http, now: Date.now }).bind(async () => 'token-1');
    await expect(api.get('things')).rejects.toMatchObject({
      code: 'ERR_API_UNAVAILABLE',
      detail: `GET ${origin}things: DEPTH_ZERO_SELF_SIGNED_CERT`,
    });
    expect(requests).toEqual([]);
    const names = Object.values(OPTION_RULES).flatMap((group) => Object.keys(group));
    expect(names.filter((name) => /tls|cert|insecure|reject|agent/i.test(name))).toEqual([]);
  });
});

describe('a change of the protocol', () => {
  // For Node an answer of 101 ends the exchange without a response: a client could wait forever.

  const credentials = { clientID: 'client-1', clientAuthMethod: 'none' } as const;
  const http = createHttpClient({ timeout: 2000 });

  let server: HttpServer;
  let origin: string;
  /** Number of refusals before the first 101. */
  let refusals: number;

  beforeAll(async () => {
    server = createServer((request, response) => {
      request.socket.on('error', () => {});
      refusals -= 1;
      if (refusals >= 0) {
        response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end();
      } else response.writeHead(101, { Connection: 'upgrade', Upgrade: 'other' }).flushHeaders();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });

  beforeEach(() => {
    refusals = 0;
  });

  afterAll(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  });

  test('an endpoint that changes the protocol gave no answer', async () => {
    const [url, parameters] = [`${origin}token`, { refresh_token: 'r' }];
    const seconds = () => 1_700_000_000;
    const request = postToEndpoint({ url, issuer: origin, credentials, parameters, http, seconds });
    const error = await request.catch((e) => e);
    expect(error).toMatchObject({
      code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
      detail: `POST ${origin}token: ERR_UNWANTED_UPGRADE`,
    });
  });

  test.each([0, 1])('nor did an API, after %i refused tokens', async (count) => {
    refusals = count;
    const api = new ApiClient({ baseURL: origin, http, now: Date.now }).bind(
      async ({ insteadOf }) => `${insteadOf ?? 'token'}-1`,
    );
    const error = await api.get('things').catch((e) => e);
    expect(error).toMatchObject({
      code: 'ERR_API_UNAVAILABLE',
      detail: `GET ${origin}things: ERR_UNWANTED_UPGRADE`,
    });
  });
});
