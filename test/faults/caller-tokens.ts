import { createHash, randomBytes } from 'node:crypto';
import got from 'got';
import { FormBrowser } from '../support/form-browser.ts';
import type { CallerToken } from './token-facts.ts';

const AUDIENCE = 'https://contacts.example.com/api';
const CALLBACK = 'http://127.0.0.1/callback';
const CLIENT = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';

/** Gets access tokens of a user through the code flow. The first sign-in needs the password. */
export class CallerTokens {
  readonly #issuer: string;
  readonly #user: string;
  readonly #browser = new FormBrowser({ stopAt: CALLBACK });

  constructor(issuer: string, user: string) {
    this.#issuer = issuer;
    this.#user = user;
  }

  /**
   * Requests a new token.
   *
   * @returns undefined when the issuer refuses
   * @throws RequestError when the connection fails
   */
  async get(): Promise<CallerToken | undefined> {
    const mintedAt = performance.now();
    const code_verifier = randomBytes(32).toString('base64url');
    const parameters = new URLSearchParams({
      response_type: 'code',
      client_id: CLIENT.client_id,
      redirect_uri: CALLBACK,
      audience: AUDIENCE,
      scope: 'openid read:contacts create:contacts update:contacts delete:contacts',
      state: randomBytes(16).toString('base64url'),
      code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const location = await this.#authorize(`${this.#issuer}/authorize?${parameters}`);
    const code = location && new URL(location).searchParams.get('code');
    if (!code) return undefined;
    const form = { grant_type: 'authorization_code', code, code_verifier, ...CLIENT };
    const { statusCode, body } = await got.post(`${this.#issuer}/oauth/token`, {
      form: { ...form, redirect_uri: CALLBACK },
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: { request: 10_000 },
    });
    const answer = statusCode === 200 && parseTokenAnswer(body);
    if (!answer) return undefined;
    // A request on its way still needs the token: it counts as expired one second early.
    const goodUntil = mintedAt + answer.expires_in * 1000 - 1000;
    return { value: answer.access_token, mintedAt, goodUntil };
  }

  async #authorize(url: string): Promise<string | undefined> {
    let page = await this.#browser.open(url);
    if (page.location === undefined && page.html.querySelector(USERNAME)) {
      const credentials = {
        username: `${this.#user}@example.com`,
        password: `${this.#user}-demo`,
      };
      page = await this.#browser.submit(page, USERNAME, credentials);
    }
    if (page.location === undefined && page.html.querySelector(CONSENT)) {
      page = await this.#browser.submit(page, CONSENT, { action: 'accept' });
    }
    return page.location;
  }
}

function parseTokenAnswer(body: string): { access_token: string; expires_in: number } | undefined {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
