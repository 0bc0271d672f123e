import { describe, expect, test } from '@jest/globals';
import { runPostLogin } from '../src/actions.ts';
import { demoTenantFile, loadTenant } from '../src/tenant-file.ts';
import { aliceLogin as event, recorder } from './alice-login.ts';
import { actionOf } from './demo-server.ts';

const NAMESPACE = 'https://contacts.example.com/';

const run = (...bodies: string[]) =>
  runPostLogin(
    bodies.map((body, index) => actionOf(body, `action ${index + 1}`)),
    event,
    recorder(),
    { timeLimit: 50 },
  );

test("the demo's Action runs as it is", async () => {
  const { postLogin } = loadTenant(demoTenantFile);
  const claims = { [`${NAMESPACE}roles`]: ['admin'], [`${NAMESPACE}org_id`]: 'acme' };
  expect(await runPostLogin(postLogin, event, recorder())).toEqual({
    accessToken: claims,
    idToken: claims,
  });
});

test('it is told who, for what, and its secrets', async () => {
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

test('calls can be chained, null takes a claim back, a later Action overrides', async () => {
  const outcome = await run(
    `api.accessToken.setCustomClaim('https://x.example/a', 1).accessToken
       .setCustomClaim('https://x.example/b', 1).accessToken.setCustomClaim('https://x.example/b', null);`,
    `api.accessToken.setCustomClaim('https://x.example/a', 2);`,
  );
  expect(outcome.accessToken).toEqual({ 'https://x.example/a': 2 });
});

test('what one writes into its event is not seen by the next', async () => {
  const outcome = await run(
    `event.user.email = 'changed'; event.authorization.roles.push('root');`,
    `api.idToken.setCustomClaim('https://x.example/e', [event.user.email, event.authorization.roles]);`,
  );
  expect(outcome.idToken['https://x.example/e']).toEqual(['alice@example.com', ['admin']]);
  expect(event.authorization.roles).toEqual(['admin']);
});

test('scopes are added and removed, the later call counts, and what is no scope is dropped', async () => {
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

describe('what Auth0 has and this server has not denies the login by its name', () => {
  test.each([
    ['api.multifactor.enable', `api.multifactor.enable('any');`],
    ['api.redirect.sendUserTo', `api.redirect.sendUserTo('https://x.example');`],
    ['api.user.setAppMetadata', `api.user.setAppMetadata('a', 1);`],
    ['api.cache.get', `await api.cache.get('a');`],
    ['api.authentication.challengeWith', `api.authentication.challengeWith({ type: 'otp' });`],
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
    ['by a method that no api has', `api.accessToken.nothing();`, /nothing is not a function/],
    [
      'by a claim that is no JSON',
      `api.idToken.setCustomClaim('a', () => {});`,
      'the claim "a" is a function, not JSON',
    ],
    ['by taking too long', 'await new Promise(() => {});', 'took longer than 50 ms'],
    ['by throwing a word', `throw 'a word';`, 'a word'],
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

test('its console goes to the log', async () => {
  const log = recorder();
  await runPostLogin([actionOf(`console.log('hello', { a: 1 });`)], event, log);
  expect(log.lines).toEqual([
    { level: 'info', fields: { action: 'test' }, message: 'hello {"a":1}' },
  ]);
});

test('it may require what Node has', async () => {
  const outcome = await run(`
    const { createHash } = require('node:crypto');
    api.idToken.setCustomClaim('https://x.example/h', createHash('sha256').update('a').digest('hex').length);`);
  expect(outcome).toMatchObject({ idToken: { 'https://x.example/h': 64 } });
});
