import { createHash, randomBytes } from 'node:crypto';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { AUDIENCE } from './measure.ts';
import type { ServerName } from './servers/index.ts';

/** Requests to an authorization server. Each throws when an answer is not as expected. */
interface ServerRequests {
  /** From the authorization request to the tokens. */
  login(): Promise<void>;
  clientCredentials(): Promise<void>;
}

const CALLBACK = 'http://localhost:3000/callback';
const SCOPE = 'openid profile email offline_access read:contacts create:contacts';
/** Public credentials of the demo tenant. */
const WEB = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };
const MACHINE = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
const ALICE = { username: 'alice@example.com', password: 'alice-demo' };
const TIMEOUT_MS = 10_000;

/** @param url without a slash at its end */
export function requestsTo(name: ServerName, url: string): ServerRequests {
  return name === 'koa-oauth' ? toKoaOauth(url) : toMock(url);
}

function toKoaOauth(url: string): ServerRequests {
  const { port } = new URL(url);
  const issuer = `http://localhost:${port}/`;
  const keys = createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`));
  return {
    async login() {
      const { query, verifier, state, nonce } = authorizationRequest();
      const browser = new Browser(url);
      const page = await browser.redirected(await browser.get(`/authorize?${query}`));
      const { status } = await browser.get(page);
      if (status !== 200) throw new Error(`the sign-in page answered ${status}`);
      const resume = await browser.redirected(await browser.post(page, ALICE));
      const callback = new URL(await browser.redirected(await browser.get(resume)));
      if (callback.searchParams.get('state') !== state) throw new Error('another state came back');
      const tokens = await requestTokens(`${url}/oauth/token`, codeGrant(callback, verifier));
      const { payload } = await jwtVerify(String(tokens.id_token), keys, {
        issuer,
        audience: WEB.client_id,
      });
      if (payload.nonce !== nonce || payload.sub !== 'auth0|alice') {
        throw new Error('the ID token is of another login');
      }
    },
    async clientCredentials() {
      const form = { grant_type: 'client_credentials', audience: AUDIENCE, ...MACHINE };
      await requestTokens(`${url}/oauth/token`, form);
    },
  };
}

function toMock(url: string): ServerRequests {
  return {
    async login() {
      const { query, verifier } = authorizationRequest();
      const browser = new Browser(url);
      const callback = await browser.redirected(await browser.get(`/authorize?${query}`));
      await requestTokens(`${url}/token`, codeGrant(new URL(callback), verifier));
    },
    async clientCredentials() {
      const scope = 'read:contacts';
      const form = { grant_type: 'client_credentials', aud: AUDIENCE, scope, ...MACHINE };
      await requestTokens(`${url}/token`, form);
    },
  };
}

function authorizationRequest() {
  const [verifier, state, nonce] = [random(), random(), random()];
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: WEB.client_id,
    redirect_uri: CALLBACK,
    scope: SCOPE,
    audience: AUDIENCE,
    state,
    nonce,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  return { query, verifier, state, nonce };
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function codeGrant(callback: URL, verifier: string): Record<string, string> {
  const code = callback.searchParams.get('code');
  if (code === null) throw new Error('no code came back');
  const grant = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK };
  return { ...grant, code_verifier: verifier, ...WEB };
}

async function requestTokens(
  endpoint: string,
  form: Record<string, string>,
): Promise<Record<string, unknown>> {
  const response = await fetch(endpoint, {
    method: 'POST',
    body: new URLSearchParams(form),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (typeof answer.access_token !== 'string') {
    throw new Error(`tokens refused with ${response.status}: ${answer.error}`);
  }
  return answer;
}

/** Keeps cookies and follows no redirects. */
class Browser {
  readonly #url: string;
  readonly #cookies = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  get(path: string): Promise<Response> {
    return this.#send(path, {});
  }

  post(path: string, form: Record<string, string>): Promise<Response> {
    return this.#send(path, { method: 'POST', body: new URLSearchParams(form) });
  }

  /** @returns a path of the server, or the whole address of another one */
  async redirected(response: Response): Promise<string> {
    const location = response.headers.get('location');
    if (location === null) throw new Error(`no redirect, but ${response.status}`);
    const target = new URL(location, this.#url);
    const { port } = new URL(this.#url);
    return target.port === port ? target.pathname + target.search : target.href;
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    const response = await fetch(this.#url + path, {
      ...init,
      redirect: 'manual',
      headers: { accept: 'text/html', cookie: [...this.#cookies.values()].join('; ') },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    for (const line of response.headers.getSetCookie()) {
      const [cookie = ''] = line.split(';');
      const name = cookie.slice(0, cookie.indexOf('='));
      if (/expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, cookie);
    }
    // A connection is free after its answer was read.
    await response.arrayBuffer();
    return response;
  }
}
