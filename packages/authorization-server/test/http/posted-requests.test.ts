import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import type { AuthorizationServer } from '../../src/index.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import {
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  tokensFor,
} from '../support/sign-in.ts';

const FOREIGN = 'https://app.example.com';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo(undefined, { control: 0 });
});
afterAll(stopServers);

const post = (path: string, body: string | URLSearchParams, headers: Record<string, string> = {}) =>
  fetch(new URL(path, server.issuer), {
    method: 'POST',
    body,
    redirect: 'manual',
    headers: { accept: 'text/html', ...headers },
  });
const formOf = (change: Record<string, string | undefined> = {}) =>
  new URL(authorizationRequest(server, change).url).searchParams;

describe('a posted authorization request (OpenID Connect Core §3.1.2.1)', () => {
  test('leads to the sign-in, and the code is exchanged', async () => {
    const browser = openBrowser();
    const { url, verifier } = authorizationRequest(server);
    const [target, query = ''] = url.split('?');
    const form = Object.fromEntries(new URLSearchParams(query));
    let page = await browser.submit({ url: String(target) }, form);
    expect(page.url).toContain('/u/login/');
    page = await browser.submit(page, { username: 'alice@example.com', password: 'alice-demo' });
    page = await browser.submit(page, { action: 'accept' });
    const answer = await requestTokens(server, {
      grant_type: 'authorization_code',
      code: callbackOf(page).get('code') ?? '',
      redirect_uri: CALLBACK,
      code_verifier: verifier,
    });
    expect(answer.status).toBe(200);
  });

  test.each<[string, string, number | string]>([
    ['an unknown client', `${new URLSearchParams({ client_id: 'x' })}`, 400],
    ['no client', '', 400],
    ['another callback', 'redirect_uri=https://evil.example/', 400],
    ['a parameter twice', 'state=1&state=2', 'invalid_request'],
    ['an unknown response type', 'response_type=token', 'unsupported_response_type'],
    ['prompt=none without a session', 'prompt=none', 'login_required'],
    ['an unknown API', 'audience=https://other.example/', 'access_denied'],
  ])('with %s has the answer of a GET', async (_name, change, expected) => {
    const form = formOf();
    const changed = new URLSearchParams(change);
    for (const name of changed.keys()) form.delete(name);
    const body = change === '' ? 'state=1' : `${form}&${change}`;
    const answers = await Promise.all([
      post('authorize', body, { 'content-type': 'application/x-www-form-urlencoded' }),
      fetch(`${server.issuer}authorize?${body}`, {
        redirect: 'manual',
        headers: { accept: 'text/html' },
      }),
    ]);
    const [posted, got] = answers.map((one) => [one.status, one.headers.get('location')]);
    expect(posted).toEqual(got);
    const { status, headers } = answers[0];
    if (typeof expected === 'number') expect(status).toBe(expected);
    else expect(headers.get('location')).toContain(`error=${expected}`);
  });

  test('ignores the parameters of its URL', async () => {
    const { status } = await post(`authorize?${formOf()}`, new URLSearchParams({ state: '1' }));
    expect(status).toBe(400);
  });

  test('must be a form of at most 10 kB', async () => {
    const json = await post('authorize', '{}', { 'content-type': 'application/json' });
    const long = await post('authorize', formOf({ state: 'x'.repeat(10_240) }));
    expect([json.status, long.status]).toEqual([415, 413]);
  });

  test('meets the faults of the endpoint', async () => {
    server.faults.add({ endpoint: '/authorize', status: 503 });
    expect((await post('authorize', formOf())).status).toBe(503);
    expect((await post('authorize', formOf())).status).toBe(303);
  });

  describe('of another site, without the cookie that browsers withhold', () => {
    const forward = async (form: URLSearchParams, origin = FOREIGN) => {
      const answer = await post('authorize', form, { origin });
      return new URL(answer.headers.get('location') ?? '', server.issuer);
    };

    test.each([FOREIGN, 'null', 'http://localhost:1'])(
      'from %s finds the session of the user in a second step',
      async (origin) => {
        const { browser } = await tokensFor(server);
        const url = await forward(formOf({ prompt: 'none', state: 'xyz-state' }), origin);
        expect(url.pathname).toBe('/authorize');
        expect([...url.searchParams.keys()]).toEqual(['posted_request']);
        const callback = callbackOf(await browser.get(url.href));
        expect(callback.get('code')).toBeTruthy();
        expect(callback.get('state')).toBe('xyz-state');
      },
    );

    test('is one transaction in the log', async () => {
      const { browser } = await tokensFor(server);
      server.reset();
      const url = await forward(formOf({ prompt: 'none' }));
      await browser.get(url.href);
      const log = server.log();
      expect(log.map(({ client }) => client)).toEqual(['contacts-web']);
    });

    test('ends: an unknown one is a page', async () => {
      const page = await openBrowser().get(`${server.issuer}authorize?posted_request=made-up`);
      expect(page.statusCode).toBe(400);
      expect(page.body).toContain('This sign-in has ended');
    });

    test('from the issuer itself needs no second step', async () => {
      const url = await forward(formOf(), new URL(server.issuer).origin);
      expect(url.pathname).toContain('/u/login/');
    });
  });
});

