import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Service {
  /** Output so far. */
  printed(): string;
  stop(): Promise<void>;
}

export interface ServicesOptions {
  /** Additional settings of each service. */
  readonly settings?: Partial<Record<ServiceName, Record<string, string>>>;
  /** Seconds that access tokens for the API are valid. Default: as in the demo tenant. */
  readonly tokenLifetime?: number;
}

type ServiceName = 'web' | 'api' | 'issuer';

/** The three built services, on free ports, with their own data folder. */
export interface Services {
  readonly web: string;
  readonly api: string;
  readonly issuer: string;
  readonly dir: string;
  readonly tenant: string;
  readonly each: Readonly<Record<ServiceName, RestartableService>>;
  /** Output of the services so far. */
  printed(): string;
  stop(): Promise<void>;
}

/** Starts the services as processes that are configured only by their environment. */
export async function startServices(options: ServicesOptions = {}): Promise<Services> {
  const { settings = {}, tokenLifetime } = options;
  const dir = await mkdtemp(join(tmpdir(), 'koa-oauth-'));
  const [webPort, apiPort, issuerPort] = (await freePorts(3)) as [number, number, number];
  const web = `http://localhost:${webPort}`;
  const api = `http://localhost:${apiPort}`;
  const issuer = `http://localhost:${issuerPort}/`;
  const tenant = await copyTenant(dir, { web, api }, tokenLifetime);

  const each = {
    issuer: new RestartableService('authorization-server', dir, {
      PORT: String(issuerPort),
      TENANT: tenant,
      KEYS: `file:${join(dir, 'keys.json')}`,
      ...settings.issuer,
    }),
    api: new RestartableService('contacts-api', dir, {
      PORT: String(apiPort),
      ISSUER_BASE_URL: issuer,
      ...settings.api,
    }),
    web: new RestartableService('contacts-web', dir, {
      PORT: String(webPort),
      BASE_URL: web,
      ISSUER_BASE_URL: issuer,
      API_BASE_URL: api,
      SECRET: randomBytes(32).toString('base64url'),
      ...settings.web,
    }),
  };
  const all = Object.values(each);
  const starting = await Promise.allSettled(all.map((service) => service.start()));
  const stop = async () => {
    await Promise.all(all.map((service) => service.stop()));
    await rm(dir, { recursive: true });
  };
  for (const one of starting) {
    if (one.status === 'rejected') {
      await stop();
      throw one.reason;
    }
  }
  const printed = () => all.map((service) => service.printed()).join('');

  return { web, api, issuer, dir, tenant, each, printed, stop };
}

/** One of the three services. It can be stopped and started again at the same address. */
class RestartableService implements Service {
  readonly #name: string;
  readonly #dir: string;
  readonly #env: Record<string, string>;
  #running: Service | undefined;
  #before = '';

  constructor(name: string, dir: string, env: Record<string, string>) {
    this.#name = name;
    this.#dir = dir;
    this.#env = env;
  }

  printed(): string {
    return this.#before + (this.#running?.printed() ?? '');
  }

  /** @param settings changed settings */
  async start(settings: Record<string, string> = {}): Promise<void> {
    this.#running = await startService(this.#name, this.#dir, { ...this.#env, ...settings });
  }

  async stop(): Promise<void> {
    const stopped = this.#running;
    await stopped?.stop();
    this.#before += stopped?.printed() ?? '';
    this.#running = undefined;
  }
}

/**
 * Starts one built service as a process in a folder, with the lowest log level.
 *
 * @throws Error with its output when it does not start
 */
export async function startService(
  name: string,
  dir: string,
  env: Record<string, string>,
): Promise<Service> {
  const child = spawn(process.execPath, [join(root, 'packages', name, 'dist', 'main.js')], {
    cwd: dir,
    env: { PATH: process.env.PATH, LOG_LEVEL: 'trace', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      printed += chunk;
    });
  }
  const closed = once(child, 'close');
  await Promise.race([
    once(child, 'message'),
    closed.then(() => Promise.reject(new Error(`${name} did not start:\n${printed}`))),
  ]);
  return {
    printed: () => printed,
    async stop() {
      child.kill();
      await closed;
    },
  };
}

/** Copies the demo tenant, with the apps at other addresses. @returns path of the copy */
async function copyTenant(
  dir: string,
  { web, api }: Pick<Services, 'web' | 'api'>,
  tokenLifetime: number | undefined,
): Promise<string> {
  const source = join(root, 'packages/authorization-server/tenant/tenant.yaml');
  await cp(dirname(source), join(dir, 'tenant'), { recursive: true });
  const copy = join(dir, 'tenant', 'tenant.yaml');
  let text = await readFile(source, 'utf8');
  text = text.replaceAll('http://localhost:3000', web).replaceAll('http://localhost:3001', api);
  if (tokenLifetime !== undefined) {
    text = text.replace(/^( {4}token_lifetime:) \d+$/m, `$1 ${tokenLifetime}`);
  }
  await writeFile(copy, text);
  return copy;
}

/**
 * Returns free ports. They are below those that systems use for outgoing connections, so that they
 * stay free until a service starts, and while it is down.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(10_000, 32_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
