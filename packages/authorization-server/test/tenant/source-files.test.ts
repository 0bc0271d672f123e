import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { loadTenant } from '../../src/tenant/load.ts';
import { compileRule } from '../../src/tenant/source-files.ts';
import { ruleOf } from '../support/rule-of.ts';

const directory = mkdtempSync(join(tmpdir(), 'rules-'));
afterAll(() => rmSync(directory, { recursive: true }));

function tenantWith(rules: string): string {
  const file = join(directory, 'tenant.yaml');
  writeFileSync(
    file,
    `clients:
  - { name: Web, client_id: web, client_secret: s, callbacks: [http://localhost:3000/callback] }
users:
  - { user_id: auth0|a, email: a@example.com, password: p, name: A }
${rules}`,
  );
  return file;
}

const rule = (name: string, code: string): string => {
  writeFileSync(join(directory, name), code);
  return `./${name}`;
};

const GOOD = 'function (user, context, callback) { callback(null, user, context); }';

describe('a rule compiles in the forms of Auth0', () => {
  test.each([
    ['plainly', GOOD],
    ['with a name', GOOD.replace('function', 'function enrich')],
    ['with comments around', `/** Does something. */\n// really\n${GOOD} // that's all`],
    ['with a semicolon', `${GOOD};\n`],
    ['async', `async ${GOOD}`],
    ['as an arrow function', '(user, context, callback) => callback(null, user, context)'],
  ])('%s', (_name, code) => {
    expect(typeof compileRule({ ...ruleOf(''), code })(console)).toBe('function');
  });
});

test('enabled rules are in their order, with the configuration', () => {
  const script = rule('good.js', GOOD);
  const tenant = loadTenant(
    tenantWith(`
rules:
  - { name: third, script: ${script}, order: 10 }
  - { name: off, script: ${script}, order: 1, enabled: false }
  - { name: second, script: ${script}, order: 2, stage: login_success }
  - { name: first, script: ${script} }
rulesConfigs:
  - { key: WORD, value: hush }
`),
  );
  expect(tenant.loginRules.map(({ name }) => name)).toEqual(['first', 'second', 'third']);
  expect(tenant.loginRules[0]?.configuration).toEqual({ WORD: 'hush' });
  expect(tenant.ignoredSections).toEqual([]);
});

describe('a fault is named with its line and its path', () => {
  test.each([
    [
      'no such file',
      () => './missing.js',
      /line \d+, rules\.0\.script: the file .*missing\.js is not there/,
    ],
    [
      'no JavaScript',
      () => rule('bad.js', 'function (user {'),
      /rules\.0\.script: .* can't be used: Unexpected/,
    ],
    [
      'no function',
      () => rule('object.js', '{ a: 1 }'),
      /rules\.0\.script: .* it must be one function \(user, context, callback\)/,
    ],
  ])('%s', (_name, script, message) => {
    const file = tenantWith(`rules: [{ name: x, script: ${script()} }]\n`);
    expect(() => loadTenant(file)).toThrow(message);
  });

  test('a trigger that names no action', () => {
    const file = tenantWith('triggers: { credentials-exchange: [{ action_name: x }] }\n');
    expect(() => loadTenant(file)).toThrow(
      /triggers\.credentials-exchange\.0\.action_name: no action has the name "x"/,
    );
  });
});
