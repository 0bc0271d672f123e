import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { casesOf } from '../../../../test/support/properties.ts';
import type { Tenant } from '../../src/index.ts';
import { readKeywords, replaceKeywords } from '../../src/tenant/keywords.ts';
import { InvalidTenant, loadTenant } from '../../src/tenant/load.ts';
import { startLocalIssuer } from '../../src/testing/start-local-issuer.ts';

/*
 * `exports` has one tenant as the Auth0 deploy tool writes it, in both formats, with what exports have
 * that other tenant files have not.
 */

const exported = fileURLToPath(new URL('./exports', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'exports-'));
afterAll(() => rmSync(directory, { recursive: true }));

const KEYWORDS = {
  ENV: 'dev',
  BASE_URL: 'http://localhost:3000',
  LOGOUT_URLS: ['http://localhost:3000', 'http://localhost:3000/bye'],
  LEGACY_SECRET: 'legacy-secret',
  GREETING: 'Hello',
};
const AUDIENCE = 'https://dev.example.com/api';

const FORMATS = [
  ['one YAML file', 'yaml/tenant.yaml'],
  ['the folder of a YAML file', 'yaml'],
  ['the directory format', 'directory'],
] as const;
const load = (path: string, keywords: Record<string, unknown> = KEYWORDS) =>
  loadTenant(join(exported, path), { keywords });

const byName = <T extends { name: string }>(list: readonly T[]) =>
  [...list].sort((a, b) => (a.name < b.name ? -1 : 1));
const application = (tenant: Tenant, name: string) =>
  tenant.clients.find((client) => client.name === name);

const lineOf = (path: string, text: string): number =>
  (readFileSync(join(exported, path), 'utf8').split(text)[0] ?? '').split('\n').length;

/** Copies an export, changes one of its files, and loads it. */
function loadChanged(format: string, file: string, change: (text: string) => string): Tenant {
  const copy = join(mkdtempSync(join(directory, 'changed-')), 'tenant');
  cpSync(join(exported, format), copy, { recursive: true });
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const changed = change(text);
  expect(changed).not.toBe(text);
  writeFileSync(path, changed);
  return loadTenant(copy, { keywords: KEYWORDS });
}

describe.each(FORMATS)('%s', (_name, path) => {
  test('loads, with its keywords replaced', () => {
    const tenant = load(path);
    expect(byName(tenant.clients).map(({ name }) => name)).toEqual([
      'Certificate',
      'Key at Auth0',
      'Legacy',
      'Machine',
      'Resource',
      'Single page',
      'Web',
    ]);
    expect(application(tenant, 'Web')).toMatchObject({
      callbacks: ['http://localhost:3000/callback'],
      allowed_logout_urls: KEYWORDS.LOGOUT_URLS,
      web_origins: [],
      token_endpoint_auth_method: 'client_secret_post',
      refresh_token: { expiration_type: 'non-expiring', infinite_token_lifetime: true },
    });
    expect(application(tenant, 'Legacy')?.client_secret).toBe('legacy-secret');
    expect(tenant.resourceServers[0]?.identifier).toBe(AUDIENCE);
    expect(tenant.tenant.allowed_logout_urls).toEqual(['http://localhost:3000']);
    expect(tenant.organizations.map(({ name, id }) => [name, id])).toEqual([['acme', 'org_acme']]);
    expect(tenant.users).toMatchObject([
      { email: 'ann@example.com', app_metadata: { plan: null } },
    ]);
    expect(tenant.attack_protection.brute_force_protection.max_attempts).toBe(7);
    expect(tenant.postLogin.map(({ name }) => name)).toEqual(['Add roles']);
    expect(tenant.postLogin[0]?.code).toContain("'https://dev.example.com/roles'");
    expect(tenant.loginRules.map(({ name }) => name)).toEqual(['Greet']);
    expect(tenant.loginRules[0]?.configuration).toEqual({ WORD: 'Hello' });
  });

  test('a grant names its client by name, and only those for client credentials at a known API count', () => {
    const tenant = load(path);
    expect(tenant.clientGrants).toMatchObject([
      { client_id: application(tenant, 'Machine')?.client_id, scope: ['read:orders'] },
    ]);
  });
});