describe('a posted logout (OpenID Connect RP-Initiated Logout §2)', () => {
  test.each([undefined, FOREIGN])('from %p ends the session', async (origin) => {
    const { browser, tokens } = await tokensFor(server);
    const form = {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: 'http://localhost:3000',
      state: 'bye',
    };
    const url = `${server.issuer}oidc/logout`;
    let page: Awaited<ReturnType<typeof browser.get>>;
    if (origin === undefined) page = await browser.submit({ url }, form);
    else {
      const answer = await post('oidc/logout', new URLSearchParams(form), { origin });
      const location = answer.headers.get('location') ?? '';
      expect(location).not.toContain(form.id_token_hint);
      page = await browser.get(new URL(location, url).href);
    }
    expect(page.headers.location).toBe('http://localhost:3000/?state=bye');
    const silent = authorizationRequest(server, { prompt: 'none' });
    expect(callbackOf(await browser.get(silent.url)).get('error')).toBe('login_required');
  });

  test('without a hint asks first', async () => {
    const { browser } = await tokensFor(server);
    const page = await browser.submit({ url: `${server.issuer}oidc/logout` }, {});
    expect(page.body).toContain('Sign out?');
  });
});

describe('userinfo with the token in the query, as passport-auth0 sends it', () => {
  const userinfo = (query: Record<string, string | string[]>, headers = {}) =>
    got(`${server.issuer}userinfo`, {
      searchParams: new URLSearchParams(
        Object.entries(query).flatMap(([name, values]) =>
          [values].flat().map((value) => [name, value]),
        ),
      ),
      headers,
      throwHttpErrors: false,
      retry: { limit: 0 },
    });

  test.each([{ audience: undefined }, {}])('is answered for a token with %j', async (change) => {
    const { tokens } = await tokensFor(server, 'alice', change);
    const { statusCode, body, headers } = await userinfo({
      access_token: tokens.access_token ?? '',
    });
    expect(statusCode).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ sub: 'auth0|alice', email: 'alice@example.com' });
    expect(headers['cache-control']).toBe('no-store');
  });

  test('is refused twice or in two ways; neither answer nor log has the token', async () => {
    const { tokens } = await tokensFor(server);
    const token = tokens.access_token ?? '';
    const changed = `${token.slice(0, -8)}AAAAAAAA`;
    const answers = [
      await userinfo({ access_token: token }, { authorization: `Bearer ${token}` }),
      await userinfo({ access_token: [token, token] }),
      await userinfo({ access_token: changed }),
      await userinfo({ access_token: token, scope: 'address' }),
      await userinfo({ access_token: changed }, { accept: 'text/html' }),
    ];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400, 401, 403, 401]);
    const page = await got(`${server.issuer}log`);
    const written = [...answers.map((one) => one.body + JSON.stringify(one.headers)), page.body];
    for (const text of [...written, JSON.stringify(server.log())]) {
      for (const part of token.split('.')) expect(text).not.toContain(part);
    }
  });
});
