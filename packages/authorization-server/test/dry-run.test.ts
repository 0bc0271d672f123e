import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { dryRun, readDryRunLogin } from '../src/actions/dry-run.ts';
import { demoTenantFile, loadTenant } from '../src/tenant/load.ts';
import { API } from './support/sign-in.ts';

// The built program: what is tested is what ships.
const program = fileURLToPath(new URL('../dist/dry-run.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'dry-run-'));
afterAll(() => rmSync(directory, { recursive: true }));

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The same without a process. */
function report(args: string[], file: string = demoTenantFile) {
  const tenant = loadTenant(file);
  return dryRun(tenant, readDryRunLogin(tenant, args));
}

function runProgram(args: string[], tenant = ''): Promise<Ended> {
  const env = { PATH: process.env.PATH, TENANT: tenant };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** The demo tenant with this Action instead of its own ones, and this rule before it. */
function tenantWith(action: string, rule: string, more = ''): string {
  writeFileSync(join(directory, 'action.js'), action);
  writeFileSync(join(directory, 'rule.js'), rule);
  const yaml = readFileSync(demoTenantFile, 'utf8')
    .replace(/code: .*\.js/g, 'code: ./action.js')
    .replace('    - action_name: Second factor\n', '');
  const file = join(directory, 'tenant.yaml');
  writeFileSync(file, `${yaml}\nrules: [{ name: Old, script: ./rule.js }]\n${more}\n`);
  return file;
}

test('a failure that no Action awaits is reported without secrets, and the dry run goes on', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => {
      Promise.reject(new Error('stray ' + event.secrets.NAMESPACE));
      await new Promise((resolve) => setTimeout(resolve, 10));
      api.idToken.setCustomClaim('https://x.example/late', 1);
    };`,
    'function (user, context, callback) { callback(null, user, context); }',
  );
  const { code, stdout, stderr } = await runProgram(['--user', 'alice@example.com'], tenant);
  expect({ code, idToken: JSON.parse(stdout || '{}').idToken }).toEqual({
    code: 0,
    idToken: { 'https://x.example/late': 1 },
  });
  expect(stderr).toContain('"reason":"stray [hidden]"');
});

test("the dry run of the demo's Action shows the claims of a user", async () => {
  const { code, stdout, stderr } = await runProgram(['--user', 'bob@example.com']);
  const claims = {
    'https://contacts.example.com/roles': ['reader'],
    'https://contacts.example.com/org_id': 'acme',
  };
  expect({ code, stderr, report: JSON.parse(stdout) }).toEqual({
    code: 0,
    stderr: '',
    report: {
      user: 'auth0|bob',
      client: 'contacts-web',
      audience: API,
      organization: null,
      denied: null,
      scope: 'openid profile email offline_access read:contacts',
      accessToken: claims,
      idToken: claims,
      redirect: null,
      secondStep: null,
      metadata: { app_metadata: {}, user_metadata: {} },
      transactionMetadata: {},
      cache: {},
      dropped: [],
      console: [],
    },
  });
});

test('more than one space between scopes means nothing', async () => {
  const args = ['--user', 'bob@example.com', '--scope', ' openid  read:contacts'];
  expect(await report(args)).toMatchObject({ scope: 'openid read:contacts' });
});

test('a user without any of the permissions is denied', async () => {
  const args = ['--user', 'bob@example.com', '--scope', 'delete:contacts'];
  expect(await report(args)).toMatchObject({
    denied: 'the user has none of the permissions asked for: delete:contacts',
    scope: null,
    accessToken: null,
  });
});

test('a scope that the API does not have is denied', async () => {
  const args = ['--user', 'bob@example.com', '--scope', 'read:nothing'];
  expect(await report(args)).toMatchObject({ denied: 'no known scope asked for' });
});

test('the dry run shows console output and ignored claims of rules and Actions', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => {
       console.log('client', event.client.client_id);
       api.accessToken.setCustomClaim('sub', 'x').accessToken.addScope('more:contacts');
       api.idToken.setCustomClaim('email', 'x@example.com');
     };`,
    `function (user, context, callback) {
       console.log('rule', user.email);
       context.idToken['https://x.example/a'] = 1;
       context.accessToken.scope = ['read:contacts'];
       callback(null, user, context);
     }`,
  );
  const shown = await report(
    [
      '--user',
      'auth0|alice',
      '--client',
      'contacts-cli',
      '--audience',
      API,
      '--scope',
      'openid offline_access',
    ],
    tenant,
  );
  expect(shown).toEqual({
    user: 'auth0|alice',
    client: 'contacts-cli',
    audience: API,
    organization: null,
    denied: null,
    scope: 'read:contacts more:contacts',
    accessToken: {},
    idToken: { 'https://x.example/a': 1 },
    redirect: null,
    secondStep: null,
    metadata: { app_metadata: {}, user_metadata: {} },
    transactionMetadata: {},
    cache: {},
    dropped: [
      { action: 'Roles and organization', token: 'accessToken', claim: 'sub' },
      { token: 'idToken', claim: 'email', reason: 'its scope is not granted' },
    ],
    console: [
      { rule: 'Old', line: 'rule alice@example.com' },
      { action: 'Roles and organization', line: 'client contacts-cli' },
    ],
  });
});

test('the dry run names the second step at which a login waits', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => {
       api.authentication.enrollWithAny([{ type: 'otp' }, { type: 'phone' }]);
     };`,
    '(user, context, callback) => callback()',
  );
  expect(await report(['--user', 'alice@example.com'], tenant)).toMatchObject({
    denied: null,
    secondStep: { kind: 'enroll', factors: ['otp', 'phone'] },
  });
});

test('a denial has exit code 1, the reason and no tokens', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => { api.access.deny('not today'); };`,
    '(user, context, callback) => callback()',
  );
  const { code, stdout, stderr } = await runProgram(['--user', 'alice@example.com'], tenant);
  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({
    denied: 'not today',
    scope: null,
    accessToken: null,
    idToken: null,
  });
});

