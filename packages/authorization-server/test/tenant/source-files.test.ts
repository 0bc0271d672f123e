import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Tenant } from '../../src/index.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import { compileRule } from '../../src/tenant/source-files.ts';
import { TenantWatch } from '../../src/tenant/watch.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { ruleOf } from '../support/rule-of.ts';
import { authorizationRequest, callbackOf, requestTokens, tokensFor } from '../support/sign-in.ts';

describe('files of Actions and rules', () => {
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

  test.each([
    ['no-main', { main: 'gone.js' }, 'no-main', 'the module "no-main" is not available locally'],
    ['hidden', { exports: './index.js' }, 'hidden/v4', 'in node_modules/hidden/package.json'],
    ['broken', 'broken', 'broken', 'node_modules/broken/package.json'],
  ])('a module that cannot be loaded reveals no path of this machine: %s', (...row) => {
    const [name, manifest, id, text] = row;
    const folder = join(directory, 'with a space');
    mkdirSync(join(folder, 'node_modules', name), { recursive: true });
    const content = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
    writeFileSync(join(folder, 'node_modules', name, 'package.json'), content);
    // In its own process: Jest has another `require`.
    const source = { file: join(folder, 'rules', 'a.js'), folder };
    const code = `import { requireOf } from '${new URL('../../dist/tenant/modules.js', import.meta.url)}';
      const load = requireOf(${JSON.stringify(source)}, () => {});
      try { load('${id}') } catch (error) { console.log(error.message) }`;
    const print = ['--input-type=module', '--eval', code];
    const message = execFileSync(process.execPath, print, { encoding: 'utf8' });
    expect(message).toContain(text);
    expect(message).not.toContain(directory);
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
    expect(tenant.ignored).toEqual([]);
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
});

describe('a watched tenant', () => {
  let directory: string;
  let file: string;
  let watch: TenantWatch | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tenant-'));
    cpSync(dirname(demoTenantFile), directory, { recursive: true });
    file = join(directory, 'tenant.yaml');
  });
  afterEach(async () => {
    watch?.close();
    watch = undefined;
    await stopServers();
    rmSync(directory, { recursive: true });
  });

  const edit = (from: string, to: string) => {
    const source = readFileSync(file, 'utf8');
    expect(source).toContain(from);
    writeFileSync(file, source.replace(from, to));
  };
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const beyondSettling = () => new Promise((resolve) => setTimeout(resolve, 80));

  function watched() {
    const taken: Tenant[] = [];
    const faults: string[] = [];
    watch = new TenantWatch({
      tenant: loadTenant(file),
      onChange: (tenant) => taken.push(tenant),
      onFault: ({ message }) => faults.push(message),
      settleMs: 20,
    });
    return { taken, faults };
  }

  describe('a change is used', () => {
    test('of the tenant file, also when a new file replaces it', async () => {
      const { taken, faults } = watched();
      edit('name: Alice Adams', 'name: Alice Brown');
      await until(() => taken.length === 1);
      expect(taken[0]?.users[0]?.name).toBe('Alice Brown');
      const draft = join(directory, 'draft');
      writeFileSync(draft, readFileSync(file, 'utf8').replace('Alice Brown', 'Alice Clark'));
      renameSync(draft, file);
      await until(() => taken.length === 2);
      expect(taken[1]?.users[0]?.name).toBe('Alice Clark');
      expect(faults).toEqual([]);
    });

    test('of an Action file, and of one that only the changed tenant names', async () => {
      const { taken } = watched();
      const [action] = loadTenant(file).postLogin;
      writeFileSync(action?.file ?? '', 'exports.onExecutePostLogin = () => "changed";');
      await until(() => taken.length === 1);
      expect(taken[0]?.postLogin[0]?.code).toContain('changed');

      mkdirSync(join(directory, 'rules'));
      writeFileSync(join(directory, 'rules/one.js'), 'function (user, context, callback) {}');
      edit('users:', 'rules: [{ name: One, script: ./rules/one.js }]\nusers:');
      await until(() => taken.length === 2);
      writeFileSync(join(directory, 'rules/one.js'), 'function other(user, context, callback) {}');
      await until(() => taken.length === 3);
      expect(taken[2]?.loginRules[0]?.code).toContain('other');
    });

    test('several changes at once are read once, and other files are ignored', async () => {
      const { taken, faults } = watched();
      writeFileSync(join(directory, 'notes.txt'), 'x');
      writeFileSync(file, readFileSync(file));
      await beyondSettling();
      expect(taken).toEqual([]);
      for (const name of ['A', 'B', 'C']) {
        writeFileSync(
          file,
          readFileSync(file, 'utf8').replace(/name: Alice .*/, `name: Alice ${name}`),
        );
      }
      await until(() => taken.length > 0);
      await beyondSettling();
      expect(taken.map(({ users }) => users[0]?.name)).toEqual(['Alice C']);
      expect(faults).toEqual([]);
    });
  });

  test('a fault is reported with file and line, and the repaired file is used', async () => {
    const { taken, faults } = watched();
    edit('friendly_name: Contacts dev tenant', 'friendly_name: [x]');
    await until(() => faults.length === 1);
    expect(faults[0]).toContain(`the tenant file ${file} is wrong`);
    expect(faults[0]).toMatch(/line \d+, tenant\.friendly_name/);
    edit('friendly_name: [x]', 'friendly_name: Other');
    await until(() => taken.length === 1);

    const [action] = loadTenant(file).postLogin;
    const right = readFileSync(action?.file ?? '');
    writeFileSync(action?.file ?? '', '// one\nexports.onExecutePostLogin = (;');
    await until(() => faults.length === 2);
    expect(faults[1]).toContain(
      `the file ${action?.file}, line 2, can't be used: Unexpected token`,
    );
    writeFileSync(action?.file ?? '', right);
    await until(() => taken.length === 2);
  });

  test('a file that is named before it exists is used once it exists', async () => {
    const { taken, faults } = watched();
    edit('users:', 'rules: [{ name: One, script: ./one.js }]\nusers:');
    await until(() => faults.length === 1);
    expect(faults[0]).toContain('one.js is not there');
    writeFileSync(join(directory, 'notes.txt'), 'x');
    await beyondSettling();
    expect(faults).toHaveLength(1);
    writeFileSync(join(directory, 'one.js'), 'function (user, context, callback) {}');
    await until(() => taken.length === 1);
    expect(taken[0]?.loginRules).toHaveLength(1);
  });

  describe('a server with watch', () => {
    test('uses the change, and logins and refresh tokens stay', async () => {
      const { logger, lines } = keptLog();
      const server = await startDemo(undefined, { tenant: loadTenant(file), watch: true, logger });
      const { browser, tokens } = await tokensFor(server);
      edit('name: Alice Adams', 'name: Alice Brown\n    more: x');
      await until(() => lines.some(({ msg }) => String(msg).includes('has changed')));
      const silent = authorizationRequest(server, { prompt: 'none' });
      expect(callbackOf(await browser.get(silent.url)).get('code')).toBeTruthy();
      const refreshed = await requestTokens(server, {
        grant_type: 'refresh_token',
        refresh_token: tokens.refresh_token ?? '',
      });
      const [, payload = ''] = refreshed.body.id_token?.split('.') ?? [];
      expect(JSON.parse(Buffer.from(payload, 'base64url').toString()).name).toBe('Alice Brown');
    });

    test('keeps the old tenant when the changed one is wrong, and logs the reason', async () => {
      const { logger, lines } = keptLog();
      const server = await startDemo(undefined, { tenant: loadTenant(file), watch: true, logger });
      edit('client_id: contacts-web', 'client_idd: contacts-web');
      await until(() => lines.some(({ level }) => level === 50));
      expect(lines.find(({ level }) => level === 50)).toMatchObject({
        file,
        faults: expect.arrayContaining([expect.stringMatching(/^line \d+, clients\.0\.client_id/)]),
        msg: 'the changed tenant file is wrong, the old one stays',
      });
      await tokensFor(server);
    });

    test('lists an unknown section once', async () => {
      writeFileSync(file, `${readFileSync(file, 'utf8')}\nhooks: [{}]\n`);
      const { logger, lines } = keptLog();
      await startDemo(undefined, { tenant: loadTenant(file), watch: true, logger });
      writeFileSync(file, `${readFileSync(file, 'utf8')}\nbranding: { colors: {} }\n`);
      await until(() => lines.some(({ msg }) => String(msg).includes('has changed')));
      const listed = lines.flatMap(({ settings }) => (settings as string[] | undefined) ?? []);
      expect(listed).toEqual(['hooks', 'branding']);
    });

    test('ignores changes without the option', async () => {
      const { logger, lines } = keptLog();
      await startDemo(undefined, { tenant: loadTenant(file), logger });
      edit('name: Alice Adams', 'name: Alice Brown');
      await new Promise((resolve) => setTimeout(resolve, 250));
      expect(lines.filter(({ msg }) => String(msg).includes('tenant file'))).toEqual([]);
    });
  });
});
