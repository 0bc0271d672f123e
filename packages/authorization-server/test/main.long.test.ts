import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import { demoTenantFile, loadTenant } from '../src/tenant/load.ts';
import { requestTokens } from '../src/testing/code-flow.ts';

// The built program: what is tested is what ships.
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'main-'));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Run {
  child: ChildProcess;
  output: { stdout: string; stderr: string };
  ended: Promise<{ code: number | null; signal: string | null }>;
}

function run(environment: Record<string, string>, ipc = false): Run {
  const { PATH, HOME } = process.env;
  const env = {
    PATH,
    HOME,
    PORT: '0',
    KEYS: `file:${join(directory, 'keys.json')}`,
    ...environment,
  };
  const options = {
    env,
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe' | 'ipc')[],
  };
  const child = ipc
    ? fork(main, { ...options, stdio: [...options.stdio, 'ipc'] })
    : spawn(process.execPath, [main], options);
  children.push(child);
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk;
  });
  // A child whose channel was closed never says 'close'; any other says it when its output is read.
  const ended = once(child, ipc ? 'exit' : 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
  }));
  return { child, output, ended };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

const listening = ({ output }: Run) => until(() => output.stdout.includes('"listening"'));
const urlOf = ({ output }: Run) => /"url":"([^"]+)"/.exec(output.stdout)?.[1] ?? '';

describe('a standalone server', () => {
  test('shows the issuer, the users, no password hash and the control, and stops at SIGINT', async () => {
    const folder = join(directory, 'hashed');
    cpSync(dirname(demoTenantFile), folder, { recursive: true });
    const file = join(folder, 'tenant.yaml');
    const hash = hashSync('alice-demo', 4);
    const source = readFileSync(file, 'utf8');
    writeFileSync(
      file,
      source.replace('password: alice-demo', () => `password_hash: ${hash}`),
    );
    const server = run({ TENANT: file, CONTROL: '0' });
    await until(() => server.output.stdout.includes('Ctrl-C'));
    // The log is written by another way, and may come later.
    await listening(server);
    const { stdout } = server.output;
    expect(stdout).toContain(`issuer    http://localhost:${new URL(urlOf(server)).port}/`);
    expect(stdout).toMatch(/bob@example\.com +bob-demo +reader/);
    expect(stdout).toMatch(/alice@example\.com +\(hashed\) +admin/);
    expect(stdout).not.toContain(hash);

    const control = /control +(http:\S+)/.exec(stdout)?.[1];
    const token = /its token +(\S+)/.exec(stdout)?.[1] ?? '';
    const answer = await fetch(`${control}/log`, { headers: { authorization: `Bearer ${token}` } });
    expect(await answer.json()).toEqual({ transactions: [] });
    expect(stdout.split(token)).toHaveLength(2);

    server.child.kill('SIGINT');
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(server.output.stderr).toBe('');
  });

  test('stops in spite of a second signal and an open request', async () => {
    const server = run({ LOG_LEVEL: 'info' });
    await listening(server);
    const url = urlOf(server);
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) => {
      get(`${url}/.well-known/jwks.json`, { agent }, (answer) => {
        answer.resume().on('end', resolve);
      });
    });
    // A request that never ends.
    const open = get(url, { agent, method: 'POST', headers: { 'content-length': '9' } });
    open.on('error', () => {});
    open.write('x');
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.child.kill('SIGINT');
    // Without the cut after a second this would never be.
    expect(await server.ended).toMatchObject({ code: 0 });
    agent.destroy();
  });
});

