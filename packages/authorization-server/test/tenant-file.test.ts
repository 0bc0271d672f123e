import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { InvalidTenant } from '../src/errors.ts';
import { demoTenantFile, loadTenant } from '../src/tenant-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'tenant-'));
afterAll(() => rmSync(directory, { recursive: true }));

const demo = readFileSync(demoTenantFile, 'utf8').replaceAll(
  './actions/',
  `${join(dirname(demoTenantFile), 'actions')}/`,
);

function write(content: string): string {
  const file = join(directory, 'tenant.yaml');
  writeFileSync(file, content);
  return file;
}

test('the demo tenant is right, and its Actions are in order', () => {
  const tenant = loadTenant(demoTenantFile);
  expect(tenant.clients.map((client) => client.client_id)).toEqual([
    'contacts-web',
    'contacts-cli',
  ]);
  expect(tenant.users.map((user) => user.user_id)).toEqual([
    'auth0|alice',
    'auth0|bob',
    'auth0|carol',
  ]);
  expect(tenant.postLogin.map((action) => action.name)).toEqual(['Roles and organisation']);
  expect(tenant.ignoredSections).toEqual([]);
});

test('sections of the deploy tool that this server does not know are let through, and listed', () => {
  const tenant = loadTenant(write(`${demo}\nbranding: { colors: { primary: '#000' } }\n`));
  expect(tenant.ignoredSections).toEqual(['branding']);
});

describe('a fault is named with its line and its path', () => {
  const faults: [string, (yaml: string) => string, RegExp][] = [
    [
      'no such role',
      (y) => y.replace('roles: [reader]', 'roles: [writer]'),
      /line \d+, users\.1\.roles\.0: no role has the name "writer"/,
    ],
    [
      'no such scope',
      (y) => y.replace('permission_name: read:activity', 'permission_name: read:all'),
      /roles\.0\.permissions\.4: the API has no scope "read:all"/,
    ],
    [
      'no such API',
      (y) =>
        y.replace('audience: https://contacts.example.com/api', 'audience: https://x.example/'),
      /clientGrants\.0\.scope\.0: no API has the identifier/,
    ],
    [
      'no such client',
      (y) =>
        y.replace('  - client_id: contacts-cli\n    audience', '  - client_id: x\n    audience'),
      /clientGrants\.0\.client_id: no client has the id "x"/,
    ],
    [
      'no such action',
      (y) => y.replace('action_name: Roles', 'action_name: Rules'),
      /triggers\.post-login\.0\.action_name: no action/,
    ],
    [
      'no such action file',
      (y) => y.replace('organisation.js', 'missing.js'),
      /actions\.0\.code: the file .*missing\.js is not there/,
    ],
    [
      'a client twice',
      (y) => y.replace('client_id: contacts-cli', 'client_id: contacts-web'),
      /clients\.1\.client_id: "contacts-web" is there twice/,
    ],
    [
      'a callback that is no URL',
      (y) => y.replace('[http://localhost:3000/callback]', '[callback]'),
      /clients\.0\.callbacks\.0: give an absolute URL/,
    ],
    [
      'a callback with a fragment',
      (y) => y.replace('3000/callback]', '3000/callback#x]'),
      /clients\.0\.callbacks\.0: leave out the fragment/,
    ],
    [
      'no callback',
      (y) => y.replace('callbacks: [http://localhost:3000/callback]', 'callbacks: []'),
      /clients\.0: the authorization_code grant needs/,
    ],
    [
      'no secret',
      (y) => y.replace('    client_secret: contacts-web-demo-secret\n', ''),
      /clients\.0: give a client_secret/,
    ],
    [
      'a lifetime too long',
      (y) => y.replace('token_lifetime: 86400', 'token_lifetime: 99999999'),
      /token_lifetime: give at most 2592000/,
    ],
    [
      'another algorithm',
      (y) => y.replace('signing_alg: RS256', 'signing_alg: HS256'),
      /signing_alg: only RS256/,
    ],
    [
      'no e-mail address',
      (y) => y.replace('email: bob@example.com', 'email: bob'),
      /users\.1\.email: give an e-mail address/,
    ],
    ['no YAML', (y) => `${y}\n  - [`, /line/],
  ];
  test.each(faults)('%s', (_name, change, message) => {
    const changed = change(demo);
    expect(changed).not.toBe(demo);
    expect(() => loadTenant(write(changed))).toThrow(InvalidTenant);
    expect(() => loadTenant(write(changed))).toThrow(message);
  });

  test('all of them, in the order of their lines', () => {
    const changed = demo
      .replace('email: bob@example.com', 'email: bob')
      .replace('app_type: regular_web', 'app_type: gadget');
    const line = (text: string): number => demo.slice(0, demo.indexOf(text)).split('\n').length;
    let faults: readonly string[] = [];
    try {
      loadTenant(write(changed));
    } catch (error) {
      faults = (error as InvalidTenant).faults;
    }
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(`line ${line('app_type: regular_web')}, clients.0.app_type`);
    expect(faults[1]).toMatch(`line ${line('email: bob@example.com')}, users.1.email`);
  });

  test('a file that is not there', () => {
    expect(() => loadTenant(join(directory, 'none.yaml'))).toThrow(/can't be read \(ENOENT\)/);
  });

  test('an Action that is no JavaScript', () => {
    const action = join(directory, 'broken.js');
    writeFileSync(action, 'exports.onExecutePostLogin = async (event => {');
    const changed = demo.replace(/code: .*roles-and-organisation\.js/, `code: ${action}`);
    expect(() => loadTenant(write(changed))).toThrow(/actions\.0\.code: the file .* can't be used/);
  });
});