test('both formats give the same applications, APIs, roles and connections', () => {
  const [yaml, folder] = [load('yaml/tenant.yaml'), load('directory')];
  expect(byName(folder.clients)).toEqual(byName(yaml.clients));
  expect(folder.resourceServers).toEqual(yaml.resourceServers);
  expect(folder.roles).toEqual(yaml.roles);
  expect(folder.clientGrants).toEqual(yaml.clientGrants);
  expect(byName(folder.connections)).toEqual(byName(yaml.connections));
  expect(folder.triggers).toEqual(yaml.triggers);
});

const AUTH0_API = 'https://acme.eu.auth0.com/api/v2/';
const IGNORED = [
  'actions: runtime',
  'attackProtection: bruteForceProtection.mode, bruteForceProtection.shields, suspiciousIpThrottling',
  'branding',
  `clientGrants: audience ${AUTH0_API}, default_for, subject_type user`,
  `clients: ${[
    'client_authentication_methods.tls_client_auth',
    'cross_origin_authentication',
    'custom_login_page_on',
    'grant_types http://auth0.com/oauth/grant-type/password-realm',
    'grant_types password',
    'grant_types urn:ietf:params:oauth:grant-type:token-exchange',
    'is_token_endpoint_ip_header_trusted',
    'oidc_conformant',
    'sso_disabled',
    'token_endpoint_auth_method tls_client_auth',
  ].join(', ')}`,
  'connections: front (oidc front_channel), google-oauth2 (google-oauth2), partner (oidc back_channel)',
  'databases: is_domain_connection, options.brute_force_protection, options.passwordPolicy, realms',
  'emailProvider',
  'guardianFactors',
  'organizations: branding, connections',
  'pages',
  'resourceServers: signing_alg HS256, subject_type_authorization, token_lifetime_for_web',
  `roles: permissions of ${AUTH0_API}`,
  'tenant: enabled_locales, flags.enable_client_connections, flags.universal_login',
  'triggers: send-phone-message',
];
/** Folders whose names are not those of their sections. */
const FOLDERS: Record<string, string> = { emailProvider: 'emails', guardianFactors: 'guardian' };

test('what is ignored is listed once, by section and setting', () => {
  expect(load('yaml/tenant.yaml').ignored).toEqual(IGNORED);
  expect(load('directory').ignored).toEqual(IGNORED.map((line) => FOLDERS[line] ?? line));
});

test('a value that is missing is named with its file and line', () => {
  const text = (keyword: string) => `the keyword ${keyword} has no value: the text stays as it is`;
  const reads = (name: string) =>
    `the secret ${name} has no value: the Action fails where it reads it`;
  const leftOut = (keyword: string) => `the keyword ${keyword} has no value: it is left out`;
  expect(load('directory').notices).toEqual([
    'actions/Add roles.json, line 4, code: actions/Add roles/code.js, line 3: the keyword STAGE has no value, and stays as it is',
    `actions/Read secret.json, line 9, secrets.0: ${reads('"API_KEY"')}`,
    `actions/Read secret.json, line 13, secrets.1: ${reads('"SALT"')}`,
    `actions/Read secret.json, line 16, secrets.2: ${reads('"PEPPER" (ANY_PEPPER)')}`,
    `clients/Web.json, line 6, callbacks.1: ${leftOut('NOWHERE')}`,
    `clients/Web.json, line 32, web_origins: ${leftOut('NO_ORIGINS')}`,
    'connections/partner.json, line 9, options.client_secret: the keyword CONNECTIONS_OIDC_SECRET has no value: the connection is ignored',
    'database-connections/Username-Password-Authentication/database.json, line 4, enabled_clients.3: no client has the name or id "xyzUNKNOWN": it is ignored',
    `resource-servers/Shared key.json, line 6, signing_secret: ${leftOut('SHARED_KEY')}`,
    'rules-configs/TOKEN.json, line 1, top: "TOKEN" (RULE_TOKEN) has no value: a rule fails where it reads it',
    `tenant.json, line 2, friendly_name: ${text('TEAM')}`,
  ]);
  expect(load('yaml/tenant.yaml').notices).toHaveLength(11);
  expect(load('yaml/tenant.yaml').notices).toContain(
    `line ${lineOf('yaml/tenant.yaml', '##TEAM##')}, tenant.friendly_name: ${text('TEAM')}`,
  );
});