test('the dry run shows organization, redirect, metadata and cache, and ends with open timers', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => {
       setInterval(() => {}, 1000);
       require('node:http').createServer().listen(0);
       console.log(event.organization.id);
       api.cache.set('a', 'b', { expires_at: Date.now() + 60000 });
       api.user.setAppMetadata('plan', 'gold').transaction.setMetadata('score', 7)
         .redirect.sendUserTo('https://forms.example.com/age', { query: { lang: 'en' } });
     };`,
    '(user, context, callback) => callback()',
    'organizations: [{ name: acme, members: [alice@example.com] }]',
  );
  const args = ['--user', 'alice@example.com', '--organization', 'acme'];
  const { code, stdout } = await runProgram(args, tenant);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    organization: 'org_acme',
    denied: null,
    redirect: 'https://forms.example.com/age?lang=en',
    metadata: { app_metadata: { plan: 'gold' }, user_metadata: {} },
    transactionMetadata: { score: 7 },
    cache: { a: { value: 'b', expires_at: expect.any(Number) } },
    console: [{ line: 'org_acme' }],
  });

  const read = (user: string, organization: string) => () =>
    readDryRunLogin(loadTenant(tenant), ['--user', user, '--organization', organization]);
  expect(read('alice@example.com', 'x')).toThrow('--organization is "x": give one of org_acme');
  expect(read('bob@example.com', 'org_acme')).toThrow(
    '--organization is "org_acme": bob@example.com is no member of it',
  );
});

test('a claim can be requested by scope', async () => {
  const tenant = tenantWith(
    `exports.onExecutePostLogin = async (event, api) => {
       api.user.setAppMetadata('https://x.example/plan', 'gold');
     };`,
    '(user, context, callback) => callback()',
  );
  const scope = 'openid https://x.example/plan https://x.example/none';
  const args = ['--user', 'alice@example.com', '--scope', scope];
  expect(await report(args, tenant)).toMatchObject({
    scope: 'openid https://x.example/plan',
    accessToken: { 'https://x.example/plan': 'gold' },
    idToken: { 'https://x.example/plan': 'gold' },
  });
});

test('a wrong argument has exit code 1 and one line', async () => {
  const { code, stdout, stderr } = await runProgram(['--usr', 'x']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^Unknown option '--usr'.*; usage: /);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

describe('a wrong argument is named in one line', () => {
  test.each([
    ['no user', [], /^give --user; usage: /],
    ['another option', ['--usr', 'x'], /^Unknown option '--usr'.*; usage: /],
    [
      'an unknown user',
      ['--user', 'x@example.com'],
      /^--user is "x@example.com": give one of alice@example.com, /,
    ],
    [
      'an unknown client',
      ['--user', 'alice@example.com', '--client', 'x'],
      /^--client is "x": give one of contacts-web, contacts-cli/,
    ],
    [
      'an unknown audience',
      ['--user', 'alice@example.com', '--audience', 'x'],
      /^--audience is "x": give one of https:\/\/contacts.example.com\/api/,
    ],
  ])('%s', (_name, args, message) => {
    const read = () => readDryRunLogin(loadTenant(demoTenantFile), args);
    expect(read).toThrow(message);
    expect(read).toThrow(/^[^\n]*$/);
  });
});
