import { describe, expect, test } from '@jest/globals';
import { runPostLogin } from '../../src/actions/run-actions.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { aliceLogin as event, recorder } from '../support/alice-login.ts';
import { actionOf } from '../support/demo-server.ts';

const UNREADABLE = /^the reason could not be read$/;
const NAMESPACE = 'https://contacts.example.com/';

const run = (...bodies: string[]) =>
  runPostLogin(
    bodies.map((body, index) => actionOf(body, `action ${index + 1}`)),
    event,
    recorder(),
    { timeLimit: 50 },
  );

test("the demo's Action runs without changes", async () => {
  const { postLogin } = loadTenant(demoTenantFile);
  const claims = { [`${NAMESPACE}roles`]: ['admin'], [`${NAMESPACE}org_id`]: 'acme' };
  expect(await runPostLogin(postLogin, event, recorder())).toEqual({
    accessToken: claims,
    idToken: claims,
  });
});

test('an Action gets the user, the request and its secrets', async () => {
  const outcome = await run(`
    api.idToken.setCustomClaim('https://x.example/all', [
      event.user.email, event.client.client_id, event.resource_server.identifier,
      event.transaction.protocol, event.secrets.WORD, event.connection.strategy,
      event.stats.logins_count, event.authentication.methods[0].name, event.request.query.audience,
    ]);`);
  expect(outcome.idToken['https://x.example/all']).toEqual([
    'alice@example.com',
    'contacts-web',
    'https://contacts.example.com/api',
    'oidc-basic-profile',
    'hush',
    'auth0',
    3,
    'pwd',
    'https://contacts.example.com/api',
  ]);
});

test('calls can be chained, null removes a claim, a later Action overrides', async () => {
  const outcome = await run(
    `api.accessToken.setCustomClaim('https://x.example/a', 1).accessToken
       .setCustomClaim('https://x.example/b', 1).accessToken.setCustomClaim('https://x.example/b', null);`,
    `api.accessToken.setCustomClaim('https://x.example/a', 2);`,
  );
  expect(outcome.accessToken).toEqual({ 'https://x.example/a': 2 });
});

test('changes of an event are not seen by the next Action', async () => {
  const outcome = await run(
    `event.user.email = 'changed'; event.authorization.roles.push('root');`,
    `api.idToken.setCustomClaim('https://x.example/e', [event.user.email, event.authorization.roles]);`,
  );
  expect(outcome.idToken['https://x.example/e']).toEqual(['alice@example.com', ['admin']]);
  expect(event.authorization.roles).toEqual(['admin']);
});

test('metadata and recorded methods are seen by the same Action and the next', async () => {
  const outcome = await run(
    `api.user.setAppMetadata('plan', { name: 'gold' }).user.setUserMetadata('hobby', 'chess')
       .user.setAppMetadata('org_id', null).transaction.setMetadata('score', 7)
       .transaction.setMetadata('ok', true);
     api.idToken.setCustomClaim('https://x.example/same', event.transaction.metadata);`,
    `api.idToken.setCustomClaim('https://x.example/next', [
       event.user.app_metadata, event.user.user_metadata, event.transaction.metadata]);`,
  );
  expect(outcome).toEqual({
    accessToken: {},
    idToken: {
      'https://x.example/same': { score: 7, ok: true },
      'https://x.example/next': [
        { plan: { name: 'gold' } },
        { hobby: 'chess' },
        { score: 7, ok: true },
      ],
    },
    metadata: {
      app_metadata: { plan: { name: 'gold' }, org_id: null },
      user_metadata: { hobby: 'chess' },
    },
    transaction: { score: 7, ok: true },
  });
});

test('a denial keeps the metadata that was set, a failure does not', async () => {
  const change = `api.user.setAppMetadata('tries', 1);`;
  const denied = await run(`${change} api.access.deny('no');`);
  expect(denied).toMatchObject({ denied: 'no', metadata: { app_metadata: { tries: 1 } } });
  expect(await run(`${change} throw new Error('broke');`)).not.toHaveProperty('metadata');
});

test('an Action knows which rules ran', async () => {
  const body = `api.idToken.setCustomClaim('https://x.example/r',
    [api.rules.wasExecuted('Old'), api.rules.wasExecuted('New')]);`;
  const outcome = await runPostLogin([actionOf(body)], event, recorder(), { rules: ['Old'] });
  expect(outcome.idToken).toEqual({ 'https://x.example/r': [true, false] });
});