describe('applications without id and secret', () => {
  test('get the same at each start, and in each format, and only these are listed', () => {
    const tenants = FORMATS.map(([, path]) => load(path));
    const completed = tenants.map((tenant) => byName(tenant.completed));
    expect(completed[1]).toEqual(completed[0]);
    expect(completed[2]).toEqual(completed[0]);
    expect(completed[0]).toEqual([
      { name: 'Machine', client_id: expect.any(String), client_secret: expect.any(String) },
      { name: 'Resource', client_id: expect.any(String), client_secret: expect.any(String) },
      { name: 'Single page', client_id: expect.any(String) },
      { name: 'Web', client_id: expect.any(String), client_secret: expect.any(String) },
    ]);
    const made = completed[0]?.flatMap(({ client_id, client_secret = '' }) => [
      client_id,
      client_secret,
    ]);
    expect(new Set(made).size).toBe(8);
    for (const { client_id } of completed[0] ?? []) expect(client_id).toMatch(/^[A-Za-z0-9]{32}$/);
  });

  test('that share a name need a client_id', () => {
    expect(() =>
      loadChanged('directory', 'clients/Web.json', (json) => json.replace('"Web"', '"Machine"')),
    ).toThrow(
      /clients\/Web\.json, line \d+, client_id: ".+" is given twice: give each client a client_id/,
    );
  });
});

