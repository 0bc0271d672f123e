import { createHash, randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { got, type Response } from 'got';
import { type Cookie, CookieJar } from 'tough-cookie';
import type { AuthorizationServer } from '../../src/index.ts';

export const API = 'https://contacts.example.com/api';
export const CALLBACK = 'http://localhost:3000/callback';
export const ALL_SCOPES =
  'openid profile email offline_access read:contacts create:contacts update:contacts delete:contacts read:activity';

const SECRETS: Record<string, string> = {
  'contacts-web': 'contacts-web-demo-secret',
  'contacts-cli': 'contacts-cli-demo-secret',
};

// A connection kept from a server that was stopped would break the next one on its port.
const agent = { http: new Agent({ keepAlive: false }) };

export type Page = Response<string>;

/** A browser without a window: keeps cookies, follows redirects until they leave the server. */
export interface Browser {
  get(url: string): Promise<Page>;
  submit(page: Pick<Page, 'url'>, fields: Record<string, string>): Promise<Page>;
  cookies(url: string): Cookie[];
}

export function openBrowser(): Browser {
  const cookieJar = new CookieJar();
  const http = got.extend({
    agent,
    cookieJar,
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    headers: { accept: 'text/html' },
  });
  const follow = async (page: Page): Promise<Page> => {
    const { location } = page.headers;
    if (location === undefined) return page;
    const target = new URL(location, page.url);
    if (target.origin !== new URL(page.url).origin) return page;
    return follow(await http.get(target));
  };
  return {
    cookies: (url) => cookieJar.getCookiesSync(url),
    get: async (url) => follow(await http.get(url)),
    async submit(page, fields) {
      const answer = await http.post(page.url, { form: fields });
      // This redirect keeps the method and the form.
      if (answer.statusCode !== 307) return follow(answer);
      return follow(
        await http.post(new URL(answer.headers.location ?? '', page.url), { form: fields }),
      );
    },
  };
}

export interface AuthorizationRequest {
  url: string;
  verifier: string;
}

/** An authorization request as the web app sends it; `change` adds to it, undefined takes out. */
export function authorizationRequest(
  server: AuthorizationServer,
  change: Record<string, string | undefined> = {},
): AuthorizationRequest {
  const verifier = randomBytes(32).toString('base64url');
  const params = {
    response_type: 'code',
    client_id: 'contacts-web',
    redirect_uri: CALLBACK,
    scope: ALL_SCOPES,
    audience: API,
    state: 'state-1',
    nonce: 'nonce-1',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...change,
  };
  const url = new URL('authorize', server.issuer);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return { url: url.href, verifier };
}

/** Signs in and consents where asked. @returns the callback's parameters. */
export async function signIn(
  browser: Browser,
  request: AuthorizationRequest,
  user = 'alice',
): Promise<URLSearchParams> {
  let page = await browser.get(request.url);
  if (page.url.includes('/u/login/')) {
    page = await browser.submit(page, {
      username: `${user}@example.com`,
      password: `${user}-demo`,
    });
  }
  if (page.url.includes('/u/mfa/')) page = await browser.submit(page, secondStepOf(page));
  if (page.url.includes('/u/consent/')) page = await browser.submit(page, { action: 'accept' });
  return callbackOf(page);
}

/** The form of a second step, with the code and the first factor that its page shows. */
export function secondStepOf({ body }: Pick<Page, 'body'>): { code: string; factor: string } {
  const [, code = ''] = /<output id="code">(\d+)</.exec(body) ?? [];
  const [, factor = ''] = /(?:name="factor"|<option) value="([^"]+)"/.exec(body) ?? [];
  return { code, factor };
}

/** The parameters of the redirect that left the server. */
export function callbackOf(page: Page): URLSearchParams {
  if (page.headers.location === undefined) {
    throw new Error(
      `no redirect, but ${page.statusCode} at ${page.url}: ${page.body.slice(0, 2000)}`,
    );
  }
  return new URL(page.headers.location).searchParams;
}

export interface TokenAnswer {
  status: number;
  body: Record<string, string>;
}

/** One request to the token endpoint with the client's secret in the body. */
export async function requestTokens(
  server: AuthorizationServer,
  form: Record<string, string>,
  clientId = 'contacts-web',
): Promise<TokenAnswer> {
  const answer = await got.post(new URL('oauth/token', server.issuer), {
    form: { client_id: clientId, client_secret: SECRETS[clientId], ...form },
    agent,
    responseType: 'json',
    throwHttpErrors: false,
  });
  return { status: answer.statusCode, body: answer.body as Record<string, string> };
}

export interface SignedIn {
  browser: Browser;
  tokens: Record<string, string>;
}

/** The whole flow. @throws when the tokens are refused. */
export async function tokensFor(
  server: AuthorizationServer,
  user = 'alice',
  change: Record<string, string | undefined> = {},
): Promise<SignedIn> {
  const browser = openBrowser();
  const request = authorizationRequest(server, change);
  const callback = await signIn(browser, request, user);
  const { status, body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callback.get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: request.verifier,
  });
  if (status !== 200) throw new Error(`tokens refused: ${JSON.stringify(body)}`);
  return { browser, tokens: body };
}