describe('a redirect', () => {
  const away = (name: string) => ({
    ...actionOf('', name),
    code: `
      exports.onExecutePostLogin = async (event, api) => {
        api.idToken.setCustomClaim('https://x.example/before', 1);
        api.redirect.sendUserTo('https://x.example/form?a=1', { query: { a: 2, b: 'ü' } });
      };
      exports.onContinuePostLogin = async (event, api) => {
        api.authentication.recordMethod('https://x.example/card')
          .idToken.setCustomClaim('https://x.example/back', event.transaction.metadata);
      };`,
  });
  const later = actionOf(
    `api.idToken.setCustomClaim('https://x.example/later', event.authentication.methods.map(m => m.name));`,
  );
  const first = actionOf(`api.transaction.setMetadata('first', true);`, 'first');
  const actions = [first, away('away'), later];
  const returned = { state: 's', fields: {}, request: { method: 'GET', query: {}, body: {} } };

  test('pauses the run, and the same Action continues it', async () => {
    const before = await runPostLogin(actions, event, recorder());
    expect(before).toEqual({
      accessToken: {},
      idToken: { 'https://x.example/before': 1 },
      transaction: { first: true },
      redirect: {
        url: 'https://x.example/form?a=2&b=%C3%BC',
        action: { index: 1, name: 'away' },
      },
    });
    const after = await runPostLogin(actions, event, recorder(), {
      before,
      returned,
      now: () => 0,
    });
    expect(after).toEqual({
      accessToken: {},
      idToken: {
        'https://x.example/before': 1,
        'https://x.example/back': { first: true },
        'https://x.example/later': ['pwd', 'https://x.example/card'],
      },
      transaction: { first: true },
      methods: [{ name: 'https://x.example/card', timestamp: '1970-01-01T00:00:00.000Z' }],
    });
  });

  test('of an Action that was removed denies', async () => {
    const before = await runPostLogin(actions, event, recorder());
    const { denied } = await runPostLogin([first], event, recorder(), { before, returned });
    expect(denied).toBe('the Action "away" was removed');
  });

  test.each([
    ['a path', `api.redirect.sendUserTo('/form');`, /sendUserTo: give an absolute URL/],
    ['a script', `api.redirect.sendUserTo('javascript:alert(1)');`, /give an absolute URL/],
    ['a denial as well', `api.redirect.sendUserTo('https://x.example').access.deny('no');`, /^no$/],
    [
      'a token without a secret',
      `api.redirect.encodeToken({ payload: {} });`,
      /encodeToken: give a secret/,
    ],
    [
      'a token before the user is back',
      `api.redirect.validateToken({ secret: 'x' });`,
      /only onContinuePostLogin has a token/,
    ],
    [
      'a method recorded before the user is back',
      `api.authentication.recordMethod('https://x.example');`,
      /only onContinuePostLogin may call it/,
    ],
  ])('with %s denies, and does not redirect', async (_name, body, reason) => {
    const outcome = await run(body);
    expect(outcome.denied).toMatch(reason);
    expect(outcome).not.toHaveProperty('redirect');
  });
});

test('scopes are added and removed; the last call wins; invalid scopes are dropped', async () => {
  const log = recorder();
  const outcome = await runPostLogin(
    [
      actionOf(
        `api.accessToken.addScope('a').accessToken.addScope('b').accessToken.removeScope('c');`,
      ),
      actionOf(
        `api.accessToken.removeScope('a').accessToken.addScope('c').accessToken.addScope('d e');`,
      ),
    ],
    event,
    log,
  );
  expect(outcome.scope).toEqual({ added: ['b', 'c'], removed: ['a'] });
  expect(log.lines).toEqual([
    { level: 'warn', fields: { action: 'test', scope: 'd e' }, message: 'invalid scope dropped' },
  ]);
});

describe('a part of the api that this server lacks denies the login with its name', () => {
  test.each([
    ['api.prompt.render', `api.prompt.render('form');`],
    ['api.authentication.setPrimaryUser', `api.authentication.setPrimaryUser('x');`],
    ['api.transaction.setResultUrl', `api.transaction.setResultUrl('x');`],
    ['api.accessToken.nothing', 'api.accessToken.nothing();'],
  ])('%s', async (name, body) => {
    expect((await run(body)).denied).toBe(`${name} is not available locally`);
  });
});