test('an export is named in the log once, and ids and secrets that it lacks are printed outside of it', async () => {
  const server = run({
    TENANT: fileURLToPath(new URL('./tenant/exports/directory', import.meta.url)),
    AUTH0_KEYWORD_REPLACE_MAPPINGS: '{"ENV": "from the mappings", "LEGACY_SECRET": "a-secret"}',
    ENV: 'dev',
    BASE_URL: 'http://localhost:3000',
  });
  await until(() => server.output.stdout.includes('Ctrl-C'));
  await listening(server);
  const lines = server.output.stdout.split('\n');
  expect(lines).toContain('dev ##TEAM##');
  const [, secret = ''] =
    /Web +[A-Za-z0-9]{32} +([A-Za-z0-9]{64})/.exec(server.output.stdout) ?? [];
  expect(secret).not.toBe('');
  const log = lines.filter((line) => line.startsWith('{'));
  expect(log.filter((line) => line.includes('are ignored'))).toHaveLength(1);
  expect(log.filter((line) => line.includes('have no value'))).toHaveLength(1);
  expect(log.join()).not.toContain(secret);
  expect(server.output.stdout).not.toContain('a-secret');
});

test('a keyword setting that is wrong stops the start, and is not shown', async () => {
  const { ended, output } = run({ AUTH0_KEYWORD_REPLACE_MAPPINGS: '{"A": "secret"' });
  expect((await ended).code).toBe(1);
  expect(output.stderr).toContain('AUTH0_KEYWORD_REPLACE_MAPPINGS must be an object in JSON');
  expect(output.stderr).not.toContain('secret');
});

test('with WATCH=yes a changed tenant file is used, and a wrong one is logged', async () => {
  const folder = join(directory, 'watched');
  cpSync(dirname(demoTenantFile), folder, { recursive: true });
  const tenant = join(folder, 'tenant.yaml');
  const source = readFileSync(tenant, 'utf8');
  const server = run({ WATCH: 'yes', TENANT: tenant, LOG_LEVEL: 'info' });
  await until(() => server.output.stdout.includes('Ctrl-C'));
  writeFileSync(tenant, source.replace('Contacts dev tenant', 'Other tenant'));
  await until(() => server.output.stdout.includes('the tenant file has changed'));
  expect(await (await fetch(urlOf(server))).text()).toContain('Other tenant');
  writeFileSync(tenant, source.replace('client_id: contacts-web', 'client_idd: x'));
  await until(() => server.output.stdout.includes('is wrong, the old one stays'));
  expect(server.output.stdout).toMatch(/line \d+, clients\.0\.client_id/);
  expect(await (await fetch(urlOf(server))).text()).toContain('Other tenant');
});

describe('a failure outside of every request', () => {
  const failure = (way: string) => `throw new Error('${way}: ' + event.secrets.WORD);`;
  const LEFT = {
    'a promise without await': `new Promise(() => { ${failure('a promise without await')} });`,
    'a function without await': `(async () => { await null; ${failure('a function without await')} })();`,
    'a timer that throws': `setTimeout(() => { ${failure('a timer that throws')} }, 1);`,
    'a socket without a listener': `require('node:net').connect({ port: 1, host: '127.0.0.1' });`,
  };

  test('of an Action is logged, and the server goes on', async () => {
    const folder = mkdtempSync(join(directory, 'left-'));
    cpSync(dirname(demoTenantFile), folder, { recursive: true });
    const file = join(folder, 'tenant.yaml');
    const source = readFileSync(file, 'utf8');
    const [, action = ''] = /code: (\S+)/.exec(source) ?? [];
    const code = Object.values(LEFT).join('\n');
    writeFileSync(
      join(folder, action),
      `exports.onExecutePostLogin = async (event, api) => { ${code} };`,
    );
    writeFileSync(file, source.replace('secrets: [', 'secrets: [{ name: WORD, value: hush }, '));
    const tenant = loadTenant(file);
    expect(tenant.postLogin[0]?.secrets.WORD).toBe('hush');
    const server = run({ TENANT: file, LOG_LEVEL: 'info' });
    await listening(server);
    const issuer = `http://localhost:${new URL(urlOf(server)).port}/`;
    await requestTokens(issuer, tenant);
    const lines = () =>
      server.output.stdout.split('\n').filter((one) => one.includes('failed after its end'));
    const ways = Object.keys(LEFT);
    await until(() => lines().length >= ways.length);
    const logged = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    const common = { name: tenant.postLogin[0]?.name, file: join(folder, action) };
    expect(logged).toEqual(ways.map(() => expect.objectContaining(common)));
    const reasons = logged.map(({ reason }) => String(reason));
    for (const way of ways.slice(0, 3)) expect(reasons).toContain(`${way}: [hidden]`);
    expect(reasons).toContainEqual(expect.stringMatching(/^connect ECONNREFUSED /));
    expect(server.output.stdout).not.toContain('hush');
    await requestTokens(issuer, tenant);
    expect([server.output.stderr, server.child.exitCode]).toEqual(['', null]);
  });

  test.each([
    ['promise', "Promise.reject(new Error('of the server'))"],
    ['timer', "throw new Error('of the server')"],
  ])('a %s of the server itself ends it', async (_name, code) => {
    const late = `data:text/javascript,setTimeout(() => { ${code} }, 300)`;
    const server = run({ NODE_OPTIONS: `--import "${late}"` });
    expect(await server.ended).toMatchObject({ code: 1, signal: null });
    expect(server.output.stderr).toContain('Error: of the server');
  });
});

