import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { parse } from 'node-html-parser';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { takeClock } from './support/clock.ts';
import { actionOf, startDemo, stopServers } from './support/demo-server.ts';
import {
  API,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  type Page,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

type Form = Record<string, string | undefined>;

const WEB = { client_id: 'contacts-web', client_secret: 'contacts-web-demo-secret' };
const OTHER = { client_id: 'other-web', client_secret: 'other-web-secret' };
const CLI = { client_id: 'contacts-cli', client_secret: 'contacts-cli-demo-secret' };
const UNGRANTED = 'https://ungranted.example.com/api';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo((tenant) => {
    tenant.clients.push({ ...tenant.clients[0]!, ...OTHER, name: 'Another application' });
    tenant.resourceServers.push({ ...tenant.resourceServers[0]!, identifier: UNGRANTED });
    tenant.users[2]!.blocked = true;
  });
});
afterAll(stopServers);

const post = async (
  path: string,
  form: Form,
  headers: Record<string, string> = {},
  to: AuthorizationServer = server,
) => {
  const sent = Object.entries(form).filter((field): field is [string, string] => !!field[1]);
  const { statusCode, body } = await got.post(new URL(path, to.issuer), {
    form: Object.fromEntries(sent),
    headers,
    throwHttpErrors: false,
  });
  return { status: statusCode, body: body === '' ? undefined : JSON.parse(body) };
};

const refusal = (status: number, error: string, error_description: string) => ({
  status,
  body: { error, error_description },
});

/** A code of alice's, as the web application would send it. */
const freshCode = async (change: Form = {}): Promise<Form> => {
  const request = authorizationRequest(server, change);
  const code = (await signIn(openBrowser(), request)).get('code') ?? '';
  expect(code).not.toBe('');
  return {
    grant_type: 'authorization_code',
    ...WEB,
    code,
    redirect_uri: CALLBACK,
    code_verifier: request.verifier,
  };
};

const refreshWith = (refresh_token: string, change: Form = {}) =>
  post('oauth/token', { grant_type: 'refresh_token', ...WEB, refresh_token, ...change });

