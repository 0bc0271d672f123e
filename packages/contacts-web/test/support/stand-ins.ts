import { createSign } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll } from '@jest/globals';
import { type AuthorizationParams, memoryStore, type SessionStore } from '@koa-oauth/client';
import { GracefulServer } from '@koa-oauth/service';
import nock from 'nock';
import { pino } from 'pino';
import { CookieJar } from 'tough-cookie';
import { rsaKeyPair } from '../../../../test/support/test-keys.ts';
import { createApp } from '../../src/app.ts';

export const BASE_URL = 'http://localhost:3000';
export const ISSUER = 'https://issuer.example/';
export const API = 'https://api.example';
export const ALL_SCOPES =
  'openid profile email offline_access read:contacts create:contacts update:contacts delete:contacts read:activity';

// Importing nock patches node:http, also for the next test file.
afterAll(() => nock.restore());

const { publicKey, privateKey } = rsaKeyPair();

export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

export interface TestBrowser {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(
    path: string,
    form?: Record<string, string> | Uint8Array<ArrayBuffer>,
    headers?: Record<string, string>,
  ): Promise<Response>;
  signIn(grant?: Grant): Promise<void>;
  /** Finishes the sign-in that an answer has begun. Returns the answer of the callback. */
  finishSignIn(begun: Response, grant?: Grant): Promise<Response>;
}

interface Grant {
  scope?: string;
  claims?: Record<string, unknown>;
  accessToken?: string;
  refreshToken?: string | undefined;
  /** Browser of another process that finishes the sign-in. */
  by?: TestBrowser;
}

export interface TestApp extends TestBrowser {
  readonly log: string[];
  /** Opens a browser with the given cookies, or with none. */
  otherBrowser(jar?: CookieJar): TestBrowser;
  /** Sends bytes that no HTTP client would send. Returns the whole answer. */
  sendRaw(request: string): Promise<string>;
  readonly port: number;
  close(): Promise<void>;
}

/** Starts the app on a free port, with one browser. The issuer is a stand-in by nock. */
export async function startApp(
  options: {
    showTokens?: boolean;
    apiBaseURL?: string;
    scope?: string;
    dpop?: boolean;
    authorizationParams?: AuthorizationParams;
    store?: SessionStore;
  } = {},
): Promise<TestApp> {
  const log: string[] = [];
  const app = createApp({
    baseURL: BASE_URL,
    issuerBaseURL: ISSUER,
    clientID: 'contacts-web',
    clientSecret: 'the-client-secret',
    clientAuthMethod: 'client_secret_post',
    apiBaseURL: API,
    audience: 'https://contacts.example.com/api',
    scope: ALL_SCOPES,
    authorizationParams: {},
    dpop: false,
    idpLogout: true,
    secrets: ['s-secret-of-the-tests-0123456789'],
    store: memoryStore(),
    showTokens: false,
    ...options,
    logger: pino({ level: 'debug' }, { write: (line: string) => log.push(line) }),
  });
  const server = new GracefulServer();
  server.on('request', app.callback());
  await server.start(0, '127.0.0.1');
  const { port } = server;

  const openBrowser = (jar = new CookieJar()): TestBrowser => {
    async function send(path: string, init: RequestInit): Promise<Response> {
      const cookie = await jar.getCookieString(BASE_URL + path);
      const page = { accept: 'text/html', 'sec-fetch-dest': 'document' };
      const headers = { ...page, ...(init.headers as object), ...(cookie && { cookie }) };
      const url = `http://127.0.0.1:${port}${path}`;
      const response = await fetch(url, { ...init, headers, redirect: 'manual' });
      for (const line of response.headers.getSetCookie())
        await jar.setCookie(line, BASE_URL + path);
      return response;
    }
    const browser: TestBrowser = {
      get: (path, headers = {}) => send(path, { headers }),
      post: (path, form = {}, headers = {}) =>
        send(path, {
          method: 'POST',
          headers: { 'sec-fetch-site': 'same-origin', ...FORM, ...headers },
          body: form instanceof Uint8Array ? form : String(new URLSearchParams(form)),
        }),
      async signIn(grant) {
        const response = await browser.finishSignIn(
          await browser.get('/login?returnTo=/contacts'),
          grant,
        );
        if (response.status !== 302) throw new Error(`no sign-in: ${await response.text()}`);
      },
      async finishSignIn({ headers }, grant = {}) {
        const { scope = ALL_SCOPES, claims = {}, accessToken = 'the-access-token', by } = grant;
        const request = new URL(headers.get('location') ?? '').searchParams;
        const [state = '', nonce] = [request.get('state') ?? '', request.get('nonce')];
        nock(ISSUER)
          .post('/oauth/token')
          .reply(200, {
            access_token: accessToken,
            refresh_token: 'the-refresh-token',
            token_type: options.dpop ? 'DPoP' : 'Bearer',
            expires_in: 3600,
            scope,
            id_token: idToken({ nonce, ...claims }),
            ...('refreshToken' in grant && { refresh_token: grant.refreshToken }),
          });
        const callback = `/callback?${new URLSearchParams({ state, code: 'the-code' })}`;
        return (by ?? browser).get(callback);
      },
    };
    return browser;
  };

  return {
    ...openBrowser(),
    log,
    otherBrowser: openBrowser,
    port,
    async sendRaw(request) {
      const socket = connect(port, '127.0.0.1');
      socket.end(request, 'latin1');
      return Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function standInForIssuer(): void {
  const scope = nock(ISSUER).persist();
  scope.get('/.well-known/openid-configuration').reply(200, {
    issuer: ISSUER,
    jwks_uri: `${ISSUER}jwks`,
    end_session_endpoint: `${ISSUER}oidc/logout`,
    authorization_endpoint: `${ISSUER}authorize`,
    token_endpoint: `${ISSUER}oauth/token`,
    dpop_signing_alg_values_supported: ['ES256'],
  });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'key-1', alg: 'RS256', use: 'sig' };
  scope.get('/jwks').reply(200, { keys: [jwk] });
}

function idToken(claims: Record<string, unknown>): string {
  const now = Math.floor(Date.now() / 1000);
  return jwt({
    iss: ISSUER,
    sub: 'auth0|ada',
    aud: 'contacts-web',
    iat: now,
    exp: now + 300,
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    'https://contacts.example.com/org_id': 'acme',
    ...claims,
  });
}

/** Signs claims with the issuer's key. */
export function jwt(claims: Record<string, unknown>): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'RS256', kid: 'key-1' })}.${encode(claims)}`;
  return `${input}.${createSign('sha256').update(input).sign(privateKey, 'base64url')}`;
}
