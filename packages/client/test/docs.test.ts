import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { reachableFrom, readImports } from '../../../test/support/imports.ts';
import { proves } from '../../../test/support/proves.ts';
import * as client from '../src/index.ts';
import { checkOptions, OPTION_RULES } from '../src/options/options.ts';
import * as postgres from '../src/session/stores/postgres.ts';
import * as redis from '../src/session/stores/redis.ts';
import * as sqlite from '../src/session/stores/sqlite.ts';
import * as testing from '../src/testing.ts';

describe('docs/client.md', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  const page = read('../../../docs/client.md');
  const readme = read('../README.md');

  const entries: Readonly<Record<string, object>> = {
    '': client,
    '/sqlite': sqlite,
    '/redis': redis,
    '/postgres': postgres,
    '/testing': testing,
  };

  test('what docs/client.md and the README import from here is exported', () => {
    const imports = [page, readme].flatMap((text) => [
      ...text.matchAll(/import \{([^}]+)\} from '@koa-oauth\/client([^']*)'/g),
    ]);
    expect(imports.length).toBeGreaterThanOrEqual(3);
    for (const [, names = '', entry = ''] of imports) {
      for (const name of names.split(',')) expect(entries[entry]).toHaveProperty(name.trim());
    }
  });

  test('an app that uses none of the other stores loads none of their packages', () => {
    const optional = Object.keys(JSON.parse(read('../package.json')).peerDependenciesMeta);
    expect(optional).toEqual(expect.arrayContaining(['ioredis', 'libsql', 'pg']));
    const loaded = [...reachableFrom(readImports(), 'client/src/index.ts')].flatMap((file) =>
      [...read(`../../${file}`).matchAll(/^import (?!type)[^;]*?'([^.'][^']*)';/gm)].map(
        ([, name = '']) => name,
      ),
    );
    expect(loaded).toContain('@koa-oauth/issuer');
    expect(loaded.filter((name) => optional.includes(name))).toEqual([]);
  });

  test('the errors and options that docs/client.md names are there', () => {
    const codes = [...page.matchAll(/ERR_[A-Z_]+/g)].map(([code]) => code);
    expect(codes.length).toBeGreaterThan(2);
    const errors = read('../../../docs/troubleshooting.md');
    for (const code of codes) expect(errors).toContain(`| \`${code}\` |`);

    const groups = Object.keys(OPTION_RULES).filter((group) => group !== '');
    const named = [...page.matchAll(/`(\w+)\.(\w+)`/g)].filter(([, group]) =>
      groups.includes(String(group)),
    );
    expect(named.length).toBeGreaterThan(2);
    for (const [, group, name] of named) {
      expect(OPTION_RULES).toHaveProperty([String(group), String(name)]);
    }
  });

  test('the README has the default durations of a session', () => {
    const { session } = checkOptions({
      issuerBaseURL: 'https://issuer.example/',
      baseURL: 'https://app.example',
      clientID: 'client-1',
      clientSecret: 'client-secret-1',
      secret: 's-secret-of-the-tests-0123456789',
    });
    const { rollingDuration, absoluteDuration } = session;
    for (const [option, seconds] of Object.entries({ rollingDuration, absoluteDuration })) {
      const row = new RegExp(`^\\| \`session\\.${option}\`.*${seconds.toLocaleString('en')}`, 'm');
      expect(readme).toMatch(row);
    }
  });
});

describe('pages and options', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  const readme = read('../README.md');

  const options = Object.entries(OPTION_RULES).flatMap(([group, names]) =>
    Object.keys(names)
      .filter((name) => !Object.hasOwn(OPTION_RULES, name))
      .map((name) => (group === '' ? name : `${group}.${name}`)),
  );

  describe('README', () => {
    test('the table of options has each and no other', () => {
      proves('ASVS 7.1.1');
      const [table = ''] = readme.split('## Options of `auth()`')[1]?.split('\n## ') ?? [];
      const listed = [...table.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, name]) => name);
      expect(listed.sort()).toEqual([...options].sort());
    });

    test('the table of events has each type', () => {
      const [table = ''] = readme.split('## Events')[1]?.split('\n## ') ?? [];
      const rows = [...table.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].map(([, cell]) => cell);
      const types = [...read('../src/events.ts').matchAll(/readonly type: '(\w+)'/g)];
      const issuers = [...read('../../issuer/src/events.ts').matchAll(/readonly type: '(\w+)'/g)];
      const all = [...types, ...issuers].map(([, type]) => `\`${type}\``);
      expect(rows.join(', ').split(', ').sort()).toEqual([...new Set(all)].sort());
    });

    test('what it imports and names is exported', () => {
      for (const name of [
        'claimCheck',
        'claimEquals',
        'claimIncludes',
        'requiresAuth',
        'refuseCrossSite',
        'safeReturnTo',
        'hasCode',
        'memoryStore',
        'sqliteStore',
        'redisStore',
        'postgresStore',
      ]) {
        expect(readme).toContain(`${name}(`);
        expect({ ...client, ...sqlite, ...redis, ...postgres }).toHaveProperty(name);
      }
    });
  });

  describe('Coming from express-openid-connect', () => {
    const page = read('../../../docs/coming-from-express-openid-connect.md');
    const types = read('../../../node_modules/express-openid-connect/index.d.ts');

    const membersOf = (name: string): string[] => {
      const [body = ''] = types.split(`interface ${name} {`)[1]?.split('\n}') ?? [];
      const [routes = ''] = body.split('  routes?: {')[1]?.split('\n  }') ?? [];
      const members = [...body.matchAll(/^ {2}(\w+)\??[:(]/gm)];
      return [...members, ...routes.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member = '']) => member);
    };

    test.each([
      'ConfigParams',
      'SessionConfigParams',
      'CookieConfigParams',
      'BackchannelLogoutOptions',
      'RequestContext',
      'ResponseContext',
      'LoginOptions',
      'LogoutOptions',
      'CallbackOptions',
      'AccessToken',
    ])('the page names each member of %s', (name) => {
      const members = membersOf(name);
      expect(members.length).toBeGreaterThan(0);
      const named = new Set(
        [...page.matchAll(/`([^`\n]+)`/g)].flatMap(([, code = '']) => code.split(/\W+/)),
      );
      expect(members.filter((member) => !named.has(member))).toEqual([]);
    });

    test('the page names each function that it exports', () => {
      const exported = [...types.matchAll(/^export (?:function|class) (\w+)/gm)];
      expect(exported.length).toBeGreaterThan(5);
      for (const [, name = ''] of exported) expect(page).toContain(name);
    });
  });
});
