import { Writable } from 'node:stream';
import { afterAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { pino } from 'pino';
import { createRedaction } from '../../src/log/redaction.ts';
import { Transactions } from '../../src/log/transactions.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { sendRaw } from '../support/raw-request.ts';
import {
  ALL_SCOPES,
  API,
  authorizationRequest,
  CALLBACK,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

describe('the record of transactions', () => {
  test('a sign-in is one transaction, from the request to the tokens', async () => {
    const server = await startDemo((tenant) => {
      Object.assign(tenant, {
        postLogin: [actionOf("api.accessToken.removeScope('update:contacts')")],
      });
    });
    await tokensFor(server, 'bob', { scope: `${ALL_SCOPES} read:nothing` });
    const [transaction, ...others] = server.log();
    expect(others).toEqual([]);
    expect(transaction).toMatchObject({ client: 'contacts-web', user: 'auth0|bob' });
    const steps = transaction?.steps ?? [];
    expect(steps.map(({ step }) => step)).toEqual([
      'request',
      'sign-in',
      'actions',
      'consent',
      'code',
      'request',
      'tokens',
    ]);
    expect(steps[0]).toMatchObject({
      endpoint: '/authorize',
      audience: API,
      scope: `${ALL_SCOPES} read:nothing`.split(' '),
    });
    expect(steps[1]).toMatchObject({ outcome: 'succeeded', user: 'auth0|bob' });
    expect(steps[2]).toMatchObject({ names: ['test'], scopeRemoved: ['update:contacts'] });
    expect(steps[3]).toMatchObject({ outcome: 'accepted' });
    const { dropped = [], kinds } = steps[6] as Extract<(typeof steps)[0], { step: 'tokens' }>;
    expect(kinds).toContain('access_token');
    const why = Object.fromEntries(dropped.map(({ scope, why }) => [scope, why]));
    expect(why).toMatchObject({
      'read:nothing': expect.stringContaining('has no such scope'),
      'read:activity': "no role of the user's permits it",
      'update:contacts': 'an Action removed it',
    });
  });

  test('a second sign-in of the browser shows that no page was needed', async () => {
    const server = await startDemo();
    const { browser } = await tokensFor(server);
    await signIn(browser, authorizationRequest(server));
    expect(server.log()).toHaveLength(2);
    expect(server.log()[0]?.steps).toMatchObject([
      { step: 'request' },
      { step: 'sign-in', outcome: 'session' },
      ...(server.log()[1]?.steps.some(({ step }) => step === 'actions')
        ? [{ step: 'actions' }]
        : []),
      { step: 'consent', outcome: 'not asked' },
      { step: 'code' },
    ]);
  });

  test('a failed sign-in and a declined consent are recorded, and the refusal with its text', async () => {
    const server = await startDemo();
    const browser = openBrowser();
    const login = await browser.get(authorizationRequest(server).url);
    await browser.submit(login, { username: 'bob@example.com', password: 'wrong-password' });
    const consent = await browser.submit(login, {
      username: 'bob@example.com',
      password: 'bob-demo',
    });
    await browser.submit(consent, { action: 'decline' });
    expect(server.log()[0]?.steps.filter(({ step }) => step !== 'actions')).toMatchObject([
      { step: 'request' },
      { step: 'sign-in', outcome: 'failed', reason: 'wrong e-mail address or password' },
      { step: 'sign-in', outcome: 'succeeded' },
      { step: 'consent', outcome: 'declined' },
      { step: 'refusal', error: 'access_denied', text: 'User did not authorize the request' },
    ]);
  });

  test.each([
    ["api.access.deny('not today: ' + event.secrets.WORD)"],
    ["api.validation.error('day', 'not today: ' + event.secrets.WORD)"],
  ])("an Action's denial is recorded and logged without the Action's secret: %s", async (body) => {
    const { logger, lines } = keptLog();
    const server = await startDemo(
      (tenant) => Object.assign(tenant, { postLogin: [actionOf(body)] }),
      { logger },
    );
    await signIn(openBrowser(), authorizationRequest(server));
    expect(server.log()[0]?.steps.slice(-2)).toMatchObject([
      { step: 'actions', denied: 'not today: [hidden]' },
      { step: 'refusal', error: 'access_denied', text: 'not today: [hidden]' },
    ]);
    expect(lines).toContainEqual(expect.objectContaining({ reason: 'not today: [hidden]' }));
    expect(JSON.stringify(lines)).not.toContain('hush');
  });

  test("the token endpoint's refusals have Auth0's status, code and text", async () => {
    const server = await startDemo();
    await requestTokens(server, { grant_type: 'refresh_token', refresh_token: 'bogus-token' });
    expect(server.log()[0]?.steps.slice(-1)).toMatchObject([
      {
        step: 'refusal',
        status: 403,
        error: 'invalid_grant',
        text: 'Unknown or invalid refresh token.',
      },
    ]);
  });

  test('no secret is recorded, wherever the client puts it', async () => {
    const server = await startDemo(undefined, { control: 0 });
    const { tokens } = await tokensFor(server);
    const request = authorizationRequest(server);
    const code = (await signIn(openBrowser(), request, 'bob')).get('code') ?? '';
    const secrets = [
      ...[tokens.access_token, tokens.id_token, tokens.refresh_token].map(String),
      ...String(tokens.access_token).split('.'),
      code,
      request.verifier,
      'contacts-web-demo-secret',
      'alice-demo',
      'bob-demo',
      'a-guessed-secret',
    ];
    for (const secret of secrets) {
      await requestTokens(server, {
        grant_type: secret,
        client_id: secret,
        client_secret: 'a-guessed-secret',
        scope: secret,
        audience: secret,
      });
      await requestTokens(server, {
        grant_type: 'authorization_code',
        code: secret,
        redirect_uri: CALLBACK,
        code_verifier: secret,
      });
      await requestTokens(server, { grant_type: 'refresh_token', refresh_token: secret });
      await openBrowser().get(
        authorizationRequest(server, { client_id: secret, scope: secret, audience: secret }).url,
      );
    }
    const page = await got(`${server.issuer}log`);
    expect(page.body).not.toContain('<script');
    for (const written of [JSON.stringify(server.log()), page.body]) {
      expect(written).toContain('contacts-web');
      for (const secret of secrets.slice(0, -1)) expect(written).not.toContain(secret);
    }
  });

  test('the last 200 transactions are stored', async () => {
    const server = await startDemo();
    await Promise.all(Array.from({ length: 205 }, () => fetch(`${server.url}/userinfo`)));
    expect(server.log()).toHaveLength(200);
    expect(server.log()[0]?.id).toBe(205);
  });
});

describe('the log', () => {
  test('a login is logged step by step, without any secret', async () => {
    let written = '';
    const stream = new Writable({
      write(chunk, _encoding, done) {
        written += chunk;
        done();
      },
    });
    const server = await startDemo(undefined, { logger: pino({ level: 'trace' }, stream) });
    const { tokens } = await tokensFor(server, 'alice');
    await requestTokens(server, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
    });

    const request = authorizationRequest(server);
    const callback = await signIn(openBrowser(), request, 'bob');
    const code = callback.get('code') ?? '';
    await requestTokens(server, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: CALLBACK,
      code_verifier: 'x'.repeat(43),
    });

    const messages = written
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages).toEqual([
      'login succeeded',
      'consent answered',
      'code issued',
      'tokens issued',
      'tokens issued',
      'login succeeded',
      'consent answered',
      'code issued',
      'tokens refused',
    ]);
    const secrets = [
      ...Object.values(tokens).filter((value) => String(value).length > 20 && !/ /.test(value)),
      code,
      request.verifier,
      'contacts-web-demo-secret',
      'alice-demo',
      'bob-demo',
    ];
    for (const secret of secrets) expect(written).not.toContain(secret);
  });

  test('an unknown grant type, which may be a secret, is not logged', async () => {
    const log: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
    const server = await startDemo(undefined, { logger });
    await requestTokens(server, { grant_type: 'a-secret-in-the-wrong-field' });
    await requestTokens(server, { grant_type: 'password' });
    const [unknown, known] = log.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(unknown).toMatchObject({ msg: 'tokens refused', error: 'unsupported_grant_type' });
    expect(known).toMatchObject({ msg: 'tokens refused', grant: 'password', type: 'fepft' });
    expect(log.join()).not.toContain('wrong-field');
  });

  // A Buffer is logged as its bytes, in one of two ways: [80,79] or {"0":80,"1":79}.
  const bytesIn = (line: string) =>
    Buffer.from(
      [...line.matchAll(/[:,[](\d{1,3})(?=[,\]}])/g)].map(([, byte]) => Number(byte)),
    ).toString('latin1');

  test.each(['/oauth/token', '/u/login/x', '/nowhere'])(
    'no part of an aborted request to %s is in the log',
    async (path) => {
      const log: string[] = [];
      const logger = pino({ level: 'trace' }, { write: (line: string) => log.push(line) });
      const server = await startDemo(undefined, { logger });
      const secrets = ['the-session-cookie', 'the-client-secret', 'the-bearer-token'];
      const answer = await sendRaw(
        server,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nCookie: issuer_session_${new URL(server.issuer).port}=${secrets[0]}\r\n` +
          `Authorization: Bearer ${secrets[2]}\r\nTransfer-Encoding: chunked\r\n\r\n` +
          `ZZZ\r\nclient_secret=${secrets[1]}`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      // A request that the parser rejected ends with its connection.
      await server.close();
      const written = [answer, ...log, ...log.map(bytesIn)].join();
      if (path === '/oauth/token') expect(written).toContain('tokens refused');
      for (const secret of secrets) expect(written).not.toContain(secret);
    },
  );
});

describe('redaction', () => {
  const namespace = {
    ...actionOf(''),
    secrets: {
      NS: 'https://other.example/',
      WORD: 'hush',
      LONG: 'hush-hush "now"',
      NONE: 'undefined/',
    },
  };
  const redact = createRedaction({ ...loadTenant(demoTenantFile), postLogin: [namespace] });

  test.each([
    ['a client secret', 'is contacts-web-demo-secret right?', 'is [hidden] right?'],
    ['a password', 'alice-demo', '[hidden]'],
    ["an Action's secret", 'say hush', 'say [hidden]'],
    ['a secret that begins with another', 'say hush-hush "now"', 'say [hidden]'],
    ['a secret that a broken setting made', 'at undefined/', 'at [hidden]'],
    ['a secret in JSON', '{"LONG":"hush-hush \\"now\\""}', '{"LONG":"[hidden]"}'],
    ['a JWT', 'got eyJhbGciOi.eyJzdWIi.c2ln', 'got [hidden].[hidden].c2ln'],
    ['an opaque token', `x ${'a1_-'.repeat(10)}.`, 'x [hidden].'],
    ['an API', 'https://contacts.example.com/api', 'https://contacts.example.com/api'],
    ["a claim's namespace", 'https://other.example/roles', 'https://other.example/roles'],
    ['no text', undefined, undefined],
  ])('%s', (_name, text, shown) => {
    expect(redact(text)).toBe(shown);
  });

  test('secrets of a request are hidden, and a long text is cut', () => {
    const oidc = { params: { code: 'short-code', scope: 'openid profile' }, body: undefined };
    const ctx = { oidc } as unknown as Parameters<typeof redact>[1];
    expect(redact('short-code for openid profile', ctx)).toBe('[hidden] for openid profile');
    expect(redact('a b '.repeat(500))).toHaveLength(301);
  });
});

describe('transactions', () => {
  describe('a transaction is found by its keys', () => {
    test('the latest transaction of a key is found, and none after a clear', () => {
      const transactions = new Transactions();
      const [first, second] = [transactions.begin(), transactions.begin()];
      transactions.link('cid:a', first);
      transactions.link('uid:b', first);
      transactions.link('cid:a', second);
      expect(transactions.find('cid:a')).toBe(second);
      expect(transactions.find('uid:b')).toBe(first);
      expect(transactions.find('uid:c')).toBeUndefined();
      transactions.clear();
      expect(transactions.find('cid:a')).toBeUndefined();
      expect(transactions.list()).toEqual([]);
    });

    test('a transaction is found until 200 others have begun; the key of a later one stays', () => {
      const transactions = new Transactions();
      const first = transactions.begin();
      transactions.link('grant:mine', first);
      transactions.link('grant:shared', first);
      const later = transactions.begin();
      transactions.link('grant:shared', later);
      for (let i = 0; i < 199; i += 1) transactions.begin();
      expect(transactions.find('grant:mine')).toBeUndefined();
      expect(transactions.find('grant:shared')).toBe(later);
      // A later step of the dropped one does not bring it back.
      transactions.link('grant:late', first);
      expect(transactions.find('grant:late')).toBeUndefined();
      expect(transactions.list()).toHaveLength(200);
    });
  });
});
