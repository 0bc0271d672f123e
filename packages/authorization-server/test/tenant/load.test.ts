import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import { demoTenantFile, InvalidTenant, loadTenant } from '../../src/tenant/load.ts';

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

test('the demo tenant is valid, and its Actions are in order', () => {
  const tenant = loadTenant(demoTenantFile);
  expect(tenant.clients.map((client) => client.client_id)).toEqual([
    'contacts-web',
    'contacts-cli',
    'contacts-docs',
    'contacts-api',
  ]);
  expect(tenant.users.map((user) => user.user_id)).toEqual([
    'auth0|alice',
    'auth0|bob',
    'auth0|carol',
  ]);
  expect(tenant.postLogin.map((action) => action.name)).toEqual([
    'Roles and organization',
    'Second factor',
  ]);
  expect(tenant.ignored).toEqual([]);
});

test('unknown sections and settings are accepted, and listed', () => {
  const tenant = loadTenant(write(`${demo}\nbranding: { colors: { primary: '#000' } }\n`));
  expect(tenant.ignored).toEqual(['branding']);
});

test.each([
  ['regular_web', 'com.example.app://cb', 'com.example.app:// needs app_type: native'],
  ['regular_web', 'localhost:3000/callback', 'localhost:// needs app_type: native'],
  ['native', 'com.example.app://cb, http://app.example/cb', 'a native application has https, or'],
])('an address that a %s application can not have is left out: %s', (type, address, text) => {
  const [first = ''] = demo.match(/callbacks: \[.*\]/) ?? [];
  const yaml = demo
    .replace('app_type: regular_web', `app_type: ${type}`)
    .replace(first, first.replace(']', `, ${address}]`));
  const { clients, notices } = loadTenant(write(yaml));
  expect(clients[0]?.callbacks).not.toContain(address.split(', ').at(-1));
  expect(clients[0]?.callbacks).toContain('http://localhost:3000/callback');
  expect(notices).toEqual([expect.stringMatching(/^line \d+, clients\.0\.callbacks\.\d: /)]);
  expect(notices[0]).toContain(text);
});

