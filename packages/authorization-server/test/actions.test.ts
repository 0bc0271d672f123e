import { describe, expect, test } from '@jest/globals';
import { type PostLoginEvent, runPostLogin } from '../src/actions.ts';
import type { User } from '../src/index.ts';
import { demoTenantFile, loadTenant } from '../src/tenant-file.ts';
import { actionOf } from './demo-server.ts';

const NAMESPACE = 'https://contacts.example.com/';

const event: PostLoginEvent = {
  user: loadTenant(demoTenantFile).users[0] as User,
  client: { client_id: 'contacts-web', name: 'Contacts', metadata: {} },
  connection: { id: 'con_local', name: 'db', strategy: 'auth0' },
  authorization: { roles: ['admin'] },
  resource_server: { identifier: 'https://contacts.example.com/api' },
  tenant: { id: 'dev' },
  transaction: { protocol: 'oidc-basic-profile', requested_scopes: ['openid'] },
  request: { ip: '127.0.0.1', method: 'GET', user_agent: 'test' },
};

function recorder() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message });
  };
  return { lines, warn: write('warn'), info: write('info') };
}

const run = (...bodies: string[]) =>
  runPostLogin(
    bodies.map((body, index) => actionOf(body, `action ${index + 1}`)),
    event,
    recorder(),
    50,
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
    ]);`);
  expect(outcome.idToken['https://x.example/all']).toEqual([
    'alice@example.com',
    'contacts-web',
    'https://contacts.example.com/api',
    'oidc-basic-profile',
    'hush',
    'auth0',
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

describe('a restricted claim is dropped with a warning, and the login goes on', () => {
  test.each([
    'sub',
    'aud',
    'permissions',
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
