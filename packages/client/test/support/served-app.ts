import Koa, { type Context, type Middleware } from 'koa';
import { answerErrors } from '../../../../test/support/app-under-test.ts';
import { type AuthOptions, auth } from '../../src/index.ts';
import { type Browser, type Served, serve } from './browser.ts';
import { ISSUER, type IssuerStandIn } from './issuer-stand-in.ts';

export const BASE_URL = 'https://app.example';

export interface ServedApp extends Served {
  /** Signs a browser in as the user of these claims; a new one unless one is given. */
  signIn(claims?: Record<string, unknown>, browser?: Browser): Promise<Browser>;
  /** Sends a browser to the issuer. @returns what brings it back as the user of these claims */
  beginSignIn(browser?: Browser): Promise<(claims?: Record<string, unknown>) => Promise<Browser>>;
}

interface ServedAppParts {
  options?: Partial<AuthOptions>;
  before?: Middleware;
  /** Answers what `auth()` leaves; `/` is answered with the user's `sub` or null in any case. */
  page?: (ctx: Context) => Promise<void>;
}

/** An app behind `auth()`, served, with users that the issuer's stand-in signs in. */
export async function serveApp(
  issuer: IssuerStandIn,
  { options, before = (_ctx, next) => next(), page }: ServedAppParts = {},
): Promise<ServedApp> {
  const app = new Koa();
  app.silent = true;
  app.use(answerErrors);
  app.use(before);
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL: BASE_URL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      ...options,
    }),
  );
  app.use(async (ctx, next) => {
    if (ctx.path === '/') ctx.body = { user: ctx.oidc.user?.sub ?? null };
    else if (page) await page(ctx);
    else await next();
  });
  const served = await serve(app, BASE_URL);

  const beginSignIn: ServedApp['beginSignIn'] = async (browser = served.browser()) => {
    const login = await browser.get('/login');
    const asked = new URL(login.headers.get('location') ?? '').searchParams;
    return async function finish(claims = {}) {
      issuer.onTokenRequest = () => [
        200,
        {
          access_token: 'access-1',
          token_type: 'Bearer',
          expires_in: 3600,
          refresh_token: `refresh-${issuer.tokenRequests.length}`,
          id_token: issuer.idToken({ nonce: asked.get('nonce'), ...claims }),
        },
      ];
      const state = asked.get('state') ?? '';
      const answer = new URLSearchParams({ code: 'code-1', state, iss: ISSUER });
      const back = await browser.get(`/callback?${answer}`);
      if (back.status !== 302) throw new Error(`no sign-in: ${await back.text()}`);
      return browser;
    };
  };

  return {
    ...served,
    beginSignIn,
    signIn: async (claims, browser) => (await beginSignIn(browser))(claims),
  };
}

/** @returns the user of a browser; null without one */
export async function userOf(browser: Browser): Promise<unknown> {
  return ((await (await browser.get('/')).json()) as { user: unknown }).user;
}
