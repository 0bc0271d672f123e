import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { type Answer, startHostileIssuer } from '../support/hostile-issuer.ts';
import { keptLog } from '../support/kept-log.ts';
import {
  CLIENT,
  connectionTo,
  leavingTo,
  type Pair,
  signInByPartner,
  signInThere,
  startPair,
} from '../support/partner.ts';
import {
  ALL_SCOPES,
  API,
  type AuthorizationRequest,
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
} from '../support/sign-in.ts';

const BOB = 'oidc|partner|auth0|bob';

let pair: Pair;
beforeAll(async () => {
  pair = await startPair();
});
afterAll(stopServers);

async function redeem(
  server: Pair['first'],
  { verifier }: AuthorizationRequest,
  callback: URLSearchParams,
): Promise<Record<string, string>> {
  const { status, body } = await requestTokens(server, {
    grant_type: 'authorization_code',
    code: callback.get('code') ?? '',
    redirect_uri: CALLBACK,
    code_verifier: verifier,
  });
  expect(status).toBe(200);
  return body;
}

describe('a user sent by the parameter connection', () => {
  test('goes to the partner without a page of ours, with state, nonce, PKCE and the exact callback', async () => {
    const { first, partner } = pair;
    const request = authorizationRequest(first, {
      connection: 'partner',
      login_hint: 'bob@example.com',
    });
    const sent = new URL(leavingTo(await openBrowser().get(request.url)));
    expect(sent.origin + sent.pathname).toBe(`${partner.issuer}authorize`);
    expect(Object.fromEntries(sent.searchParams)).toEqual({
      response_type: 'code',
      client_id: CLIENT.client_id,
      redirect_uri: `${first.issuer}login/callback`,
      scope: 'openid profile email',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      login_hint: 'bob@example.com',
    });
  });

  test("returns with the partner's profile, in both tokens, at /userinfo and after a refresh", async () => {
    const { first } = pair;
    const { request, here, page } = await signInByPartner(pair);
    expect(page.url).toContain('/u/consent/');
    expect(page.body).toContain('Bob Brown');
    const callback = callbackOf(await here.submit(page, { action: 'accept' }));
    const tokens = await redeem(first, request, callback);
    const profile = {
      sub: BOB,
      name: 'Bob Brown',
      given_name: 'Bob',
      family_name: 'Brown',
      nickname: 'bob',
      email: 'bob@example.com',
      email_verified: true,
    };
    expect(decodeJwt(tokens.id_token ?? '')).toMatchObject(profile);
    expect(decodeJwt(tokens.access_token ?? '')).toMatchObject({ sub: BOB, permissions: [] });
    const userinfo = await fetch(`${first.issuer}userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(await userinfo.json()).toMatchObject(profile);
    const refreshed = await requestTokens(first, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });
    expect(refreshed.status).toBe(200);
    expect(decodeJwt(refreshed.body.id_token ?? '')).toMatchObject(profile);
  });

  test('goes there with prompt=login and max_age, and gets a session like any other', async () => {
    const { here, there, page } = await signInByPartner(pair);
    await here.submit(page, { action: 'accept' });
    const again = { connection: 'partner', prompt: 'login', max_age: '60' };
    const { searchParams } = new URL(
      leavingTo(await here.get(authorizationRequest(pair.first, again).url)),
    );
    expect(searchParams.get('prompt')).toBe('login');
    expect(searchParams.get('max_age')).toBe('60');
    const silent = await here.get(authorizationRequest(pair.first, { prompt: 'none' }).url);
    expect(callbackOf(silent).get('code')).toBeTruthy();
    const renewed = await signInByPartner(pair, { here, there, change: again });
    expect(callbackOf(renewed.page).get('code')).toBeTruthy();
  });

  test('does not lose a session of another connection', async () => {
    const here = openBrowser();
    const login = await here.get(authorizationRequest(pair.first).url);
    const fields = { username: 'alice@example.com', password: 'alice-demo' };
    await here.submit(await here.submit(login, fields), { action: 'accept' });
    const request = authorizationRequest(pair.first, { connection: 'partner' });
    const callback = callbackOf(await here.get(request.url));
    expect(decodeJwt((await redeem(pair.first, request, callback)).id_token ?? '').sub).toBe(
      'auth0|alice',
    );
  });
});

describe('the buttons of the sign-in page', () => {
  test('the page has a button and the form', async () => {
    const { first } = await startPair(undefined, { connection: { display_name: 'Partner <b>' } });
    const [here, there] = [openBrowser(), openBrowser()];
    const login = await here.get(authorizationRequest(first).url);
    expect(login.body).toContain('name="password"');
    expect(login.body).toContain('Continue with Partner &lt;b>');
    const button = { ...login, url: `${login.url}/connection` } as typeof login;
    const sent = leavingTo(await here.submit(button, { connection: 'partner' }));
    const page = await here.get(await signInThere(there, sent));
    expect(page.url).toContain('/u/consent/');
  });

  test('a connection that is not enabled has no button, and its posted name is refused', async () => {
    const { first } = await startPair(undefined, { connection: { enabled_clients: [] } });
    const here = openBrowser();
    const login = await here.get(authorizationRequest(first).url);
    expect(login.body).not.toContain('Continue with');
    const button = { ...login, url: `${login.url}/connection` } as typeof login;
    expect((await here.submit(button, { connection: 'partner' })).statusCode).toBe(400);
  });

  test('a connection other than the requested one is refused', async () => {
    const { first, partner } = await startPair((tenant) => {
      const [known] = tenant.connections;
      tenant.connections.push({ ...known!, name: 'corp' });
    });
    const here = openBrowser();
    const asked = authorizationRequest(first, { connection: 'corp' });
    expect(leavingTo(await here.get(asked.url))).toContain(partner.issuer);
    const login = await here.get(asked.url);
    const button = { ...login, url: `${login.url}/connection` } as typeof login;
    expect((await here.submit(button, { connection: 'partner' })).statusCode).toBe(400);
    expect((await here.submit(button, { connection: 'corp' })).statusCode).toBe(303);
  });

  test('a second press invalidates the first state', async () => {
    const [here, there] = [openBrowser(), openBrowser()];
    const login = await here.get(authorizationRequest(pair.first).url);
    const button = { ...login, url: `${login.url}/connection` } as typeof login;
    const press = async () => leavingTo(await here.submit(button, { connection: 'partner' }));
    const [first, second] = [await press(), await press()];
    const [stale, fresh] = [await signInThere(there, first), await signInThere(there, second)];
    expect((await here.get(stale)).statusCode).toBe(400);
    expect(callbackOf(await here.get(fresh)).get('code')).toBeTruthy();
  });

  test('without an enabled database there is no form, and no password is accepted', async () => {
    const { first } = await startPair((tenant) => {
      const database = { name: 'db', strategy: 'auth0', enabled_clients: [], options: {} };
      tenant.connections.push(database);
    });
    const here = openBrowser();
    const login = await here.get(authorizationRequest(first).url);
    expect(login.body).not.toContain('name="password"');
    expect(login.body).toContain('Continue with partner');
    const fields = { username: 'alice@example.com', password: 'alice-demo' };
    expect((await here.submit(login, fields)).statusCode).toBe(400);
  });
});

describe('a request is refused at the callback', () => {
  test.each([
    ['an unknown connection', { connection: 'unknown' }, 'the connection was not found'],
    ['one of a strategy not known here', { connection: 'google' }, 'the connection was not found'],
    ['one that is not enabled', { connection: 'other' }, 'the connection was disabled'],
    [
      'a client without any',
      { client_id: 'lonely', redirect_uri: CALLBACK },
      'no connections enabled for the client',
    ],
  ])('%s', async (_name, change, description) => {
    const server = await startDemo((tenant) => {
      tenant.clients.push({ ...tenant.clients[0]!, client_id: 'lonely', name: 'Lonely' });
      tenant.connections.push(
        connectionTo('https://partner.example', { name: 'other', enabled_clients: [] }),
        {
          name: 'google',
          strategy: 'google-oauth2',
          enabled_clients: ['contacts-web'],
          options: {},
        },
        { name: 'db', strategy: 'auth0', enabled_clients: ['Contacts'], options: {} },
      );
    });
    const page = await openBrowser().get(authorizationRequest(server, change).url);
    expect(Object.fromEntries(callbackOf(page))).toEqual({
      error: 'invalid_request',
      error_description: description,
      state: 'state-1',
    });
  });

  test('after access_denied by the partner', async () => {
    const [here, there] = [openBrowser(), openBrowser()];
    const { url } = authorizationRequest(pair.first, { connection: 'partner' });
    const login = await there.get(leavingTo(await here.get(url)));
    const fields = { username: 'carol@example.com', password: 'carol-demo' };
    const consent = await there.submit(login, fields);
    const declined = leavingTo(await there.submit(consent, { action: 'decline' }));
    expect(Object.fromEntries(callbackOf(await here.get(declined)))).toEqual({
      error: 'access_denied',
      error_description: 'User did not authorize the request',
      state: 'state-1',
    });
  });

  test('for a blocked user', async () => {
    const { first, partner } = await startPair((tenant) => {
      const [entry] = tenant.users;
      tenant.users.push({ ...entry!, user_id: BOB, password: undefined, blocked: true });
    });
    const { page } = await signInByPartner({ first });
    expect(Object.fromEntries(callbackOf(page))).toEqual({
      error: 'unauthorized',
      error_description: 'user is blocked',
      state: 'state-1',
    });
    expect(partner.issuer).not.toBe(first.issuer);
  });
});

describe('the state', () => {
  const statusOf = async (url: string, browser = openBrowser()): Promise<number> =>
    (await browser.get(url)).statusCode;

  test('is refused when it is forged or missing', async () => {
    const { first } = pair;
    expect(await statusOf(`${first.issuer}login/callback?code=x&state=forged`)).toBe(400);
    expect(await statusOf(`${first.issuer}login/callback?code=x`)).toBe(400);
    expect(await statusOf(`${first.issuer}login/callback?state=a&state=b`)).toBe(400);
  });

  test('is valid once', async () => {
    const { here, answer, page } = await signInByPartner(pair, { user: 'alice' });
    expect(page.url).toContain('/u/consent/');
    expect(await statusOf(answer, here)).toBe(400);
    expect(await statusOf(answer)).toBe(400);
  });

  test('of another browser is refused for both', async () => {
    const [attacker, victim, there] = [openBrowser(), openBrowser(), openBrowser()];
    const { url } = authorizationRequest(pair.first, { connection: 'partner' });
    const answer = await signInThere(there, leavingTo(await attacker.get(url)), 'alice');
    const lured = await victim.get(answer);
    expect(lured.statusCode).toBe(400);
    expect(lured.url).toMatch(/\/u\/login\/[\w-]+\/callback$/);
    expect(lured.url).not.toContain('code');
    expect(await statusOf(lured.url, attacker)).toBe(400);
    expect(await statusOf(answer, attacker)).toBe(400);
  });

  test('of two open tabs is not mixed up', async () => {
    const [here, there] = [openBrowser(), openBrowser()];

    const answers: string[] = [];
    for (const state of ['tab-1', 'tab-2']) {
      const { url } = authorizationRequest(pair.first, { connection: 'partner', state });
      answers.unshift(await signInThere(there, leavingTo(await here.get(url)), 'carol'));
    }
    const consent = await here.get(answers[0] ?? '');
    const accepted = callbackOf(await here.submit(consent, { action: 'accept' }));
    expect(accepted.get('state')).toBe('tab-2');
    expect(callbackOf(await here.get(answers[1] ?? '')).get('state')).toBe('tab-1');
  });
});

describe('the user', () => {
  test("has the roles and metadata of the tenant's entry, and of no one with the same address", async () => {
    const { first } = await startPair((tenant) => {
      const [alice] = tenant.users;
      tenant.users.push({
        ...alice!,
        user_id: BOB,
        password: undefined,
        name: 'Somebody',
        roles: ['admin'],
        app_metadata: { org_id: 'globex' },
      });
    });
    const claimsOf = async (user: string) => {
      const { request, here, page } = await signInByPartner({ first }, { user });
      const callback = callbackOf(await here.submit(page, { action: 'accept' }));
      return decodeJwt((await redeem(first, request, callback)).access_token ?? '');
    };
    const bob = await claimsOf('bob');
    expect(bob.permissions).toHaveLength(5);
    expect(bob.scope).toBe(ALL_SCOPES);
    expect(bob['https://contacts.example.com/org_id']).toBe('globex');
    expect(await claimsOf('alice')).toMatchObject({
      sub: 'oidc|partner|auth0|alice',
      permissions: [],
    });
  });

  test('is a member of an organization by id, not by an address that the partner claims', async () => {
    const { first } = await startPair((tenant) => {
      tenant.organizations.push(
        { name: 'by-id', id: 'org_id', metadata: {}, members: [BOB] },
        { name: 'by-mail', id: 'org_mail', metadata: {}, members: ['bob@example.com'] },
      );
    });
    const member = await signInByPartner({ first }, { change: { organization: 'org_id' } });
    expect(member.page.url).toContain('/u/consent/');
    const stranger = await signInByPartner({ first }, { change: { organization: 'org_mail' } });
    expect(callbackOf(stranger.page).get('error_description')).toBe(
      `user ${BOB} is not part of the org_mail organization`,
    );
  });

  test('can’t sign in with a password, not even one of the same address', async () => {
    const { first } = await startPair((tenant) => {
      const [alice] = tenant.users;
      tenant.users.unshift({ ...alice!, user_id: 'oidc|partner|1', password: 'pretended' });
    });
    const here = openBrowser();
    const login = await here.get(authorizationRequest(first).url);
    const fields = { username: 'alice@example.com', password: 'pretended' };
    expect((await here.submit(login, fields)).statusCode).toBe(400);
  });
});

test('an Action sees the connection, the identity and how the user signed in', async () => {
  const { first } = await startPair((tenant) => {
    const seen = actionOf(
      `api.idToken.setCustomClaim('https://x.example/seen', {
         connection: event.connection, identities: event.user.identities,
         methods: event.authentication.methods.map(({ name }) => name) });`,
    );
    Object.assign(tenant, { postLogin: [seen] });
  });
  const { request, here, page } = await signInByPartner({ first });
  const callback = callbackOf(await here.submit(page, { action: 'accept' }));
  const tokens = await redeem(first, request, callback);
  const seen = {
    connection: { id: 'con_partner', name: 'partner', strategy: 'oidc' },
    identities: [
      { connection: 'partner', provider: 'oidc', user_id: 'partner|auth0|bob', isSocial: false },
    ],
    methods: ['federated'],
  };
  expect(decodeJwt(tokens.id_token ?? '')['https://x.example/seen']).toEqual(seen);
  const { body } = await requestTokens(first, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  expect(decodeJwt(body.id_token ?? '')['https://x.example/seen']).toEqual(seen);
});

test('a partner that is down is a page with 503, a reference and a link back', async () => {
  const { logger, lines } = keptLog();
  const { first, partner } = await startPair(undefined, { logger });
  const url = new URL(partner.url);
  await partner.close();
  const here = openBrowser();
  const login = await here.get(authorizationRequest(first).url);
  const button = { ...login, url: `${login.url}/connection` } as typeof login;
  const page = await here.submit(button, { connection: 'partner' });
  expect(page.statusCode).toBe(503);
  const reference = /Reference <code>([0-9a-f]{12})<\/code>/.exec(page.body)?.[1];
  expect(lines).toContainEqual(
    expect.objectContaining({
      connection: 'partner',
      reference,
      err: expect.objectContaining({ message: `http://localhost:${url.port} can't be reached` }),
    }),
  );
  expect(page.body).toContain(`href="${new URL(login.url).pathname}"`);
  expect((await here.get(login.url)).body).toContain('name="password"');
  expect(first.log()[0]?.steps.at(-1)).toMatchObject({ step: 'connection', outcome: 'failed' });
});