describe('at use', () => {
  const withIssuer = async (
    change: (tenant: Tenant) => Tenant,
    use: (issuer: Awaited<ReturnType<typeof startLocalIssuer>>) => Promise<void>,
  ): Promise<void> => {
    const issuer = await startLocalIssuer({ tenant: change(load('directory')) });
    try {
      await use(issuer);
    } finally {
      await issuer.close();
    }
  };
  const post = (issuer: string, form: Record<string, string>) =>
    got.post(`${issuer}oauth/token`, { form, throwHttpErrors: false, responseType: 'json' });
  const same = (tenant: Tenant): Tenant => tenant;

  test('an application signs in with the made id and secret, the rule and the Action run', async () => {
    await withIssuer(same, async (issuer) => {
      const { client_id: client } = application(issuer.tenant, 'Web') ?? {};
      const { id_token = '' } = await issuer.tokensFor({ client });
      expect(decodeJwt(id_token)).toMatchObject({
        aud: client,
        'https://dev.example.com/roles': ['reader'],
        'https://dev.example.com/stage': '##STAGE##',
        'https://example.com/greeting': 'Hello Ann',
      });
    });
  });

  test('a secret without a value fails the Action that reads it, by name', async () => {
    await withIssuer(same, async (issuer) => {
      const { client_id = '', client_secret = '' } = application(issuer.tenant, 'Machine') ?? {};
      const form = { grant_type: 'client_credentials', client_id, client_secret };
      const { statusCode, body } = await post(issuer.issuer, { ...form, audience: AUDIENCE });
      expect({ statusCode, body }).toMatchObject({
        statusCode: 500,
        body: { error_description: expect.stringContaining('"API_KEY" has no value') },
      });
      const refused = await post(issuer.issuer, {
        ...form,
        audience: 'https://acme.eu.auth0.com/api/v2/',
      });
      expect(refused.body).toMatchObject({
        error_description: 'Service not enabled within domain: https://acme.eu.auth0.com/api/v2/',
      });
    });
  });

  test('a grant for users gives no client credentials', async () => {
    await withIssuer(same, async (issuer) => {
      const { client_id = '', client_secret = '' } = application(issuer.tenant, 'Web') ?? {};
      const form = { grant_type: 'client_credentials', client_id, client_secret };
      const { statusCode, body } = await post(issuer.issuer, { ...form, audience: AUDIENCE });
      expect({ statusCode, body }).toMatchObject({
        statusCode: 403,
        body: {
          error: 'access_denied',
          error_description: expect.stringContaining('client-grant'),
        },
      });
    });
  });

  test.each([
    'password',
    'http://auth0.com/oauth/grant-type/password-realm',
    'urn:ietf:params:oauth:grant-type:token-exchange',
  ])('the grant type %s is refused in the words of Auth0', async (grant_type) => {
    await withIssuer(same, async (issuer) => {
      const client = { client_id: 'legacy', client_secret: 'legacy-secret' };
      const { statusCode, body } = await post(issuer.issuer, { grant_type, ...client });
      expect({ statusCode, body }).toEqual({
        statusCode: 403,
        body: {
          error: 'unauthorized_client',
          error_description: `Grant type '${grant_type}' not allowed for the client.`,
        },
      });
    });
  });

  test.each(['none', undefined])(
    'a public application gets no token by client credentials (RFC 6749 §4.4): %s',
    async (token_endpoint_auth_method) => {
      const publish = (tenant: Tenant): Tenant => {
        const change = { app_type: 'spa', client_secret: undefined, token_endpoint_auth_method };
        const open = {
          ...application(tenant, 'Web')!,
          ...change,
          client_id: 'open',
          grant_types: ['client_credentials'],
        };
        const grant = { ...tenant.clientGrants[0]!, client_id: 'open' };
        return {
          ...tenant,
          clients: [...tenant.clients, open],
          clientGrants: [...tenant.clientGrants, grant],
        };
      };
      await withIssuer(publish, async (issuer) => {
        const form = { grant_type: 'client_credentials', audience: AUDIENCE, client_id: 'open' };
        const { statusCode, body } = await post(issuer.issuer, form);
        expect({ statusCode, body }).toMatchObject({
          statusCode: 403,
          body: { error: 'unauthorized_client' },
        });
      });
    },
  );

  test.each(['certificate', 'key-at-auth0'])(
    'an application with an unsupported authentication method can use no other: %s',
    async (client_id) => {
      await withIssuer(same, async (issuer) => {
        const form = { grant_type: 'client_credentials', audience: AUDIENCE, client_id };
        const tries: Record<string, string>[] = [{}, { client_secret: '' }, { client_secret: 'x' }];
        for (const more of tries) {
          const { statusCode, body } = await post(issuer.issuer, { ...form, ...more });
          expect({ statusCode, body }).toMatchObject({
            statusCode: 401,
            body: { error: 'access_denied', error_description: 'Unauthorized' },
          });
        }
      });
    },
  );

  test('a page of an application that is named by its hash can follow a logout', async () => {
    await withIssuer(same, async (issuer) => {
      const { client_id = '' } = application(issuer.tenant, 'Single page') ?? {};
      const returnTo = 'http://localhost:3000/#/bye';
      const url = new URL('v2/logout', issuer.issuer);
      url.search = new URLSearchParams({ client_id, returnTo }).toString();
      const { headers } = await got(url, { followRedirect: false });
      expect(headers.location).toBe(returnTo);
    });
  });

  test('an application without callbacks gets no code', async () => {
    await withIssuer(same, async (issuer) => {
      const url = new URL('authorize', issuer.issuer);
      url.search = new URLSearchParams({
        client_id: application(issuer.tenant, 'Legacy')?.client_id ?? '',
        response_type: 'code',
        redirect_uri: 'http://localhost:3000/callback',
        scope: 'openid',
      }).toString();
      const { statusCode, headers } = await got(url, {
        followRedirect: false,
        throwHttpErrors: false,
      });
      expect({ statusCode, location: headers.location }).toEqual({ statusCode: 400 });
    });
  });
});

