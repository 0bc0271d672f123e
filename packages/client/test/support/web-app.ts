import Koa, { type Middleware } from 'koa';
import { answerErrors } from '../../../../test/support/app-under-test.ts';
import { type AuthOptions, auth, type ClientEvent, requiresAuth } from '../../src/index.ts';
import { type Browser, type Served, serve } from './browser.ts';
import { ISSUER, type IssuerStandIn } from './issuer-stand-in.ts';

export const BASE_URL = 'https://app.example';

/** An app with `auth()`, over HTTP, and an issuer whose answers a test sets. */
export interface WebApp {
  readonly served: Served;
  readonly browser: Browser;
  readonly events: ClientEvent[];
  /** Starts a login in a browser; the token endpoint will answer it well. */
  begin(path?: string, browser?: Browser): Promise<StartedLogin>;
  /** Sets the answers of the token endpoint. */
  grant(claims: Record<string, unknown>, response?: Record<string, unknown>): void;
  signIn(claims?: Record<string, unknown>, response?: Record<string, unknown>): Promise<void>;
}

export interface StartedLogin {
  /** The authorization request as the browser was given it. */
  readonly request: URLSearchParams;
  readonly state: string;
  /** Returns the callback of the issuer; an undefined parameter is removed. */
  callback(change?: Record<string, string | undefined>): string;
}

export async function startWebApp(
  issuer: IssuerStandIn,
  options: Partial<AuthOptions> = {},
  page: Middleware = (_ctx, next) => next(),
): Promise<WebApp> {
  const events: ClientEvent[] = [];
  const baseURL = options.baseURL ?? BASE_URL;
  const app = new Koa();
  app.silent = true;
  app.use(answerErrors);
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL,
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid read', audience: 'https://api.example' },
      onEvent: (event) => events.push(event),
      ...options,
    }),
  );
  app.use(page);
  app.use(async function pages(ctx, next) {
    if (ctx.path === '/') {
      const { user, idToken, loginId } = ctx.oidc;
      ctx.body = { user, idToken, loginId };
    } else if (ctx.path === '/private') {
      await requiresAuth()(ctx, async () => {
        ctx.body = { token: (await ctx.oidc.accessToken()).value };
      });
    } else await next();
  });
  const served = await serve(app, baseURL);
  const own = served.browser();

  const seconds = () => Math.floor((options.now ?? Date.now)() / 1000);
  const grant: WebApp['grant'] = (claims, response = {}) => {
    issuer.onTokenRequest = () => [
      200,
      {
        access_token: 'access-1',
        token_type: 'Bearer',
        expires_in: 3600,
        refresh_token: 'refresh-1',
        id_token: issuer.idToken({ iat: seconds(), exp: seconds() + 300, ...claims }),
        ...response,
      },
    ];
  };

  const begin: WebApp['begin'] = async (path = '/login', browser = own) => {
    const response = await browser.get(path);
    const sent = new URL(response.headers.get('location') ?? '').searchParams;
    // A pushed request does not go through the browser.
    const request = sent.has('request_uri') ? (issuer.pushedRequests.at(-1)?.form ?? sent) : sent;
    const state = request.get('state') ?? '';
    grant({ nonce: request.get('nonce') });
    return {
      request: sent,
      state,
      callback(change = {}) {
        const all = { code: 'code-1', state, iss: ISSUER, ...change };
        const kept = Object.entries(all).filter(([, value]) => value !== undefined);
        return `/callback?${new URLSearchParams(kept as [string, string][])}`;
      },
    };
  };

  return {
    served,
    browser: own,
    events,
    begin,
    grant,
    async signIn(claims = {}, response = {}) {
      const { request, callback } = await begin();
      const nonce = request.get('nonce') ?? issuer.pushedRequests.at(-1)?.form.get('nonce');
      grant({ nonce, ...claims }, response);
      const answer = await own.get(callback());
      if (answer.status !== 302) throw new Error(`no sign-in: ${await answer.text()}`);
    },
  };
}

export async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { code: string }).code;
}
