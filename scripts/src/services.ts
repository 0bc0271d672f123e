import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { prettyFactory } from 'pino-pretty';

export interface Service {
  readonly name: string;
  /** Packages of the service, its own first. */
  readonly packages: readonly string[];
}

/** Services of the demo. */
export const SERVICES: readonly Service[] = [
  { name: 'issuer', packages: ['authorization-server', 'service'] },
  { name: 'api', packages: ['contacts-api', 'resource-server', 'issuer', 'service'] },
  { name: 'web', packages: ['contacts-web', 'client', 'issuer', 'service'] },
];

/** Returns the path of a package, or of a file in it. */
export function packagePath(name: string, file = ''): string {
  return fileURLToPath(new URL(`../../packages/${name}/${file}`, import.meta.url));
}

/** Returns a sentence about a program that cannot be started. */
export function describeSpawnError(name: string, { message }: Error): string {
  return `${name} cannot be started (${message}): check that program, this folder, and ulimit -a`;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 1_800;

/** Runs the services, prints their output, and stops them together. */
export class Supervisor {
  readonly #environments: Readonly<Record<string, NodeJS.ProcessEnv>>;
  readonly #children = new Map<string, ChildProcess>();
  readonly #stopping = new Set<ChildProcess>();
  readonly #pretty = prettyFactory({
    colorize: process.stdout.isTTY,
    ignore: 'pid,hostname',
    singleLine: true,
  });
  /** Called with the reason when a service ends by itself or does not start in time. */
  onFailure: (reason: string) => void = () => {};

  /** @param environments environment of each service, by its name */
  constructor(environments: Readonly<Record<string, NodeJS.ProcessEnv>>) {
    this.#environments = environments;
  }

  /** Starts all services. Resolves when all of them listen. */
  async start(): Promise<void> {
    await Promise.all(SERVICES.map((service) => this.#start(service)));
  }

  /** Restarts a service. Resolves when it listens. */
  async restart(service: Service): Promise<void> {
    await this.#stop(service.name);
    await this.#start(service);
  }

  isRunning({ name }: Service): boolean {
    return this.#children.has(name);
  }

  /** Stops all services. Kills those that do not stop in time. */
  async stop(): Promise<void> {
    await Promise.all(SERVICES.map(({ name }) => this.#stop(name)));
  }

  #start({ name, packages: [own = ''] }: Service): Promise<void> {
    const child = spawn(process.execPath, [packagePath(own, 'dist/main.js')], {
      env: this.#environments[name],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#children.set(name, child);
    this.#forward(name, child.stdout, process.stdout);
    this.#forward(name, child.stderr, process.stderr);
    return new Promise((resolve) => {
      const startTimer = setTimeout(
        () => this.onFailure(`${name} was not ready within ${READY_TIMEOUT_MS / 1000} s`),
        READY_TIMEOUT_MS,
      );
      child.once('message', () => {
        clearTimeout(startTimer);
        resolve();
      });
      let fault: string | undefined;
      child.on('error', (error) => {
        fault = describeSpawnError(name, error);
      });
      // 'close' comes after an error, and after the last line of the service, which says why it ended.
      child.once('close', (code, signal) => {
        clearTimeout(startTimer);
        if (this.#children.get(name) === child) this.#children.delete(name);
        if (!this.#stopping.has(child)) {
          this.onFailure(fault ?? `${name} ended by itself (${signal ?? `exit code ${code}`})`);
        }
      });
    });
  }

  #forward(name: string, stream: NodeJS.ReadableStream | null, target: NodeJS.WriteStream): void {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        target.write(`${name.padEnd(6)} ${this.#pretty(line)?.trimEnd() || line}\n`);
      }
    });
  }

  #stop(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (!child) return Promise.resolve();
    this.#stopping.add(child);
    return new Promise((resolve) => {
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      child.once('close', () => {
        clearTimeout(force);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}
