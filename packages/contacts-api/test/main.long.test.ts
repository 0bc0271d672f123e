import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, watch } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { engines } from './support/databases.ts';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const available = await engines();
let cwd: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'contacts-api-'));
});
afterAll(() => rm(cwd, { recursive: true }));

function run(env: Record<string, string>): {
  child: ChildProcess;
  /** Returns its standard output so far. */
  output(): string;
  ended: Promise<{ code: number; stderr: string }>;
} {
  const child = spawn(process.execPath, [main], {
    cwd,
    env: { PATH: process.env.PATH, LOG_LEVEL: 'silent', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let stdout = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, 'exit').then(([code]) => ({ code, stderr }));
  return { child, output: () => stdout, ended };
}

describe('the process', () => {
  test('wrong settings stop the start; the message names all of them, without a stack trace', async () => {
    const { code, stderr } = await run({ PORT: 'x', ISSUER_BASE_URL: 'http://issuer.example.com' })
      .ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/PORT must .*\n.*ISSUER_BASE_URL must /);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('a port in use is named', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await run({ PORT: String(port) }).ended;
    other.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      `contacts-api: port ${port} on 127.0.0.1 is in use: stop what listens there or set PORT\n`,
    );
  });

  test('several processes without a shared store are warned, and STORE_URL is named', async () => {
    const start = { PORT: '0', WEB_CONCURRENCY: '2', LOG_LEVEL: 'warn' };
    const { child, output, ended } = run({ ...start, DATABASE_URL: 'file:warned.db' });
    await once(child, 'message');
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, stderr: '' });
    expect(output().match(/set STORE_URL to redis/g)).toHaveLength(1);
  });

  test('stops cleanly while its workers start', async () => {
    const { child, ended } = run({ PORT: '0', WEB_CONCURRENCY: '2', DATABASE_URL: 'file:new.db' });
    // A worker has opened its database, so it is starting and does not serve yet.
    for await (const { filename } of watch(cwd)) if (filename === 'new.db') break;
    child.kill();
    expect(await ended).toEqual({ code: 0, stderr: '' });
  });

  test('a worker that dies as it asks for the port is reported like any other', async () => {
    // The main process reads the question when the worker is gone, and can't send its answer.
    const program = `
      import cluster from 'node:cluster';
      cluster.on('fork', ({ process: worker }) => {
        worker.prependListener('internalMessage', ({ act }) => {
          if (act !== 'queryServer') return;
          worker.kill('SIGKILL');
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        });
      });`;
    const { ended } = run({
      PORT: '0',
      WEB_CONCURRENCY: '2',
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}`,
    });
    expect(await ended).toEqual({
      code: 1,
      stderr: 'contacts-api: cannot start: a worker ended before it listened\n',
    });
  });

  const ways: [string, (child: ChildProcess) => unknown][] = [
    ['SIGINT', (child) => child.kill('SIGINT')],
    ['SIGTERM, twice', (child) => child.kill() && child.kill()],
    ['the end of its parent', (child) => child.disconnect()],
  ];
  for (const { name, missing, create } of available) {
    (missing ? test.skip : test)(
      `processes may start at once on one new database, and stop cleanly: ${missing ?? name}`,
      async () => {
        const database = await create();
        const all = ways.map(() => run({ PORT: '0', DATABASE_URL: database.url }));
        const ready = await Promise.all(all.map(({ child }) => once(child, 'message')));
        expect(ready.map(([message]) => message)).toEqual(['ready', 'ready', 'ready']);
        for (const [i, [, stop]] of ways.entries()) stop(all[i]!.child);
        const ended = await Promise.all(all.map(({ ended }) => ended));
        expect(ways.map(([way], i) => [way, ended[i]])).toEqual(
          ways.map(([way]) => [way, { code: 0, stderr: '' }]),
        );
        await database.drop();
      },
    );
  }
});