describe('a server with a channel to its parent', () => {
  test('reports that it is ready, prints no password, and stops with its parent', async () => {
    const server = run({}, true);
    const [message] = await once(server.child, 'message');
    expect(message).toBe('ready');
    // Its output comes through another channel, and can come later.
    await listening(server);
    expect(server.output.stdout).not.toContain('alice-demo');
    for (const line of server.output.stdout.trim().split('\n')) {
      expect(JSON.parse(line)).toHaveProperty('msg');
    }
    server.child.disconnect();
    expect(await server.ended).toMatchObject({ code: 0 });
  });

  test('stops when its parent was killed', async () => {
    const parent = spawn(
      process.execPath,
      [
        '--eval',
        `const stdio = ['inherit', 'inherit', 'inherit', 'ipc', 3];
         const child = require('node:child_process').fork(process.argv[1], { stdio });
         child.on('message', (message) => console.log('child', message));`,
        main,
      ],
      {
        env: { PATH: process.env.PATH, PORT: '0', KEYS: `file:${join(directory, 'keys.json')}` },
        cwd: directory,
        stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
      },
    );
    children.push(parent);
    let output = '';
    parent.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    await until(() => output.includes('child ready'));
    // Held open by the parent and the child: it ends when both are gone.
    const lifeline = parent.stdio[3] as Readable;
    const bothGone = once(lifeline.resume(), 'end');
    // No process reads the rest of the output of the child.
    parent.stdout?.destroy();
    parent.kill('SIGKILL');
    await bothGone;
  });
});

describe('the server does not start', () => {
  test('with wrong settings, which it names all, and exits with 1', async () => {
    const server = run({ PORT: 'x', ISSUER: 'ftp://x', NODE_ENV: 'production' });
    expect(await server.ended).toMatchObject({ code: 1 });
    const { stderr, stdout } = server.output;
    expect(stderr).toMatch(
      /^authorization-server: these settings are wrong:\n {2}PORT must be a port number/,
    );
    expect(stderr).toContain('\n  NODE_ENV must not be production');
    expect(stderr).toContain('\n  ISSUER must be an https URL');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
  });

  test('without its tenant file', async () => {
    const server = run({ TENANT: 'missing.yaml' });
    expect(await server.ended).toMatchObject({ code: 1 });
    expect(server.output.stderr).toContain("missing.yaml is wrong:\n  - it can't be read (ENOENT)");
  });

  test('on a port in use, and prints one line', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const server = run({ PORT: String(port) });
    expect(await server.ended).toMatchObject({ code: 1 });
    expect(server.output.stderr).toBe(
      `authorization-server: port ${port} on 127.0.0.1 is in use: stop what listens there or set PORT\n`,
    );
    other.close();
  });
});
