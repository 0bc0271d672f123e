import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freePorts } from '../../../test/support/services.ts';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'contacts-web-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const freePort = async () => (await freePorts(1))[0] as number;

function start(environment: Record<string, string>, ipc = false) {
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
  });
  children.push(child);
  const output = { out: '', err: '' };
  child.stdout?.on('data', (data) => {
    output.out += data;
  });
  child.stderr?.on('data', (data) => {
    output.err += data;
  });
  return { child, output, ended: once(child, 'exit') as Promise<[number | null]> };
}

describe('the process', () => {
  test.each(['SIGTERM', 'disconnect'] as const)(
    'reports when it is ready, keeps its secret, and stops on %s with an open request',
    async (signal) => {
      const port = await freePort();
      const { child, output, ended } = start({ PORT: String(port) }, true);
      expect((await once(child, 'message'))[0]).toBe('ready');
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      expect(await response.json()).toEqual({ status: 'ok' });
      // A request that never ends.
      const open = connect(port, '127.0.0.1');
      open.on('error', () => {}).write('POST /logout HTTP/1.1\r\n');
      await once(open, 'connect');
      if (signal === 'disconnect') child.disconnect();
      else child.kill(signal);
      expect((await ended)[0]).toBe(0);
      expect(output.err).toBe('');
      const path = join(folder, 'data', 'session-secret');
      expect(readFileSync(path, 'utf8')).toMatch(/^[\w-]{43}$/);
      // For its own user only.
      expect(statSync(path).mode & 0o777).toBe(0o600);
    },
  );

  test('without a parent that listens, it prints its address, and stops on SIGINT', async () => {
    const port = await freePort();
    const { child, output, ended } = start({ PORT: String(port) });
    while (!output.out.includes('\n')) await once(child.stdout as NodeJS.ReadableStream, 'data');
    expect(output.out).toContain(`http://localhost:${port}`);
    child.kill('SIGINT');
    expect((await ended)[0]).toBe(0);
    expect(output.err).toBe('');
  });

  test('a port in use ends it with one line', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { output, ended } = start({ PORT: String(port) });
    expect((await ended)[0]).toBe(1);
    expect(output.err).toBe(
      `contacts-web: port ${port} on 127.0.0.1 is in use: stop what listens there or set PORT\n`,
    );
    server.close();
  });

  test('wrong settings end it with all their names and no stack', async () => {
    const { output, ended } = start({ PORT: 'x', SCOPE: 'profile' });
    expect((await ended)[0]).toBe(1);
    expect(output.err).toMatch(/PORT must be[\s\S]*SCOPE must contain openid/);
    expect(output.err).not.toMatch(/ {2}at /);
  });

  test('while Redis is away it starts, refuses who has a session, and prints no password', async () => {
    const port = await freePort();
    const { child, output, ended } = start(
      {
        PORT: String(port),
        LOG_LEVEL: 'trace',
        SESSION_STORE_URL: `redis://app:PASSWORD@127.0.0.1:${await freePort()}`,
      },
      true,
    );
    expect((await once(child, 'message'))[0]).toBe('ready');
    const visit = (headers: Record<string, string>) =>
      fetch(`http://127.0.0.1:${port}/`, { headers });
    expect((await visit({})).status).toBe(200);
    const refused = await visit({ cookie: `session=${'x'.repeat(43)}` });
    expect(refused.status).toBe(503);
    expect(await refused.text()).not.toContain('PASSWORD');
    child.disconnect();
    expect((await ended)[0]).toBe(0);
    expect(output.out).toContain('ERR_SESSION_STORE');
    expect(output.out + output.err).not.toContain('PASSWORD');
  });

  test('a store that cannot be opened ends it without a stack', async () => {
    const { output, ended } = start({
      PORT: '0',
      BASE_URL: 'http://localhost:1',
      SESSION_STORE_URL: `file:${folder}`,
    });
    expect((await ended)[0]).toBe(1);
    expect(output.err).toMatch(/^contacts-web: cannot start: /);
    expect(output.err).not.toMatch(/ {2}at /);
  });
});
