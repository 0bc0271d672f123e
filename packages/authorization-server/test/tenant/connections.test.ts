import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { offeredConnections, offersPasswords } from '../../src/tenant/connections.ts';
import { demoTenantFile, InvalidTenant, loadTenant } from '../../src/tenant/load.ts';
import { describeConnection, identitiesOf } from '../../src/tenant/users.ts';

const directory = mkdtempSync(join(tmpdir(), 'connections-'));
afterAll(() => rmSync(directory, { recursive: true }));

const demo = readFileSync(demoTenantFile, 'utf8').replaceAll(
  './actions/',
  `${join(dirname(demoTenantFile), 'actions')}/`,
);

const PARTNER = `
connections:
  - name: partner
    strategy: oidc
    display_name: Partner
    enabled_clients: [Contacts]
    options:
      type: back_channel
      issuer: https://partner.example/
      client_id: contacts-dev
      client_secret: secret
      scope: openid email
`;

function load(yaml: string) {
  const file = join(directory, 'tenant.yaml');
  writeFileSync(file, demo + yaml);
  return loadTenant(file);
}

test('a database and other strategies are accepted, and the others are listed as ignored', () => {
  const tenant = load(`${PARTNER}
  - { name: db, strategy: auth0, enabled_clients: [contacts-cli], is_domain_connection: false }
  - { name: db-2, strategy: auth0 }
  - { name: google-oauth2, strategy: google-oauth2, options: { scope: [email] } }
`);
  expect(tenant.ignored).toEqual([
    'connections: db-2 (auth0), google-oauth2 (google-oauth2), is_domain_connection',
  ]);
  expect(describeConnection(tenant, 'auth0|alice')).toEqual({
    id: 'con_db',
    name: 'db',
    strategy: 'auth0',
  });
  expect(tenant.clients.map((client) => offersPasswords(tenant, client))).toEqual([
    false,
    true,
    false,
    false,
  ]);
});

describe('the default directory', () => {
  const databases = `${PARTNER}
  - { name: db, strategy: auth0, enabled_clients: [] }
  - { name: db-2, strategy: auth0, enabled_clients: [Contacts] }
`;
  const withDefault = (name: string, yaml: string) => {
    const file = join(directory, 'tenant.yaml');
    const document = demo.replace('tenant:\n', `tenant:\n  default_directory: ${name}\n`);
    writeFileSync(file, document + yaml);
    return loadTenant(file);
  };

  test('checks the passwords', () => {
    const tenant = withDefault('db-2', databases);
    expect(describeConnection(tenant, 'auth0|alice')).toMatchObject({ name: 'db-2' });
    expect(offersPasswords(tenant, tenant.clients[0])).toBe(true);
    expect(tenant.ignored).toEqual(['connections: db (auth0)']);
  });

  test.each(["''", 'partner'])('%s is not a database: the first one is used', (name) => {
    const tenant = withDefault(name, databases);
    expect(describeConnection(tenant, 'auth0|alice')).toMatchObject({ name: 'db' });
  });

  test('names the database that is not in the file', () => {
    const tenant = withDefault('users', PARTNER);
    expect(describeConnection(tenant, 'auth0|alice')).toMatchObject({ name: 'users' });
  });

  test('must be a connection', () => {
    expect(() => withDefault('other', databases)).toThrow(
      /tenant\.default_directory: no connection has the name "other"/,
    );
  });
});

test('a provider that sends the ID token through the browser, and an unknown application, are ignored by name', () => {
  const front = PARTNER.replace('back_channel', 'front_channel').replace(
    '[Contacts]',
    '[Contract]',
  );
  const tenant = load(front);
  expect(tenant.ignored).toEqual(['connections: partner (oidc front_channel)']);
  expect(tenant.notices).toEqual([
    expect.stringMatching(
      /connections\.0\.enabled_clients\.0: no client has the name or id "Contract"/,
    ),
  ]);
  expect(tenant.clients.flatMap((client) => offeredConnections(tenant, client))).toEqual([]);
});

