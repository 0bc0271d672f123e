import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { reachableFrom, readImports } from '../../../test/support/imports.ts';
import * as client from '../src/index.ts';
import { checkOptions, OPTION_RULES } from '../src/options/options.ts';
import * as postgres from '../src/session/stores/postgres.ts';
import * as redis from '../src/session/stores/redis.ts';
import * as sqlite from '../src/session/stores/sqlite.ts';
import * as testing from '../src/testing.ts';

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
  for (const code of codes) expect(readme).toContain(`| \`${code}\` |`);

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
    secret: 's'.repeat(32),
  });
  const { rollingDuration, absoluteDuration } = session;
  for (const [option, seconds] of Object.entries({ rollingDuration, absoluteDuration })) {
    const row = new RegExp(`^\\| \`session\\.${option}\`.*${seconds.toLocaleString('en')}`, 'm');
    expect(readme).toMatch(row);
  }
});
