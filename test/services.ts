import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The three built services, on free ports, with a data folder of their own. */
export interface Services {
  readonly web: string;
  readonly api: string;
  readonly issuer: string;
  readonly dir: string;
  readonly tenant: string;
  /** All that the services have printed so far. */
  printed(): string;
  stop(): Promise<void>;
}

/** Starts the services as they ship: each a process, set by its environment alone. */
export async function startServices(): Promise<Services> {
  const dir = await mkdtemp(join(tmpdir(), 'koa-oauth-'));
  const [webPort, apiPort, issuerPort] = (await freePorts(3)) as [number, number, number];
  const web = `http://localhost:${webPort}`;
  const api = `http://localhost:${apiPort}`;
  const issuer = `http://localhost:${issuerPort}/`;
  const tenant = await copyTenant(dir, web);

  const children: ChildProcess[] = [];
  let printed = '';
  const start = async (name: string, env: Record<string, string>) => {
    const child = spawn(process.execPath, [join(root, 'packages', name, 'dist', 'main.js')], {
      cwd: dir,
      env: { PATH: process.env.PATH, LOG_LEVEL: 'trace', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        printed += chunk;
      });
    }
    await Promise.race([
      once(child, 'message'),
      once(child, 'close').then(() =>
        Promise.reject(new Error(`${name} did not start:\n${printed}`)),
      ),
    ]);
  };
  const stop = async () => {
    const running = children.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    const ended = running.map((child) => once(child, 'close'));
    for (const child of running) child.kill();
    await Promise.all(ended);
    await rm(dir, { recursive: true });
  };
  const starting = Promise.all([
    start('authorization-server', {
      PORT: String(issuerPort),
      TENANT: tenant,
      KEYS: `file:${join(dir, 'keys.json')}`,
    }),
    start('contacts-api', { PORT: String(apiPort), ISSUER_BASE_URL: issuer }),
    start('contacts-web', {
      PORT: String(webPort),
      BASE_URL: web,
      ISSUER_BASE_URL: issuer,
      API_BASE_URL: api,
      SECRET: randomBytes(32).toString('base64url'),
    }),
  ]);
  await starting.catch(async (error) => {
    await stop();
    throw error;
  });

  return { web, api, issuer, dir, tenant, printed: () => printed, stop };
}

/** The demo tenant, with the web app at another address. */
async function copyTenant(dir: string, web: string): Promise<string> {
  const source = join(root, 'packages/authorization-server/tenant/tenant.yaml');
  await cp(dirname(source), join(dir, 'tenant'), { recursive: true });
  const copy = join(dir, 'tenant', 'tenant.yaml');
  await writeFile(copy, (await readFile(source, 'utf8')).replaceAll('http://localhost:3000', web));
  return copy;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