describe('a fault is named with its line and its path', () => {
  const faults: [string, (yaml: string) => string, RegExp][] = [
    [
      'an application that is an API, but none of the tenant',
      (y) => y.replace(/(?<=resource_server_identifier: )\S+/, 'https://other.example.com'),
      /line \d+, clients\.3\.resource_server_identifier: no API has the identifier/,
    ],
    [
      'no such role',
      (y) => y.replace('roles: [reader]', 'roles: [writer]'),
      /line \d+, users\.1\.roles\.0: no role has the name "writer"/,
    ],
    [
      'a callback that a browser would run',
      (y) =>
        y.replace(
          'callbacks: [http://localhost:3000/callback]',
          "callbacks: ['javascript:alert(1)']",
        ),
      /clients\.0\.callbacks\.0: give a URL of an application/,
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
      /clientGrants\.0\.audience: no API has the identifier/,
    ],
    [
      'a grant for no API, without a scope',
      (y) =>
        y.replace(
          /(?<=clientGrants:\n {2}- client_id: contacts-cli\n)(.*\n){2}/,
          '    audience: x\n',
        ),
      /clientGrants\.0\.audience: no API has the identifier "x"/,
    ],
    [
      'no such default API',
      (y) => y.replace('tenant:\n', 'tenant:\n  default_audience: https://x.example/\n'),
      /tenant\.default_audience: no API has the identifier "https:\/\/x\.example\/"/,
    ],
    [
      'no such client',
      (y) =>
        y.replace('  - client_id: contacts-cli\n    audience', '  - client_id: x\n    audience'),
      /clientGrants\.0\.client_id: no client has the id or name "x"/,
    ],
    [
      'no such action',
      (y) => y.replace('action_name: Roles', 'action_name: Rules'),
      /triggers\.post-login\.0\.action_name: no action/,
    ],
    [
      'no such action file',
      (y) => y.replace('organization.js', 'missing.js'),
      /actions\.0\.code: the file .*missing\.js is not there/,
    ],
    [
      'a client twice',
      (y) => y.replace('client_id: contacts-cli', 'client_id: contacts-web'),
      /clients\.1\.client_id: "contacts-web" is given twice/,
    ],
    [
      'an Action twice, of which only the first would run',
      (y) => y.replace('name: Second factor', 'name: Roles and organization'),
      /actions\.1\.name: "Roles and organization" is given twice/,
    ],
    [
      'a role twice',
      (y) => y.replace('- name: editor', '- name: admin'),
      /roles\.1\.name: "admin" is given twice/,
    ],
    [
      'a rule twice',
      (y) => `${y}\nrules: [{ name: One, script: a.js }, { name: One, script: b.js }]\n`,
      /rules\.1\.name: "One" is given twice/,
    ],
    [
      'two grants of a client for one API, by id and by name',
      (y) =>
        y.replace(
          'clientGrants:\n',
          'clientGrants:\n  - { client_id: Contacts command line, audience: https://contacts.example.com/api, scope: [create:contacts] }\n',
        ),
      /clientGrants\.1: the client has a grant for this API: give all its scopes there/,
    ],
    [
      'a scope that no request can name',
      (y) => y.replace('value: read:activity', 'value: read activity'),
      /resourceServers\.0\.scopes\.4\.value: give a text without spaces/,
    ],
    [
      'a refresh policy for no API',
      (y) =>
        y.replace('token_lifetime: 2592000 }', 'policies: [{ audience: https://x.example/ }] }'),
      /clients\.0\.refresh_token\.policies\.0\.audience: no API has the identifier/,
    ],
    [
      'a refresh policy for no scope of its API',
      (y) =>
        y.replace(
          'token_lifetime: 2592000 }',
          'policies: [{ audience: https://contacts.example.com/api, scope: [read:all] }] }',
        ),
      /clients\.0\.refresh_token\.policies\.0\.scope\.0: the API has no scope "read:all"/,
    ],
    [
      'two callbacks in one text',
      (y) =>
        y.replace('[http://localhost:3000/callback]', "['http://a.example/1, http://b.example/2']"),
      /clients\.0\.callbacks\.0: give one URL, without spaces/,
    ],
    [
      'two logout URLs in one text',
      (y) => y.replace('[http://localhost:3000]', "['http://a.example,http://b.example']"),
      /tenant\.allowed_logout_urls\.0: give one URL, without spaces/,
    ],
    [
      "a user's address twice, in another case",
      (y) => y.replace('email: bob@example.com', 'email: ALICE@example.com'),
      /users\.1\.email: "alice@example\.com" is given twice/,
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
      'a lifetime too long',
      (y) => y.replace('token_lifetime: 86400', 'token_lifetime: 99999999'),
      /token_lifetime: give at most 2592000/,
    ],
    [
      'no e-mail address',
      (y) => y.replace('email: bob@example.com', 'email: bob'),
      /users\.1\.email: give an e-mail address/,
    ],
    ['no YAML', (y) => `${y}\n  - [`, /line/],
  ];
  test.each(faults)('%s', (_name, change, message) => {
    proves('RFC 9700 §4.1');
    const changed = change(demo);
    expect(changed).not.toBe(demo);
    expect(() => loadTenant(write(changed))).toThrow(InvalidTenant);
    expect(() => loadTenant(write(changed))).toThrow(message);
  });

  test('all faults are reported, in the order of their lines', () => {
    const changed = demo
      .replace('email: bob@example.com', 'email: bob')
      .replace('is_first_party: true', 'is_first_party: perhaps');
    const line = (text: string): number => demo.slice(0, demo.indexOf(text)).split('\n').length;
    let faults: readonly string[] = [];
    try {
      loadTenant(write(changed));
    } catch (error) {
      faults = (error as InvalidTenant).faults;
    }
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(`line ${line('is_first_party: true')}, clients.0.is_first_party`);
    expect(faults[1]).toMatch(`line ${line('email: bob@example.com')}, users.1.email`);
  });

  test('a missing file is named', () => {
    expect(() => loadTenant(join(directory, 'none.yaml'))).toThrow(/can't be read \(ENOENT\)/);
  });

  test('an Action that is no JavaScript is named', () => {
    const action = join(directory, 'broken.js');
    writeFileSync(action, 'exports.onExecutePostLogin = async (event => {');
    const changed = demo.replace(/code: .*roles-and-organization\.js/, `code: ${action}`);
    expect(() => loadTenant(write(changed))).toThrow(/actions\.0\.code: the file .* can't be used/);
  });
});

describe('a fault of refresh tokens, keys, passwords, organizations and limits', () => {
  const BOB = '    password: bob-demo\n';
  const WEB = '    client_secret: contacts-web-demo-secret\n';
  const METHOD = '    token_endpoint_auth_method: client_secret_post\n    refresh_token';
  const organization = (yaml: string) => (y: string) => `${y}\norganizations:\n  - ${yaml}\n`;
  const faults: [string, (yaml: string) => string, RegExp][] = [
    [
      'a leeway below 0',
      (y) => y.replace('token_lifetime: 2592000', 'leeway: -1'),
      /line \d+, clients\.0\.refresh_token\.leeway: give a number of seconds/,
    ],
    [
      'a life of more than a year',
      (y) => y.replace('token_lifetime: 2592000', 'token_lifetime: 40000000'),
      /refresh_token\.token_lifetime: give at most 31557600/,
    ],
    [
      'an idle time as long as the life',
      (y) => y.replace('token_lifetime: 2592000', 'token_lifetime: 60, idle_token_lifetime: 60'),
      /refresh_token\.idle_token_lifetime: give less than token_lifetime/,
    ],
    [
      'private_key_jwt without a key',
      (y) => y.replace(METHOD, METHOD.replace('client_secret_post', 'private_key_jwt')),
      /clients\.0: private_key_jwt needs a key/,
    ],
    [
      'a key that is not used',
      (y) => y.replace(WEB, `${WEB}    jwks: { keys: [{ kty: RSA, n: AQAB, e: AQAB }] }\n`),
      /clients\.0: leave out the keys, or token_endpoint_auth_method: client_secret_post/,
    ],
    [
      'a private key',
      (y) => y.replace(WEB, `${WEB}    jwks: { keys: [{ kty: RSA, d: AQAB }] }\n`),
      /clients\.0\.jwks\.keys\.0: give the public key/,
    ],
    [
      'neither password nor hash',
      (y) => y.replace(BOB, ''),
      /users\.1: give either a password or a password_hash/,
    ],
    [
      'a hash of another kind',
      (y) => y.replace(BOB, "    password_hash: '$2b$10$abcdefghijklmnopqrstuv'\n"),
      /users\.1\.password_hash: give a bcrypt hash as Auth0 exports it/,
    ],
    [
      'a hash that takes too long',
      (y) => y.replace(BOB, `    password_hash: '$2b$15$${'a'.repeat(20)}.O${'a'.repeat(31)}'\n`),
      /users\.1\.password_hash: the cost is 15: give a hash with a cost from 4 to 14/,
    ],
    [
      'a password of more than 72 bytes',
      (y) => y.replace(BOB, `    password: ${'ä'.repeat(37)}\n`),
      /users\.1\.password: give at most 72 bytes/,
    ],
    [
      'a window that no timer runs',
      (y) => `${y}rate_limits: { token: { limit: 1, window: 2147484 } }\n`,
      /rate_limits\.token\.window: give at most 2147483 \(24 days\)/,
    ],
    [
      'an unknown member',
      organization('{ name: acme, members: [auth0|bob, { user: dave@example.com }] }'),
      /line \d+, organizations\.0\.members\.1: no user has the id or address "dave@example\.com"/,
    ],
    [
      'a member that is no text',
      organization('{ name: acme, members: [7] }'),
      /organizations\.0\.members\.0: give a user_id or an e-mail address/,
    ],
    [
      'an organization name that looks like an id',
      organization('{ name: org_acme }'),
      /organizations\.0\.name: give lower-case letters/,
    ],
    [
      'an id that does not look like one',
      organization('{ name: acme, id: acme }'),
      /organizations\.0\.id: give an id that begins with org_/,
    ],
    [
      'an organization twice',
      organization('{ name: acme }\n  - { name: acme, id: org_2 }'),
      /organizations\.1\.name: "acme" is given twice/,
    ],
    [
      'no attempt at all',
      (y) => `${y}\nattack_protection: { brute_force_protection: { max_attempts: 0 } }\n`,
      /attack_protection\.brute_force_protection\.max_attempts: give a number from 1 on/,
    ],
    [
      'a member of the event that no request has',
      (y) => `${y}\nevent: { request: { geoip: { country_code: DE } } }\n`,
      /line \d+, event\.request\.geoip: .*"country_code"/,
    ],
    [
      'a second factor without a type',
      (y) => y.replace('roles: [admin]', 'enrolledFactors: [otp]\n    roles: [admin]'),
      /line \d+, users\.0\.enrolledFactors\.0: /,
    ],
    [
      'a limit of 0',
      (y) => `${y}\nrate_limits: { token: { limit: 0 } }\n`,
      /rate_limits\.token\.limit: give a number from 1 on/,
    ],
  ];
  test.each(faults)('%s', (_name, change, message) => {
    const changed = change(demo);
    expect(changed).not.toBe(demo);
    expect(() => loadTenant(write(changed))).toThrow(InvalidTenant);
    expect(() => loadTenant(write(changed))).toThrow(message);
  });
});

test('missing members get their defaults', () => {
  const yaml = `${demo}\norganizations: [{ name: acme, members: [{ user: bob@example.com }] }]\n`;
  const tenant = loadTenant(write(yaml));
  expect(tenant.organizations).toEqual([
    { name: 'acme', id: 'org_acme', metadata: {}, members: ['bob@example.com'] },
  ]);
  expect(tenant.clients[1]?.refresh_token).toMatchObject({
    rotation_type: 'non-rotating',
    expiration_type: 'expiring',
    token_lifetime: 2_592_000,
    leeway: 0,
  });
  expect(tenant.attack_protection.brute_force_protection).toEqual({
    enabled: true,
    max_attempts: 10,
  });
  expect(tenant.rate_limits.token).toBeUndefined();
});
