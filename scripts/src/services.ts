import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { prettyFactory } from 'pino-pretty';

export interface Service {
  readonly name: string;
  /** The packages it is made of, its own first. */
  readonly packages: readonly string[];
}

/** The three services that make the demonstration. */
export const SERVICES: readonly Service[] = [
  { name: 'issuer', packages: ['authorization-server', 'service'] },
  { name: 'api', packages: ['contacts-api', 'resource-server', 'issuer', 'service'] },
  { name: 'web', packages: ['contacts-web', 'client', 'issuer', 'service'] },
];

/** Where a package lies, or a file in it. */
export function packagePath(name: string, file = ''): string {
  return fileURLToPath(new URL(`../../packages/${name}/${file}`, import.meta.url));
}

const READY_WITHIN = 20_000;
const STOP_WITHIN = 1_800;

/** Runs the services side by side, passes on what they print, and ends them together. */
export class Supervisor {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #children = new Map<string, ChildProcess>();
  readonly #leaving = new Set<ChildProcess>();
  readonly #pretty = prettyFactory({
    colorize: process.stdout.isTTY,
    ignore: 'pid,hostname',
    singleLine: true,
  });
  /** Called with one line on why, when a service ends by itself or doesn't come up. */
  onFailure: (reason: string) => void = () => {};

  constructor(environment: NodeJS.ProcessEnv) {
    this.#environment = environment;
  }

  /** Starts all services. Resolves when every one of them listens. */
  async start(): Promise<void> {
    await Promise.all(SERVICES.map((service) => this.#start(service)));
  }

  /** Ends a service if it runs, and starts it anew. Resolves when it listens. */
  async restart(service: Service): Promise<void> {
    await this.#stop(service.name);
    await this.#start(service);
  }

  isRunning({ name }: Service): boolean {
    return this.#children.has(name);
  }

  /** Ends all services, by force if they take longer than two seconds. */
  async stop(): Promise<void> {
    await Promise.all(SERVICES.map(({ name }) => this.#stop(name)));
  }

  #start({ name, packages: [own = ''] }: Service): Promise<void> {
    const child = spawn(process.execPath, [packagePath(own, 'dist/main.js')], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#children.set(name, child);
    this.#passOn(name, child.stdout, process.stdout);
    this.#passOn(name, child.stderr, process.stderr);
    return new Promise((resolve) => {
      const tooLong = setTimeout(
        () => this.onFailure(`${name} was not ready within ${READY_WITHIN / 1000} s`),
        READY_WITHIN,
      );
      child.once('message', () => {
        clearTimeout(tooLong);
        resolve();
      });
      // 'close' comes after the last line the service printed; that line says why.
      child.once('close', (code, signal) => {
        clearTimeout(tooLong);
        if (this.#children.get(name) === child) this.#children.delete(name);
        if (!this.#leaving.has(child)) {
          this.onFailure(`${name} ended by itself (${signal ?? `exit code ${code}`})`);
        }
      });
    });
  }

  #passOn(name: string, stream: NodeJS.ReadableStream | null, target: NodeJS.WriteStream): void {
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
    this.#leaving.add(child);
    return new Promise((resolve) => {
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
      child.once('close', () => {
        clearTimeout(force);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}
