import { afterAll, afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import Koa from 'koa';
import nock from 'nock';
import { type AuthOptions, auth, requiresAuth } from '../src/index.ts';
import { type Browser, type Served, serve } from './support/browser.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';

const API = 'https://api.example';
const { NODE_ENV } = process.env;

let issuer: IssuerStandIn;
let served: Served | undefined;
let lines: string[];

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  lines = [];
  jest.spyOn(console, 'warn').mockImplementation((line) => lines.push(line));
  process.env.NODE_ENV = 'development';
});

afterEach(async () => {
  process.env.NODE_ENV = NODE_ENV;
  jest.restoreAllMocks();
  await served?.close();
  served = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

/** An app as a newcomer has it: no `onEvent`, no answer to errors but Koa's own. */
async function start(options: Partial<AuthOptions> = {}): Promise<Browser> {
  const app = new Koa();
  app.use(
    auth({
      issuerBaseURL: ISSUER,
      baseURL: 'http://localhost:3000',
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
      authorizationParams: { scope: 'openid read' },
      api: { baseURL: API },
      ...options,
    }),
  );
  app.use(requiresAuth({ incrementalConsent: false }));
  app.use(async (ctx) => {
    ctx.body = (await ctx.oidc.api.get('orders')).body;
  });
  served = await serve(app, 'http://localhost:3000');
  return served.browser();
}

interface Answer {
  callback?: Record<string, string>;
  tokens?: [status: number, body: unknown];
  claims?: Record<string, unknown>;
}

/** Opens a page, signs in, and comes back to it; the first answer that is no redirect. */
async function open(browser: Browser, answer: Answer = {}, finish = browser): Promise<Response> {
  const page = await browser.get('/orders');
  if (page.status !== 302) return page;
  const { searchParams } = new URL(page.headers.get('location') ?? '');
  const { nonce, state = '' } = Object.fromEntries(searchParams);
  const tokens = () => ({
    access_token: 'access-1',
    token_type: 'Bearer',
    id_token: issuer.idToken({ nonce, ...answer.claims }),
  });
  issuer.onTokenRequest = () => answer.tokens ?? [200, tokens()];
  const params = { state, iss: ISSUER, ...(answer.callback ?? { code: 'code-1' }) };
  const back = await finish.get(`/callback?${new URLSearchParams(params)}`);
  return back.status === 302 ? finish.get('/orders') : back;
}

const refuse = (status: number, error: string, description: string): Answer => ({
  tokens: [status, { error, error_description: description }],
});
const challenge = (status: number, parameters: string) => () =>
  nock(API)
    .get('/orders')
    .times(2)
    .reply(status, '', { 'WWW-Authenticate': `Bearer ${parameters}` });

const REFUSED = 'the authorization server refused';
const WRONG_SECRET = 'the issuer does not accept this clientID with this secret or key';

describe('a mistake tells its cause, in the browser by a code and in the log by one line', () => {
  test.each<[string, () => unknown, Answer, status: number, text: string, line: string]>([
    [
      'another audience at the API',
      challenge(401, 'error="invalid_token", error_description="expected the audience \\"a\\""'),
      {},
      401,
      'the API did not accept the sign-in (ERR_API_TOKEN_REFUSED)',
      'request_failed, ERR_API_TOKEN_REFUSED: GET https://api.example/orders: it answered 401 invalid_token: expected the audience "a"',
    ],
    [
      'an audience that the issuer does not know',
      () => {},
      { callback: { error: 'access_denied', error_description: 'Service not found: https://a' } },
      403,
      `${REFUSED} the sign-in (ERR_AUTHORIZATION_REFUSED)`,
      'sign_in_refused, ERR_AUTHORIZATION_REFUSED: access_denied: Service not found: https://a',
    ],
    [
      'a wrong client secret',
      () => {},
      refuse(401, 'invalid_client', 'client authentication failed'),
      502,
      `${REFUSED} the token request (ERR_TOKEN_REQUEST_REFUSED)`,
      `sign_in_refused, ERR_TOKEN_REQUEST_REFUSED: invalid_client: client authentication failed: ${WRONG_SECRET}`,
    ],
    [
      'a wrong client secret at Auth0',
      () => {},
      refuse(401, 'access_denied', 'Unauthorized'),
      502,
      `${REFUSED} the token request (ERR_TOKEN_REQUEST_REFUSED)`,
      `sign_in_refused, ERR_TOKEN_REQUEST_REFUSED: access_denied: Unauthorized: ${WRONG_SECRET}`,
    ],
    [
      'a scope that was not granted',
      challenge(403, 'error="insufficient_scope", scope="write"'),
      {},
      403,
      'the API needs a scope that was not granted (ERR_INSUFFICIENT_SCOPE)',
      'request_failed, ERR_INSUFFICIENT_SCOPE: GET https://api.example/orders: it answered 403 insufficient_scope: scope write',
    ],
    [
      'a wrong path of the API',
      () => nock(API).get('/orders').reply(404),
      {},
      404,
      'the API refused the request (ERR_API_REFUSED)',
      'request_failed, ERR_API_REFUSED: GET https://api.example/orders: it answered 404',
    ],
  ])('%s', async (_name, prepare, answer, status, text, line) => {
    prepare();
    const response = await open(await start(), answer);
    expect([response.status, await response.text()]).toEqual([status, text]);
    expect(lines).toEqual([`koa-oauth: ${line}`]);
  });

  test('an API that is down', async () => {
    const response = await open(await start({ api: { baseURL: 'http://127.0.0.1:1' } }));
    expect(await response.text()).toBe('the API cannot be reached right now (ERR_API_UNAVAILABLE)');
    expect(lines).toEqual([
      'koa-oauth: request_failed, ERR_API_UNAVAILABLE: GET http://127.0.0.1:1/orders: ECONNREFUSED',
    ]);
  });

  test('a clock that is behind', async () => {
    const iat = Math.floor(Date.now() / 1000) + 600;
    const response = await open(await start(), { claims: { iat, exp: iat + 300 } });
    expect(await response.text()).toMatch(/an ID token that is not valid \(ERR_ID_TOKEN\)$/);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/ERR_ID_TOKEN: "iat" lies in the future, by \d+ seconds: compare the/);
  });

  test('an address in the browser that is not baseURL', async () => {
    const browser = await start();
    const response = await open(browser, {}, served?.browser());
    expect(await response.text()).toMatch(/\(ERR_UNEXPECTED_CALLBACK\)$/);
    expect(lines).toEqual([
      'koa-oauth: sign_in_refused, ERR_UNEXPECTED_CALLBACK: it began under another host or scheme than http://localhost:3000, so its cookie is not sent here',
    ]);
  });

  test('an issuer that is down', async () => {
    nock.cleanAll();
    const response = await (await start()).get('/orders');
    expect(await response.text()).toMatch(
      /cannot be reached right now \(ERR_ISSUER_UNAVAILABLE\)$/,
    );
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^koa-oauth: sign_in_refused, ERR_ISSUER_UNAVAILABLE: .*issuer\.example/,
      ),
    );
  });

  test('a request without a user is no mistake', async () => {
    const browser = await start();
    const response = await browser.get('/favicon.ico', { 'sec-fetch-dest': 'image' });
    expect([response.status, lines]).toEqual([401, []]);
  });

  test('in production nothing is printed, and events name no person and no address', async () => {
    process.env.NODE_ENV = 'production';
    const events: unknown[] = [];
    challenge(401, 'error="invalid_token", error_description="Ada"')();
    const browser = await start({ onEvent: (event) => events.push(event) });
    await open(browser);
    expect(events).toContainEqual({
      type: 'request_failed',
      code: 'ERR_API_TOKEN_REFUSED',
      detail: 'it answered 401 invalid_token',
    });
    expect(lines).toEqual([]);
  });
});