describe('an authorization code', () => {
  const invalid = refusal(403, 'invalid_grant', 'Invalid authorization code');
  const unverified = refusal(403, 'invalid_grant', 'Failed to verify code verifier');
  const redirected = (sent: string) =>
    refusal(
      403,
      'unauthorized_client',
      `The redirect URI is wrong. You sent ${sent}, and we expected that of the authorization request`,
    );
  const [FOREIGN, FRAGMENT] = ['http://evil.example/callback', `${CALLBACK}#x`];

  test.each<[string, Form, object]>([
    ['forged', { code: 'x'.repeat(43) }, invalid],
    ['of another application', OTHER, invalid],
    ['with a wrong verifier', { code_verifier: 'x'.repeat(43) }, unverified],
    ['with a verifier that is too short', { code_verifier: 'short' }, unverified],
    ['without its verifier', { code_verifier: undefined }, unverified],
    ['with a foreign redirect_uri', { redirect_uri: FOREIGN }, redirected(FOREIGN)],
    ['with a fragment in redirect_uri', { redirect_uri: FRAGMENT }, redirected(FRAGMENT)],
    ['without redirect_uri', { redirect_uri: undefined }, redirected('null')],
  ])('%s', async (_name, change, expected) => {
    proves('RFC 9700 §4.5');
    expect(await post('oauth/token', { ...(await freshCode()), ...change })).toEqual(expected);
  });

  test('is refused at its second use, which revokes the tokens of the first', async () => {
    const form = await freshCode({ audience: undefined, scope: 'openid offline_access' });
    const { status, body: tokens } = await post('oauth/token', form);
    expect(status).toBe(200);
    expect(await post('oauth/token', form)).toEqual(invalid);

    expect((await refreshWith(tokens.refresh_token)).status).toBe(403);
    const userinfo = await got(`${server.issuer}userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
      throwHttpErrors: false,
    });
    expect(userinfo.statusCode).toBe(401);
  });
});

describe('a refresh token', () => {
  const invalid = refusal(403, 'invalid_grant', 'Unknown or invalid refresh token.');
  const refreshToken = async () => (await tokensFor(server)).tokens.refresh_token ?? '';

  test('is refused when it is unknown', async () => {
    expect(await refreshWith('bogus')).toEqual(invalid);
  });

  test('of another application is refused, and stays valid for its own', async () => {
    proves('RFC 9700 §4.14');
    const token = await refreshToken();
    expect(await refreshWith(token, OTHER)).toEqual(invalid);
    expect((await refreshWith(token)).status).toBe(200);
  });

  test('is refused when it is reused, and so is its successor', async () => {
    const token = await refreshToken();
    const { body } = await refreshWith(token);
    expect(await refreshWith(token)).toEqual(invalid);
    expect(await refreshWith(body.refresh_token)).toEqual(invalid);
  });

  test('is refused when it is revoked', async () => {
    const token = await refreshToken();
    expect(await post('oauth/revoke', { ...WEB, token })).toEqual({ status: 200 });
    expect(await refreshWith(token)).toEqual(invalid);
  });

  test.each([
    ['at its end', { token_lifetime: 1 }],
    ['that has lain idle', { token_lifetime: 100, idle_token_lifetime: 1 }],
  ])('expired, %s', async (_name, change) => {
    const clock = takeClock();
    const brief = await startDemo((tenant) => {
      Object.assign(tenant.clients[0]!.refresh_token, change);
    });
    const { tokens } = await tokensFor(brief);
    clock.pass(1100);
    const form = { grant_type: 'refresh_token', ...WEB, refresh_token: tokens.refresh_token };
    expect(await post('oauth/token', form, {}, brief)).toEqual(invalid);
  });

  test('is refused with more than its scope, and stays valid', async () => {
    const { tokens } = await tokensFor(server, 'alice', {
      scope: 'openid offline_access read:contacts',
    });
    const token = tokens.refresh_token ?? '';
    const { status, body } = await refreshWith(token, { scope: 'openid delete:contacts' });
    expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_scope' });
    expect((await refreshWith(token)).status).toBe(200);
  });

  test('is not revoked by another application', async () => {
    const token = await refreshToken();
    await post('oauth/revoke', { ...OTHER, token });
    expect((await refreshWith(token)).status).toBe(200);
  });
});

describe('a client', () => {
  const unauthorized = refusal(401, 'access_denied', 'Unauthorized');
  const basic = (id: string, secret: string) => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
  });
  const machine = { grant_type: 'client_credentials', audience: API };

  test.each<[string, Form, Record<string, string>, object]>([
    ['with a wrong secret', { ...CLI, client_secret: 'wrong' }, {}, unauthorized],
    ['with a wrong secret in Basic', {}, basic(CLI.client_id, 'wrong'), unauthorized],
    ['with the secret of another', { ...CLI, client_secret: WEB.client_secret }, {}, unauthorized],
    ['without its secret', { client_id: CLI.client_id }, {}, unauthorized],
    ['unknown', { client_id: 'unknown', client_secret: 'x' }, {}, unauthorized],
    [
      'not named',
      { client_secret: CLI.client_secret },
      {},
      refusal(401, 'invalid_client', 'No client_id: name the application'),
    ],
    [
      'without the grant',
      WEB,
      {},
      refusal(
        403,
        'unauthorized_client',
        "Grant type 'client_credentials' not allowed for the client.",
      ),
    ],
  ])('%s', async (_name, client, headers, expected) => {
    proves('RFC 9700 §2.5', 'ASVS 10.4.10');
    expect(await post('oauth/token', { ...machine, ...client }, headers)).toEqual(expected);
  });

  test('with a wrong secret does not use up the code', async () => {
    const form = await freshCode();
    expect(await post('oauth/token', { ...form, client_secret: 'wrong' })).toEqual(unauthorized);
    expect((await post('oauth/token', form)).status).toBe(200);
  });
});

describe('a grant type', () => {
  const notAllowed = (name: string) =>
    refusal(403, 'unauthorized_client', `Grant type '${name}' not allowed for the client.`);
  const unsupported = (shown: string) =>
    refusal(403, 'unsupported_grant_type', `Unsupported grant type: ${shown}`);

  test.each([
    'password',
    'implicit',
    'http://auth0.com/oauth/grant-type/password-realm',
    'http://auth0.com/oauth/grant-type/passwordless/otp',
    'urn:ietf:params:oauth:grant-type:token-exchange',
  ])('of Auth0 is refused as not allowed: %s', async (grant_type) => {
    proves('RFC 9700 §2.4', 'ASVS 10.4.4');
    const form = { ...WEB, grant_type, username: 'alice@example.com', password: 'alice-demo' };
    expect(await post('oauth/token', form)).toEqual(notAllowed(grant_type));
  });

  test.each([
    ['made up', 'magic', 'magic'],
    ['of an object', 'constructor', 'constructor'],
    ['with a pattern', "$&$'%s", "$&$'%s"],
    ['with line breaks and quotes', 'a\r\nSet-Cookie: "x"\\', 'a??Set-Cookie: ?x??'],
    ['in other letters', 'ключ<script>', '????<script>'],
    ['without end', 'x'.repeat(5000), `${'x'.repeat(100)}...`],
  ])('%s', async (_name, grant_type, shown) => {
    expect(await post('oauth/token', { ...WEB, grant_type })).toEqual(unsupported(shown));
  });

  test('is checked after the client', async () => {
    const form = { ...WEB, client_secret: 'wrong', grant_type: 'password' };
    expect(await post('oauth/token', form)).toEqual(refusal(401, 'access_denied', 'Unauthorized'));
  });

  test('is required', async () => {
    const { status, body } = await post('oauth/token', WEB);
    expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_request' });
  });
});

test('too many requests are refused with 429', async () => {
  const busy = await startDemo((tenant) => {
    tenant.rate_limits = { token: { limit: 1, window: 3600 } };
  });
  const ask = () =>
    got.post(new URL('oauth/token', busy.issuer), {
      form: { grant_type: 'client_credentials', ...CLI, audience: API },
      throwHttpErrors: false,
      retry: { limit: 0 },
    });
  expect((await ask()).statusCode).toBe(200);
  const { statusCode, headers, body } = await ask();
  expect({ status: statusCode, body: JSON.parse(body) }).toEqual(
    refusal(
      429,
      'too_many_requests',
      'Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.',
    ),
  );
  expect(headers).toMatchObject({ 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0' });
  // Epoch seconds.
  expect(Number(headers['x-ratelimit-reset']) * 1000).toBeGreaterThan(Date.now());
});

describe('client credentials', () => {
  test.each([
    ['invalid_scope', 400],
    ['invalid_request', 400],
    ['server_error', 500],
  ])('denied by an Action with %s', async (code, status) => {
    const denial = `exports.onExecuteCredentialsExchange = async (event, api) => {
      api.access.deny('${code}', 'Not this machine');
    };`;
    const strict = await startDemo((tenant) => {
      const action = { ...actionOf(''), code: denial };
      Object.assign(tenant, { credentialsExchange: [action] });
    });
    const form = { grant_type: 'client_credentials', ...CLI, audience: API };
    expect(await post('oauth/token', form, {}, strict)).toEqual(
      refusal(status, code, 'Not this machine'),
    );
  });

  test.each<[string, Form, string]>([
    [
      'for an unknown API',
      { audience: 'https://unknown.example.com' },
      'Service not enabled within domain: https://unknown.example.com',
    ],
    [
      'for an API without a grant',
      { audience: UNGRANTED },
      `Client is not authorized to access "${UNGRANTED}". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`,
    ],
    [
      'for more than the grant',
      { audience: API, scope: 'read:contacts delete:contacts' },
      'Client has not been granted scopes: delete:contacts',
    ],
    ['for no API', {}, 'Non-global clients are not allowed access to APIv1'],
  ])('%s', async (_name, form, text) => {
    const answer = await post('oauth/token', { grant_type: 'client_credentials', ...CLI, ...form });
    expect(answer).toEqual(refusal(403, 'access_denied', text));
  });
});

describe('an authorization request that is answered at the callback', () => {
  const redirected = (page: Page) => {
    expect(page.statusCode).toBe(303);
    expect(page.headers.location).toMatch(/^http:\/\/localhost:3000\/callback\?/);
    return Object.fromEntries(callbackOf(page));
  };
  const answered = (error: string, error_description: string) => ({
    error,
    error_description,
    state: 'state-1',
  });
  const enter = async (from: AuthorizationServer, user = 'alice') => {
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(from).url);
    const form = { username: `${user}@example.com`, password: `${user}-demo` };
    return browser.submit(login, form);
  };

  test('for an unknown API', async () => {
    proves('RFC 9068 §3');
    const { url } = authorizationRequest(server, { audience: 'https://unknown.example.com' });
    expect(redirected(await openBrowser().get(url))).toEqual(
      answered('access_denied', 'Service not found: https://unknown.example.com'),
    );
  });

  test.each([
    ['denied by an Action', "api.access.deny('Not on Sundays');", 'Not on Sundays'],
    ['broken by an Action', "throw new Error('The CRM is down');", 'The CRM is down'],
  ])('%s', async (_name, body, text) => {
    const strict = await startDemo((tenant) => {
      Object.assign(tenant, { postLogin: [actionOf(body)] });
    });
    expect(redirected(await enter(strict))).toEqual(answered('access_denied', text));
  });

  test('fails silently without a session', async () => {
    const { url } = authorizationRequest(server, { prompt: 'none' });
    expect(redirected(await openBrowser().get(url))).toEqual(
      answered('login_required', 'Login required'),
    );
  });

  test('fails silently without consent', async () => {
    const browser = openBrowser();
    await signIn(browser, authorizationRequest(server, { scope: 'openid' }), 'bob');
    const { url } = authorizationRequest(server, { prompt: 'none' });
    expect(redirected(await browser.get(url))).toEqual(
      answered('consent_required', 'Consent required'),
    );
  });

  test.each(['org_unknown', '<script>'])(
    'is refused for the unknown organization %s',
    async (org) => {
      const { url } = authorizationRequest(server, { organization: org });
      expect(redirected(await openBrowser().get(url))).toEqual(
        answered('invalid_request', `parameter organization is invalid: ${org}`),
      );
    },
  );

  test('is refused for an organization without the user', async () => {
    const strict = await startDemo((tenant) => {
      tenant.organizations.push({ name: 'acme', id: 'org_acme', metadata: {}, members: [] });
    });
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(strict, { organization: 'org_acme' }).url);
    const form = { username: 'alice@example.com', password: 'alice-demo' };
    expect(redirected(await browser.submit(login, form))).toEqual(
      answered('access_denied', 'user auth0|alice is not part of the org_acme organization'),
    );
  });

  test('is refused when the user declines', async () => {
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(server).url);
    const form = { username: 'bob@example.com', password: 'bob-demo' };
    const consent = await browser.submit(login, form);
    expect(redirected(await browser.submit(consent, { action: 'decline' }))).toEqual(
      answered('access_denied', 'User did not authorize the request'),
    );
  });

  test('is refused for a blocked user', async () => {
    proves('ASVS 7.4.2');
    expect(redirected(await enter(server, 'carol'))).toEqual(
      answered('unauthorized', 'user is blocked'),
    );
  });
});

describe('a request that is answered by a page, never a redirect', () => {
  const authorize = (change: Form) => authorizationRequest(server, change).url;
  const logout = (params: Record<string, string>) =>
    `${server.issuer}v2/logout?${new URLSearchParams(params)}`;
  const mismatch = (url: string) => `${url} is not in the list of allowed callback URLs`;
  const notAllowed = (url: string) =>
    `The "returnTo" querystring parameter "${url}" is not defined as a valid URL in "Allowed Logout URLs"`;
  const evil = 'http://evil.example/';

  test.each<[string, () => string, string, string]>([
    [
      'a foreign callback',
      () => authorize({ redirect_uri: evil }),
      'Callback URL mismatch',
      mismatch(evil),
    ],
    [
      'a foreign callback, silently',
      () => authorize({ redirect_uri: evil, prompt: 'none' }),
      'Callback URL mismatch',
      mismatch(evil),
    ],
    [
      'a callback with a fragment',
      () => authorize({ redirect_uri: `${CALLBACK}#x` }),
      'Callback URL mismatch',
      mismatch(`${CALLBACK}#x`),
    ],
    [
      'an unknown client',
      () => authorize({ client_id: '<b>who</b>' }),
      'Unknown client',
      'Unknown client: <b>who</b>',
    ],
    [
      'a foreign logout URL',
      () => logout({ client_id: 'contacts-web', returnTo: evil }),
      'Logout URL mismatch',
      notAllowed(evil),
    ],
    [
      'a foreign logout URL without a client',
      () => logout({ returnTo: evil }),
      'Logout URL mismatch',
      notAllowed(evil),
    ],
  ])('%s', async (_name, url, title, text) => {
    const page = await openBrowser().get(url());
    expect(page.statusCode).toBe(400);
    expect(page.headers.location).toBeUndefined();
    expect(page.headers['content-type']).toContain('text/html');
    const content = parse(page.body);
    expect(content.querySelector('h1')?.text).toBe(title);
    expect(content.querySelector('.error-text')?.text).toContain(text);
  });
});