describe('a watched folder', () => {
  test('gets new entries, loses removed ones, and keeps its keywords', async () => {
    const copy = join(mkdtempSync(join(directory, 'watched-')), 'tenant');
    cpSync(join(exported, 'directory'), copy, { recursive: true });
    const tenant = loadTenant(copy, { keywords: KEYWORDS });
    const issuer = await startLocalIssuer({ tenant, watch: true });
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    try {
      const added = { name: 'Added', callbacks: ['##BASE_URL##/added'] };
      writeFileSync(join(copy, 'clients/Added.json'), JSON.stringify(added));
      await until(() => application(issuer.tenant, 'Added') !== undefined);
      expect(application(issuer.tenant, 'Added')?.callbacks).toEqual([
        'http://localhost:3000/added',
      ]);
      rmSync(join(copy, 'clients/Resource.json'));
      await until(() => application(issuer.tenant, 'Resource') === undefined);
    } finally {
      await issuer.close();
    }
  });
});

describe('the start stops', () => {
  const faults: [string, string, string, (text: string) => string, RegExp][] = [
    [
      'at a secret whose keyword has no value',
      'directory',
      'clients/Legacy.json',
      (json) => json.replace('##LEGACY_SECRET##', '##OTHER_SECRET##'),
      /clients\/Legacy\.json, line 4, client_secret: the keyword OTHER_SECRET has no value: set it/,
    ],
    [
      'at a password whose keyword has no value',
      'yaml',
      'users.yaml',
      (yaml) => yaml.replace('ann-demo', "'##ANN##'"),
      /users\.yaml, line 4, users\.0\.password: the keyword ANN has no value/,
    ],
    [
      'at a keyword without a value that YAML reads as a comment',
      'yaml',
      'tenant.yaml',
      (yaml) => yaml.replace("client_secret: '##LEGACY_SECRET##'", 'client_secret: ##OTHER##'),
      /line \d+, clients\.3\.client_secret: the keyword OTHER has no value/,
    ],
    [
      'at a number whose keyword has no value',
      'directory',
      'resource-servers/Orders.json',
      (json) => json.replace('86400', '@@LIFETIME@@'),
      /resource-servers\/Orders\.json, line \d+, token_lifetime: the keyword LIFETIME has no value/,
    ],
    [
      'at a setting whose name has a wrong letter',
      'directory',
      'clients/Machine.json',
      (json) => json.replace('"callbacks"', '"calbacks"'),
      /clients\/Machine\.json, line \d+, calbacks: this setting is unknown: write callbacks/,
    ],
    [
      'at a client_id that two applications have',
      'directory',
      'clients/Web.json',
      (json) => json.replace('"name": "Web"', '"name": "Web", "client_id": "legacy"'),
      /clients\/Web\.json, line 2, client_id: "legacy" is given twice/,
    ],
    [
      'at a grant of a name that two applications have',
      'yaml',
      'tenant.yaml',
      (yaml) => yaml.replace('name: Legacy', 'name: Machine'),
      /line \d+, clientGrants\.0\.client_id: two clients are called "Machine": give the id/,
    ],
    [
      'at a grant of an unknown client',
      'directory',
      'grants/Machine-Orders.json',
      (json) => json.replace('"Machine"', '"Other"'),
      /grants\/Machine-Orders\.json, line 2, client_id: no client has the id or name "Other"/,
    ],
    [
      'at an Action that runs at the login and is not there',
      'directory',
      'triggers/triggers.json',
      (json) => json.replace('"action_name": "Add roles"', '"action_name": "Check access"'),
      /triggers\/triggers\.json, line \d+, post-login\.0\.action_name: no action has the name/,
    ],
    [
      'at invalid JSON',
      'directory',
      'roles/reader.json',
      (json) => json.replace('"permissions": [', '"permissions": '),
      /roles\/reader\.json, line \d+: /,
    ],
    [
      'at a file that is not a mapping',
      'directory',
      'tenant.json',
      () => '[]',
      /tenant\.json, line 1: give a mapping/,
    ],
    [
      'at an alias without an anchor, whose name stays secret',
      'yaml',
      'tenant.yaml',
      (yaml) => `${yaml}extra: *hush\n`,
      /line \d+: no anchor has the name of this alias$/,
    ],
    [
      'at an anchor that contains itself',
      'directory',
      'clients/Web.json',
      () => '{"name": "Web",\n"client_metadata": &a [{"all": *a}]}',
      /clients\/Web\.json, line 2: this alias is a part of its own anchor/,
    ],
    [
      'at aliases of aliases of aliases',
      'yaml',
      'tenant.yaml',
      (yaml) => {
        const lines = [1, 2, 3, 4, 5].map((n) => `x${n}: &x${n} [${`*x${n - 1}, `.repeat(10)}]`);
        return [yaml, 'x0: &x0 [1]', ...lines].join('\n');
      },
      /line 1: its aliases stand for too many values/,
    ],
    [
      'at an address that a browser would run',
      'directory',
      'clients/Web.json',
      (json) => json.replace('##BASE_URL##/callback', 'javascript:alert(1)'),
      /clients\/Web\.json, line \d+, callbacks\.0: give a URL of an application/,
    ],
    [
      'at another section in the file of the users',
      'yaml',
      'users.yaml',
      (yaml) => `${yaml}roles: []\n`,
      /users\.yaml: give the section users, and no other/,
    ],
    [
      'at users in two places',
      'yaml',
      'tenant.yaml',
      (yaml) => `${yaml}users: []\n`,
      /the users are given twice: remove them, or users\.yaml/,
    ],
  ];
  test.each(faults)('%s', (_name, format, file, change, message) => {
    expect(() => loadChanged(format, file, change)).toThrow(InvalidTenant);
    expect(() => loadChanged(format, file, change)).toThrow(message);
  });

  test('at a folder with both formats, and at one with none', () => {
    const both = mkdtempSync(join(directory, 'both-'));
    cpSync(join(exported, 'directory'), both, { recursive: true });
    cpSync(join(exported, 'yaml'), both, { recursive: true });
    expect(() => loadTenant(both)).toThrow(
      /a tenant\.yaml and the folders of an export: remove one/,
    );
    const none = mkdtempSync(join(directory, 'none-'));
    expect(() => loadTenant(none)).toThrow(
      /can't be read \(ENOENT\): set TENANT to a YAML file, or/,
    );
  });
});