describe('a restricted claim is dropped with a warning, and the login goes on', () => {
  test.each([
    'sub',
    'aud',
    'permissions',
    'email',
    'roles',
    'scope',
    'https://x.auth0.com/y',
    'urn:auth0:z',
  ])('%s', async (name) => {
    const log = recorder();
    const action = actionOf(
      `api.accessToken.setCustomClaim(${JSON.stringify(name)}, 'x'); api.idToken.setCustomClaim('https://x.example/ok', true);`,
    );
    const outcome = await runPostLogin([action], event, log);
    expect(outcome).toEqual({ accessToken: {}, idToken: { 'https://x.example/ok': true } });
    expect(log.lines).toEqual([
      {
        level: 'warn',
        fields: { action: 'test', token: 'accessToken', claim: name },
        message: 'restricted claim dropped',
      },
    ]);
  });
});

describe('the login is denied, and no later Action runs', () => {
  test.each([
    ['by api.access.deny', `api.access.deny('not today');`, 'not today'],
    ['by an exception', `throw new Error('it broke');`, 'it broke'],
    ['by a method that is not there', 'api.nothing.here();', /undefined/],
    [
      'by a claim that is no JSON',
      `api.idToken.setCustomClaim('a', () => {});`,
      'the claim "a" is a function, not JSON',
    ],
    ['by taking too long', 'await new Promise(() => {});', 'took longer than 50 ms'],
    ['by throwing a word', `throw 'a word';`, 'a word'],
    ['by throwing null', 'throw null;', /^null$/],
    ['by throwing a symbol', `throw Symbol('odd');`, /^Symbol\(odd\)$/],
    ['by throwing an object without a prototype', 'throw Object.create(null);', UNREADABLE],
    [
      'by throwing a revoked proxy',
      'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy;',
      UNREADABLE,
    ],
    [
      'by an error whose message throws',
      `throw Object.defineProperty(new Error(), 'message', { get() { throw new Error('x'); } });`,
      UNREADABLE,
    ],
    ['by a reason without a prototype', 'api.access.deny(Object.create(null));', UNREADABLE],
    ['by a validation error', `api.validation.error('no-age', 'How old are you?');`, /^How old/],
  ])('%s', async (_name, body, reason) => {
    const outcome = await run(body, `api.idToken.setCustomClaim('https://x.example/later', 1);`);
    expect(outcome.denied).toMatch(reason);
    expect(outcome.idToken).toEqual({});
  });

  test('by a file that exports nothing', async () => {
    const action = { ...actionOf(''), code: 'module.exports = {};' };
    const outcome = await runPostLogin([action], event, recorder());
    expect(outcome.denied).toBe('exports no onExecutePostLogin');
  });
});

test.each([
  ['a circle', 'const a = { b: 1 }; a.a = a; console.log(a);', /b: 1.*Circular/s],
  ['a bigint', 'console.log(12n);', /12n/],
  ['what throws when it is read', 'console.log({ get a() { throw 1; } });', /Getter/],
  [
    'a revoked proxy',
    'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); console.log(proxy);',
    /revoked/i,
  ],
  [
    'an error',
    "console.log(Object.assign(new Error('broke'), { token: 'hush' }));",
    /^Error: broke/,
  ],
])('its console prints %s and denies nothing', async (_name, body, line) => {
  const log = recorder();
  expect((await runPostLogin([actionOf(body)], event, log)).denied).toBeUndefined();
  expect(log.lines).toMatchObject([{ level: 'info', message: expect.stringMatching(line) }]);
  expect(JSON.stringify(log.lines)).not.toContain('hush');
});

test('neither its console nor its failure contains a secret', async () => {
  const log = recorder();
  const body = `console.log('token', event.secrets.WORD, 'eyJhbGciOiJub25lIn0.e30.'); throw new Error('bad ' + event.secrets.WORD);`;
  const outcome = await runPostLogin([actionOf(body)], event, log);
  expect(outcome.denied).toBe('bad [hidden]');
  expect(log.lines.map(({ message }) => message)).toContain('token [hidden] [hidden]');
  expect(JSON.stringify(log.lines)).not.toContain('hush');
});

test('the console of an Action writes to the log', async () => {
  const log = recorder();
  await runPostLogin([actionOf(`console.log('hello', { a: 1 });`)], event, log);
  expect(log.lines).toEqual([
    { level: 'info', fields: { action: 'test' }, message: 'hello {"a":1}' },
  ]);
});

test('an Action may require the modules of Node', async () => {
  const outcome = await run(`
    const { createHash } = require('node:crypto');
    api.idToken.setCustomClaim('https://x.example/h', createHash('sha256').update('a').digest('hex').length);`);
  expect(outcome).toMatchObject({ idToken: { 'https://x.example/h': 64 } });
});
