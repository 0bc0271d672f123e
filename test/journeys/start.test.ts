import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import got from 'got';

const start = fileURLToPath(new URL('../../scripts/dist/start.js', import.meta.url));
const taken = (await Promise.all([3000, 3001, 3002].map(isTaken))).filter(
  (port) => port !== undefined,
);

// The addresses of `npm start` are fixed.
(taken.length > 0 ? describe.skip : describe)(
  `npm start${taken.length > 0 ? `: something else listens on ${taken.join(', ')}` : ''}`,
  () => {
    let cwd: string;
    let running: ChildProcess | undefined;

    beforeAll(async () => {
      cwd = await mkdtemp(join(tmpdir(), 'koa-oauth-start-'));
    });
    afterAll(async () => {
      running?.kill('SIGKILL');
      await rm(cwd, { recursive: true });
    });

    function run(): {
      child: ChildProcess;
      printed: () => string;
      until: (text: string) => Promise<void>;
    } {
      const child = spawn(process.execPath, [start], {
        cwd,
        env: { PATH: process.env.PATH },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running = child;
      let printed = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', (chunk) => {
          printed += chunk;
        });
      }
      const until = async (text: string) => {
        while (!printed.includes(text)) {
          if (child.exitCode !== null)
            throw new Error(`ended before it printed "${text}":\n${printed}`);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      return { child, printed: () => printed, until };
    }

    test.each(['SIGINT', 'SIGTERM'] as const)(
      'prints the addresses, and %s ends all services',
      async (signal) => {
        const { child, printed, until } = run();
        await until('Ctrl-C stops all three');
        for (const text of [
          'http://localhost:3000',
          'http://localhost:3001/contacts',
          'http://localhost:3002/',
          'curl -H',
        ]) {
          expect(printed()).toContain(text);
        }
        expect(printed()).toMatch(/alice@example\.com +password alice-demo +\(admin, acme\)/);
        for (const url of ['http://localhost:3000/healthz', 'http://localhost:3001/healthz']) {
          expect((await got(url)).statusCode).toBe(200);
        }
        child.kill(signal);
        const [code] = await once(child, 'exit');
        expect(code).toBe(0);
        expect(await Promise.all([3000, 3001, 3002].map(isTaken))).toEqual([
          undefined,
          undefined,
          undefined,
        ]);
      },
    );

    test('a port in use is reported, and no service stays', async () => {
      const other = await listen(3001);
      const { child, printed } = run();
      const [code] = await once(child, 'close');
      await once(other.close(), 'close');
      expect(code).toBe(1);
      expect(printed()).toMatch(/port 3001 on 127\.0\.0\.1 is in use/);
      expect(printed()).toMatch(/api ended by itself.*the others are stopped too/);
      expect(await Promise.all([3000, 3002].map(isTaken))).toEqual([undefined, undefined]);
    });
  },
);

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

async function isTaken(port: number): Promise<number | undefined> {
  try {
    await once((await listen(port)).close(), 'close');
    return undefined;
  } catch {
    return port;
  }
}