test('a partner with a wrong answer is a page with 502, and no sign-in', async () => {
  const evil = await startHostileIssuer(CLIENT.client_id);
  const first = await startDemo((tenant) => {
    tenant.connections.push(connectionTo(evil.issuer));
  });
  const here = openBrowser();
  const { url } = authorizationRequest(first, { connection: 'partner' });
  const comeBack = async (change?: Partial<Answer>) => {
    const { searchParams } = new URL(leavingTo(await here.get(url)));
    evil.answer(searchParams.get('nonce') ?? '', (answer) => Object.assign(answer, change));
    return here.get(`${first.issuer}login/callback?code=c&state=${searchParams.get('state')}`);
  };
  const replayed = { sub: 'eve', iss: evil.issuer, aud: CLIENT.client_id, nonce: 'of another' };
  for (const change of [{ key: evil.otherKey }, { claims: replayed }]) {
    const page = await comeBack(change);
    expect(page.statusCode).toBe(502);
    expect(page.body).toMatch(/Reference <code>[0-9a-f]{12}/);
    expect(page.body).toContain('Back to the sign-in');
  }
  const silent = await here.get(authorizationRequest(first, { prompt: 'none' }).url);
  expect(callbackOf(silent).get('error')).toBe('login_required');
  expect((await comeBack()).url).toContain('/u/consent/');
  await evil.close();
});

test('the record and the log have each step and no secret', async () => {
  const { logger, lines } = keptLog();
  const { first } = await startPair(undefined, { logger });
  const { sent, answer, request, here, page } = await signInByPartner({ first });
  await here.submit(page, { action: 'accept' });
  expect(first.log()[0]?.steps.filter(({ step }) => step !== 'actions')).toMatchObject([
    { step: 'request', audience: API },
    { step: 'connection', name: 'partner', outcome: 'sent' },
    { step: 'connection', name: 'partner', outcome: 'returned' },
    { step: 'sign-in', outcome: 'succeeded', user: BOB },
    { step: 'consent', outcome: 'accepted' },
    { step: 'code' },
  ]);
  const secrets = [
    CLIENT.client_secret,
    sent.searchParams.get('state'),
    sent.searchParams.get('nonce'),
    new URL(answer).searchParams.get('code'),
    request.verifier,
  ].map(String);
  for (const written of [JSON.stringify(first.log()), JSON.stringify(lines)]) {
    for (const secret of secrets) expect(written).not.toContain(secret);
  }
});
