import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import nock from 'nock';
import { type ClientMessage, maskParameters, reportMessage } from '../src/messages.ts';
import { memoryStore } from '../src/session/stores/memory.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { BASE_URL, startWebApp, type WebApp } from './support/web-app.ts';

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln';

describe('masking', () => {
  test.each([
    'access_token',
    'actor_token',
    'client_assertion',
    'client_secret',
    'code',
    'code_verifier',
    'id_token',
    'id_token_hint',
    'invitation',
    'logout_token',
    'mfa_token',
    'otp',
    'password',
    'refresh_token',
    'REFRESH_TOKEN',
    'request',
    'session_transfer_token',
    'ticket',
  ])('of %s only the length is kept', (name) => {
    expect(maskParameters({ [name]: 'sesame' })).toEqual({ [name]: '… (6 characters)' });
  });

  test('so it is of a token under any name, and of what is no plain value', () => {
    expect(maskParameters({ note: JWT, list: ['sesame'], map: { a: 'sesame' } })).toEqual({
      note: `… (${JWT.length} characters)`,
      list: '… (10 characters)',
      map: '… (14 characters)',
    });
  });

  test('whatever is sent, no secret is shown and little is kept', () => {
    const secrets = fc.constantFrom('access_token', 'code', 'client_secret', 'x_token');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), secrets, (members, name) => {
        const shown = maskParameters({ ...members, [name]: 'sesame-open' });
        expect(JSON.stringify(shown)).not.toContain('sesame-open');
        for (const value of Object.values(shown)) expect(typeof value).toBe('string');
      }),
    );
  });

  test('other values stay, up to 1000 characters of 40 of them', () => {
    const shown = {
      client_assertion_type: 'urn:x',
      code_challenge: 'abc',
      code_challenge_method: 'S256',
      expires_in: 3600,
      grant_type: 'authorization_code',
      scope: 'openid',
      token_type: 'Bearer',
      token_type_hint: 'refresh_token',
      none: null,
      never: undefined,
    };
    const { none, never, ...rest } = shown;
    expect(maskParameters(shown)).toEqual({ ...rest, expires_in: '3600' });
    expect(maskParameters({ scope: 'x'.repeat(2000) }).scope).toHaveLength(1000);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, 'x']));
    expect(Object.keys(maskParameters(many))).toHaveLength(40);
  });
});

describe('a message', () => {
  const messages: ClientMessage[] = [];
  const options = { onMessage: (message: ClientMessage) => messages.push(message), now: () => 5 };

  test('has its login and its time, and where it went without a query', () => {
    reportMessage(options, 'login-1', 'authorization_request', {
      url: 'https://issuer.example/authorize?code=sesame#x',
      parameters: { scope: 'openid' },
    });
    const answer = { status: 500, parameters: 'no JSON: sesame' };
    reportMessage(options, 'login-1', 'token_response', answer);
    expect(messages).toEqual([
      {
        loginId: 'login-1',
        step: 'authorization_request',
        at: 5,
        url: 'https://issuer.example/authorize',
        parameters: { scope: 'openid' },
      },
      { loginId: 'login-1', step: 'token_response', at: 5, status: 500, parameters: {} },
    ]);
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('stops nothing when the callback %s', async (_name, onMessage) => {
    reportMessage({ ...options, onMessage }, 'login-1', 'token_request', { parameters: {} });
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('stops nothing when the message is nested too deep', () => {
    const x: unknown = JSON.parse(`${'['.repeat(9000)}${']'.repeat(9000)}`);
    reportMessage({ ...options, onMessage() {} }, 'login-1', 'token_response', {
      parameters: { x },
    });
  });
});

describe('onMessage', () => {
  let issuer: IssuerStandIn;
  let app: WebApp | undefined;
  let now: number;

  beforeEach(() => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer({ pushed_authorization_request_endpoint: `${ISSUER}oauth/par` });
    now = Date.now();
  });

  afterEach(async () => {
    await app?.served.close();
    nock.cleanAll();
  });

  test('a sign-in and its refreshes are handed out for their session, and no secret', async () => {
    const messages: ClientMessage[] = [];
    const steps = () => messages.splice(0).map(({ step }) => step);
    app = await startWebApp(issuer, {
      onMessage: (message) => messages.push(message),
      pushedAuthorizationRequests: true,
      clientAuthMethod: 'client_secret_post',
      session: { store: memoryStore({ now: () => now }) },
      now: () => now,
    });
    // Another login that begins at the same time has another name.
    await app.begin('/login', app.served.browser());
    const other = messages[0]?.loginId;
    steps();
    await app.signIn({ name: 'Ada' }, { device_secret: 'device-secret-1' });
    const all = [...messages];
    expect(steps()).toEqual([
      'pushed_authorization_request',
      'pushed_authorization_response',
      'authorization_request',
      'authorization_response',
      'token_request',
      'token_response',
    ]);
    for (const count of [2, 3]) {
      now += 3_600_000;
      app.grant(
        {},
        {
          id_token: undefined,
          access_token: `access-${count}`,
          refresh_token: `refresh-${count}`,
        },
      );
      expect((await app.browser.get('/private')).status).toBe(200);
    }
    all.push(...messages);
    expect(steps()).toEqual([
      'refresh_request',
      'refresh_response',
      'refresh_request',
      'refresh_response',
    ]);
    const { loginId } = (await (await app.browser.get('/')).json()) as { loginId: string };
    expect(loginId).toMatch(/^[\w-]{16}$/);
    expect(loginId).not.toBe(other);
    expect(new Set(all.map((message) => message.loginId))).toEqual(new Set([loginId]));
    expect(all.at(-1)).toMatchObject({ at: now, status: 200, parameters: { expires_in: '3600' } });
    expect(all[0]).toMatchObject({
      url: `${ISSUER}oauth/par`,
      parameters: { redirect_uri: `${BASE_URL}/callback`, code_challenge_method: 'S256' },
    });
    expect(all[2]).toMatchObject({
      url: `${ISSUER}authorize`,
      parameters: { client_id: 'client-1' },
    });
    expect(all[4]?.parameters.grant_type).toBe('authorization_code');

    const [{ form } = { form: new URLSearchParams() }] = issuer.tokenRequests;
    const [cookie] = await app.browser.jar.getCookies(BASE_URL);
    const secrets = [
      'client-secret-1',
      'device-secret-1',
      'code-1',
      form.get('code_verifier') ?? 'none',
      cookie?.value ?? 'none',
      'eyJ',
      ...[1, 2, 3].flatMap((count) => [`access-${count}`, `refresh-${count}`]),
    ];
    const told = JSON.stringify(all);
    for (const secret of secrets) expect(told).not.toContain(secret);
  });
});
