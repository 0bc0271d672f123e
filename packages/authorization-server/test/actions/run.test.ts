import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { codePoint } from '../../../../test/support/properties.ts';
import { runAs, runningSource, thrownText } from '../../src/actions/run.ts';
import { runRules } from '../../src/actions/run-rules.ts';
import { aliceLogin, recorder } from '../support/alice-login.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { ruleOf } from '../support/rule-of.ts';
import {
  authorizationRequest,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

describe('a run', () => {
  const revoked = (): unknown => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };

  test('work that an Action begins is attributed to it, even next to other work; later work is not', async () => {
    const [one, two] = [actionOf('', 'one'), actionOf('', 'two')];
    const seen = (): Promise<unknown[]> =>
      Promise.all([
        runningSource(),
        wait(2).then(runningSource),
        new Promise((resolve) => setTimeout(() => resolve(runningSource()), 1)),
      ]);
    const both = await Promise.all([runAs(one, seen), runAs(two, seen)]);
    expect(both).toEqual([Array(3).fill(one), Array(3).fill(two)]);
    expect(runningSource()).toBeUndefined();
  });

  describe('the text of a thrown value', () => {
    test.each<[string, unknown, string]>([
      ['an error', new Error('it broke'), 'it broke'],
      ['what looks like one', { message: 'it broke' }, 'it broke'],
      ['an error without a message', new TypeError(), 'TypeError'],
      ['a text', 'not today', 'not today'],
      ['a number', 7, '7'],
      ['null', null, 'null'],
      ['undefined', undefined, 'undefined'],
      ['a symbol', Symbol('odd'), 'Symbol(odd)'],
      ['nothing', '', 'no reason was given'],
      ['lines', 'one\r\nSet-Cookie: a=b\u0000', 'one Set-Cookie: a=b'],
      ['half a character', 'a\ud800b', 'a\ufffdb'],
      ['an object without a prototype', Object.create(null), 'the reason could not be read'],
      ['a revoked proxy', revoked(), 'the reason could not be read'],
      [
        'a message that throws',
        {
          get message() {
            throw new Error('no');
          },
        },
        'the reason could not be read',
      ],
    ])('%s', (_name, thrown, text) => {
      expect(thrownText(thrown)).toBe(text);
    });

    test('a long text is cut between two characters', () => {
      expect(thrownText(new Error('x'.repeat(1_000_000)))).toBe('x'.repeat(500));
      expect(thrownText(`${'x'.repeat(499)}\u{1f600}`)).toBe(`${'x'.repeat(499)}\ufffd`);
    });

    test('a token is hidden, such as the hint of a login', () => {
      const query = { id_token_hint: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl' };
      const text = thrownText(new Error(JSON.stringify(query)), actionOf(''));
      expect(text).toBe('{"id_token_hint":"[hidden]"}');
      // Not even a hostile text takes long to search.
      const hostile = '-eyJ'.repeat(250_000);
      expect(thrownText(new Error(hostile), actionOf(''))).toBe(hostile.slice(0, 500));
    });

    test.each([
      ['as it is', 'pa"ss\\word', (secret: string) => secret],
      ['in JSON', 'pa"ss\\word', (secret: string) => JSON.stringify({ secret })],
      ['in a query', 'pass word/+=', (secret: string) => String(new URLSearchParams({ secret }))],
      ['in a path', 'pass word/+=', (secret: string) => encodeURIComponent(secret)],
      ['where the text is cut', 'pass word/+=', (secret: string) => 'x'.repeat(495) + secret],
      ['with lines', 'first line\nsecond line', (secret: string) => secret],
      ['with lines, in JSON', 'first line\nsecond line', (secret: string) => `{"${secret}"}`],
      ['one of its lines', 'first line\r\nsecond line', () => 'second line'],
      ['after one that it begins with', 'pass-word', (secret: string) => secret],
      ['with half a letter', 'pass\ud83d-word', (secret: string) => secret],
    ])('a secret of the source is hidden: %s', (_name, secret, write) => {
      const source = { ...actionOf(''), secrets: { PART: 'pass', NONE: '', WHOLE: secret } };
      const text = thrownText(new Error(write(secret)), source);
      expect(text).not.toMatch(/pa.?.?ss|word|line|%2F/);
      expect(text).toContain('[hid');
    });

    test('any text fits into a URL on one line', () => {
      fc.assert(
        fc.property(fc.oneof(fc.anything(), fc.string({ unit: codePoint })), (thrown) => {
          const text = thrownText(thrown);
          expect(text).not.toMatch(/^$|\p{Cc}/u);
          expect(decodeURIComponent(encodeURIComponent(text))).toBe(text);
        }),
      );
    });
  });
});

describe('rules', () => {
  afterAll(stopServers);

  const UNREADABLE = 'the reason could not be read';

  const run = (...bodies: string[]) =>
    runRules(
      bodies.map((body, index) => ruleOf(body, `rule ${index + 1}`)),
      aliceLogin,
      recorder(),
      { timeLimit: 50 },
    );

  test('claims of both tokens and the scope are read from the context', async () => {
    const outcome = await run(`
    context.accessToken['https://x.example/a'] = [user.email, context.clientID, configuration.WORD];
    context.idToken['https://x.example/i'] = {
      roles: context.authorization.roles,
      count: context.stats.loginsCount,
      protocol: context.protocol,
      audience: context.request.query.audience,
    };
    context.accessToken.scope = ['read:contacts', 'write:contacts'];
    callback(null, user, context);`);
    expect(outcome).toEqual({
      accessToken: { 'https://x.example/a': ['alice@example.com', 'contacts-web', 'hush'] },
      idToken: {
        'https://x.example/i': {
          roles: ['admin'],
          count: 3,
          protocol: 'oidc-basic-profile',
          audience: 'https://contacts.example.com/api',
        },
      },
      scope: { only: ['read:contacts', 'write:contacts'], added: [], removed: [] },
    });
  });

  test('each rule gets the user and the context of the one before', async () => {
    const outcome = await run(
      `context.idToken['https://x.example/a'] = 1;
     context.accessToken.scope = ['one'];
     user.color = 'red';
     callback(null, user, context);`,
      `delete context.idToken['https://x.example/a'];
     context.accessToken.scope.push('two');
     context.idToken['https://x.example/b'] = user.color;
     callback(null, user, context);`,
      'callback();',
    );
    expect(outcome.idToken).toEqual({ 'https://x.example/b': 'red' });
    expect(outcome.scope?.only).toEqual(['one', 'two']);
  });

  test('members of app_metadata are members of the user, unless the profile has that name', async () => {
    const outcome = await runRules(
      [
        ruleOf(`context.idToken['https://x.example/u'] = [user.plan, user.name, user.app_metadata];
          callback(null, user, context);`),
      ],
      { ...aliceLogin, user: { ...aliceLogin.user, app_metadata: { plan: 'gold', name: 'x' } } },
      recorder(),
    );
    expect(outcome.idToken['https://x.example/u']).toEqual([
      'gold',
      'Alice Adams',
      { plan: 'gold', name: 'x' },
    ]);
  });

  test('changes of the user and the context do not change the event', async () => {
    const before = structuredClone(aliceLogin);
    await run(
      `user.email = 'x'; context.authorization.roles.push('root'); callback(null, user, context);`,
    );
    expect(aliceLogin).toEqual(before);
  });

  test('a password is not in the user', async () => {
    const server = await startDemo((tenant) =>
      Object.assign(tenant, {
        loginRules: [ruleOf(`callback(new Error(Object.keys(user).join()));`)],
      }),
    );
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toContain('email');
    expect(callback.get('error_description')).not.toContain('password');
  });

  test('dropped names and wrong scopes are logged once', async () => {
    const log = recorder();
    const outcome = await runRules(
      [
        ruleOf(`
        context.accessToken.sub = 'x'; context.idToken.roles = ['x'];
        context.accessToken.scope = ['a', 'b c', 1];
        callback(null, user, context);`),
        ruleOf('callback(null, user, context);'),
      ],
      aliceLogin,
      log,
    );
    expect(outcome).toEqual({
      accessToken: {},
      idToken: {},
      scope: { only: ['a'], added: [], removed: [] },
    });
    const claim = 'restricted claim dropped';
    const scope = 'invalid scope dropped';
    expect(log.lines.map(({ fields, message }) => [fields, message])).toEqual([
      [{ rule: 'test', token: 'accessToken', claim: 'sub' }, claim],
      [{ rule: 'test', scope: 'b c' }, scope],
      [{ rule: 'test', scope: 1 }, scope],
      [{ rule: 'test', token: 'idToken', claim: 'roles' }, claim],
    ]);
  });

  describe('the login is denied, and no later rule runs', () => {
    test.each([
      ['by UnauthorizedError', `callback(new UnauthorizedError('not you'));`, 'not you'],
      ['by Error', `callback(new Error('it broke'));`, 'it broke'],
      ['by a word', `callback('a word');`, 'a word'],
      ['by throwing', `throw new Error('thrown');`, 'thrown'],
      ['by a rejected promise', `return Promise.reject(new Error('rejected'));`, 'rejected'],
      [
        'by a missing method',
        'auth0.users.nothing();',
        'auth0.users.nothing is not available locally',
      ],
      ['by a missing global', '_.noop();', '_ is not available locally: load it with require'],
      [
        'by metadata that is not an object',
        `auth0.users.updateAppMetadata(user.user_id).then(() => callback(), callback);`,
        'auth0.users.updateAppMetadata: give the id of a user, and an object',
      ],
      ['by never calling back', '', 'took longer than 50 ms'],
      [
        'by an unknown second factor',
        `context.multifactor = { provider: 'toast' }; callback(null, user, context);`,
        /^context.multifactor: the provider is "toast": give one of any, /,
      ],
      [
        'by a redirect to nowhere',
        `context.redirect = { url: '/form' }; callback(null, user, context);`,
        'context.redirect.url: give an absolute URL that begins with https:// or http://',
      ],
      ['by throwing an object without a prototype', 'throw Object.create(null);', UNREADABLE],
      ['by a symbol', `callback(Symbol('odd'));`, 'Symbol(odd)'],
      ['by throwing null', 'throw null;', 'null'],
      [
        'by a message that throws',
        `callback(Object.defineProperty(new Error(), 'message', { get() { throw 1; } }));`,
        UNREADABLE,
      ],
      [
        'by a revoked proxy as its context',
        'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); callback(null, user, proxy);',
        /proxy/i,
      ],
    ])('%s', async (_name, body, denied) => {
      const later = `context.idToken['https://x.example/later'] = 1; callback(null, user, context);`;
      const reason = denied instanceof RegExp ? expect.stringMatching(denied) : denied;
      expect(await run(body, later)).toEqual({ accessToken: {}, idToken: {}, denied: reason });
    });
  });

  test('a redirect follows the last rule; after the return it is ignored', async () => {
    const away = ruleOf(`context.redirect = { url: 'https://x.example/form?a=1' };
    context.idToken['https://x.example/protocol'] = context.protocol; callback(null, user, context);`);
    const after = ruleOf(
      `context.idToken['https://x.example/after'] = 1; callback(null, user, context);`,
    );
    const idToken = {
      'https://x.example/after': 1,
      'https://x.example/protocol': 'oidc-basic-profile',
    };
    expect(await runRules([away, after], aliceLogin, recorder())).toEqual({
      accessToken: {},
      idToken,
      redirect: { url: 'https://x.example/form?a=1' },
    });
    expect(await runRules([away, after], aliceLogin, recorder(), { afterRedirect: true })).toEqual({
      accessToken: {},
      idToken: { ...idToken, 'https://x.example/protocol': 'redirect-callback' },
    });
    const taken = ruleOf('delete context.redirect; callback(null, user, context);');
    expect(await runRules([away, taken], aliceLogin, recorder())).not.toHaveProperty('redirect');
  });

  test('the console of a rule writes to the log', async () => {
    const log = recorder();
    await runRules([ruleOf(`console.log('hello', user.name); callback();`)], aliceLogin, log);
    expect(log.lines).toEqual([
      { level: 'info', fields: { rule: 'test' }, message: 'hello Alice Adams' },
    ]);
  });

  test.each([
    ['throws', `throw new Error('bad ' + configuration.WORD);`],
    ['calls back', `callback(new Error('bad ' + configuration.WORD));`],
  ])('the failure of a rule that %s reveals no secret', async (_name, body) => {
    const log = recorder();
    expect((await runRules([ruleOf(body)], aliceLogin, log)).denied).toBe('bad [hidden]');
    expect(JSON.stringify(log.lines)).not.toContain('hush');
  });

  describe('over HTTP', () => {
    test('UnauthorizedError is access_denied with its reason, and no Action runs', async () => {
      const server = await startDemo((tenant) =>
        Object.assign(tenant, {
          loginRules: [ruleOf(`callback(new UnauthorizedError('not you'));`)],
          postLogin: [actionOf(`api.access.deny('too late');`)],
        }),
      );
      const callback = await signIn(openBrowser(), authorizationRequest(server));
      expect(callback.get('error')).toBe('access_denied');
      expect(callback.get('error_description')).toBe('not you');
    });

    test('the Actions run after the rules and override them; both run at a refresh', async () => {
      const server = await startDemo((tenant) =>
        Object.assign(tenant, {
          loginRules: [
            ruleOf(`
            context.accessToken['https://x.example/by'] = 'rule';
            context.idToken['https://x.example/protocol'] = context.protocol;
            context.accessToken.scope = ['from:rule'];
            callback(null, user, context);`),
          ],
          postLogin: [
            actionOf(`
            api.accessToken.setCustomClaim('https://x.example/by', 'action');
            api.accessToken.addScope('from:action');`),
          ],
        }),
      );
      const { tokens } = await tokensFor(server, 'bob');
      const access = (token = '') => decodeJwt(token);
      expect(access(tokens.access_token)).toMatchObject({
        'https://x.example/by': 'action',
        scope: 'from:rule from:action',
      });
      expect(tokens.scope).toBe('from:rule from:action');
      const refreshed = await requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
      });
      expect(access(refreshed.body.access_token).scope).toBe('from:rule from:action');
      expect(access(refreshed.body.id_token)['https://x.example/protocol']).toBe(
        'oauth2-refresh-token',
      );
    });
  });
});