describe('keywords', () => {
  const tenantOf = (yaml: string, keywords: Record<string, unknown>): Tenant => {
    const file = join(mkdtempSync(join(directory, 'keywords-')), 'tenant.yaml');
    writeFileSync(file, yaml);
    return loadTenant(file, { keywords });
  };

  test('a text, a list, a number and a part of a list are replaced as in the deploy tool', () => {
    const yaml = `clients:
  - name: "##NAME## app" # ##NAME##
    client_id: ##ID##
    client_secret: @@SECRET@@
    callbacks: [ ##ORIGINS## ]
    web_origins: '@@LIST@@'
    refresh_token: { leeway: @@LEEWAY@@, unknown: "##NAME##" }
`;
    const { clients } = tenantOf(yaml, {
      NAME: 'Orders',
      ID: 'orders',
      SECRET: 'a "quoted": secret',
      ORIGINS: '"http://localhost:3000", "http://localhost:3001"',
      LIST: ['http://localhost:3000'],
      LEEWAY: 3,
    });
    expect(clients).toMatchObject([
      {
        name: 'Orders app',
        client_id: 'orders',
        client_secret: 'a "quoted": secret',
        callbacks: ['http://localhost:3000', 'http://localhost:3001'],
        web_origins: ['http://localhost:3000'],
        refresh_token: { leeway: 3 },
      },
    ]);
  });

  test.each(['|hush', '>hush', '!e!hush x', '*hush', '!hush [x'])(
    'a value that YAML cannot have stops the start, and is not shown: %s',
    (secret) => {
      const yaml = 'clients:\n  - name: Web\n    client_secret: ##SECRET##\n';
      const faultsOf = (): unknown => {
        try {
          return tenantOf(yaml, { SECRET: secret });
        } catch (error) {
          return (error as InvalidTenant).faults;
        }
      };
      expect(faultsOf()).toContainEqual(expect.stringMatching(/^line [34]: \w/));
      expect(String(faultsOf())).not.toContain('hush');
    },
  );

  test('the lines of faults are those of the file, also after a value of several lines', () => {
    const yaml = `tenant:
  friendly_name: "##LINES##"
clients:
  - { name: Web, callbacks: [@@LINES@@, ##LINES##,
      x] }
`;
    const lines = 'a\n\n      b\n\n      c';
    expect(() => tenantOf(yaml, { LINES: lines })).toThrow(/line 5, clients\.0\.callbacks\.2: /);
    expect(() => tenantOf(yaml, { LINES: lines })).toThrow(/line 4, clients\.0\.callbacks\.1: /);
    expect(() => tenantOf(`${yaml}  - [`, { LINES: lines })).toThrow(/line [67]: /);
  });

  test('without a value, entries of address lists are left out, and the others keep their lines', () => {
    const yaml = `clients:
  - name: Web
    client_id: web
    callbacks:
      - '##A##/callback'
      - http://localhost:3000
      - ##B##
      - callback
`;
    expect(() => tenantOf(yaml, {})).toThrow(
      /line 8, clients\.0\.callbacks\.1: give an absolute URL/,
    );
    const tenant = tenantOf(yaml.replace('      - callback\n', ''), {});
    expect(tenant.clients[0]?.callbacks).toEqual(['http://localhost:3000']);
    expect(tenant.notices).toEqual([
      'line 5, clients.0.callbacks.0: the keyword A has no value: it is left out',
      'line 7, clients.0.callbacks.2: the keyword B has no value: it is left out',
    ]);
  });

  test('of any text leave each line where it is', () => {
    const token = fc.constantFrom(
      '##A##',
      '@@A@@',
      "'@@A@@'",
      '##B##',
      '#',
      '@',
      '"',
      "'",
      '\n',
      ': ',
      'x',
    );
    const source = fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join(''));
    const property = fc.property(source, fc.string(), (before, value) => {
      const { text, lineAt } = replaceKeywords(`${before}\nEND`, { A: value }, true);
      expect(lineAt(text.lastIndexOf('END'))).toBe(before.split('\n').length + 1);
    });
    fc.assert(property, { numRuns: casesOf(1000) });
  });

  test('comments and texts with the same signs stay', () => {
    const yaml = `##SECTION##
clients: # ##TODO##
  ##NOTE##
  - { name: "a, ##B##, c", client_id: 'it''s: @@C@@', callbacks: [http://localhost/] }
`;
    const { clients } = tenantOf(yaml, {});
    expect(clients).toMatchObject([{ name: 'a, ##B##, c', client_id: "it's: @@C@@" }]);
  });

  test('are read from JSON in the setting, from the configuration file of the deploy tool, and from variables first', () => {
    const file = join(directory, 'config.json');
    const mappings = { A: 1, B: ['b'] };
    writeFileSync(
      file,
      JSON.stringify({ AUTH0_DOMAIN: 'x', AUTH0_KEYWORD_REPLACE_MAPPINGS: mappings }),
    );
    for (const setting of [JSON.stringify(mappings), file]) {
      const keywords = readKeywords({ AUTH0_KEYWORD_REPLACE_MAPPINGS: setting, A: 'variable' });
      expect(keywords).toMatchObject({ A: 'variable', B: ['b'] });
    }
    expect(readKeywords({ A: 'variable' })).toEqual({ A: 'variable' });
  });

  test.each([
    ['{"A": secret}', /must be an object in JSON$/],
    ['[]', /must name a JSON file with an object AUTH0_KEYWORD_REPLACE_MAPPINGS$/],
    ['none.json', /must name a JSON file/],
    [demoPackage(), /must name a JSON file/],
  ])('a setting that is wrong stops the start, and is not shown: %s', (setting, message) => {
    expect(() => readKeywords({ AUTH0_KEYWORD_REPLACE_MAPPINGS: setting })).toThrow(message);
  });
});

function demoPackage(): string {
  return join(dirname(exported), '../../package.json');
}