test('an Action gets the connection and identities of a user of the database', () => {
  const tenant = load(PARTNER);
  const connection = 'Username-Password-Authentication';
  expect(describeConnection(tenant, 'auth0|alice')).toEqual({
    id: 'con_local',
    name: connection,
    strategy: 'auth0',
  });
  expect(identitiesOf(tenant, 'auth0|alice')).toEqual([
    { connection, provider: 'auth0', user_id: 'alice', isSocial: false },
  ]);
});

test('users and members of an identity provider need no password and no entry', () => {
  const tenant = load(`${PARTNER}
organizations: [{ name: acme, members: ['oidc|partner|eve', 'oidc|partner|bob'] }]
`);
  expect(tenant.organizations[0]?.members).toHaveLength(2);
  const withEntry = demo.replace(
    'users:\n',
    `users:
  - { user_id: 'oidc|partner|bob', email: bob@example.com, name: Bob, roles: [reader] }\n`,
  );
  const file = join(directory, 'entry.yaml');
  writeFileSync(file, withEntry + PARTNER);
  expect(loadTenant(file).users[0]).toMatchObject({ roles: ['reader'], blocked: false });
});

describe('a fault is named with its line and its path', () => {
  const entry = (fields: string) => (yaml: string) =>
    yaml.replace('users:\n', `users:\n  - { email: eve@example.com, name: Eve, ${fields} }\n`);
  const faults: [string, (yaml: string) => string, RegExp][] = [
    [
      'no issuer',
      (y) => y.replace('issuer: https://partner.example/', ''),
      /line \d+, connections\.0\.options\.issuer: give an issuer or a discovery_url/,
    ],
    [
      'an issuer over http on the network',
      (y) => y.replace('issuer: https:', 'issuer: http:'),
      /connections\.0\.options\.issuer: give an https URL, or http on a loopback address/,
    ],
    [
      'a discovery_url that is something else',
      (y) => y.replace('issuer:', 'discovery_url:'),
      /connections\.0\.options\.discovery_url: give a URL that ends in/,
    ],
    [
      'no client_id and no client_secret',
      (y) => y.replace('client_id: contacts-dev\n      client_secret: secret', ''),
      /options\.client_id: [\s\S]*options\.client_secret: /,
    ],
    [
      'a scope without openid',
      (y) => y.replace('scope: openid email', 'scope: email'),
      /connections\.0\.options\.scope: openid must be one of the scopes/,
    ],
    [
      'a name with a bar',
      (y) => y.replace('name: partner', 'name: a|b'),
      /connections\.0\.name: give letters and digits/,
    ],
    [
      'a connection twice',
      (y) => `${y}  - { name: partner, strategy: auth0 }\n`,
      /connections\.1\.name: "partner" is given twice/,
    ],
    [
      'a user of no connection',
      entry("user_id: 'oidc|other|eve'"),
      /users\.0\.user_id: no connection of the strategy oidc is "other"/,
    ],
    [
      'a user of an identity provider with a password',
      entry("user_id: 'oidc|partner|eve', password: x"),
      /users\.0: leave out the password: an identity provider signs this user in/,
    ],
    [
      'an organization that knows a user of an identity provider by address',
      (y) =>
        `${entry("user_id: 'oidc|partner|eve'")(y)}organizations: [{ name: a, members: [eve@example.com] }]\n`,
      /organizations\.0\.members\.0: no user has the id or address "eve@example\.com"/,
    ],
  ];
  test.each(faults)('%s', (_name, change, message) => {
    const file = join(directory, 'fault.yaml');
    const right = demo + PARTNER;
    const changed = change(right);
    expect(changed).not.toBe(right);
    writeFileSync(file, changed);
    expect(() => loadTenant(file)).toThrow(InvalidTenant);
    expect(() => loadTenant(file)).toThrow(message);
  });
});
