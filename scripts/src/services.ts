import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { prettyFactory } from 'pino-pretty';

export interface Service {
  readonly name: string;
  readonly main: string;
}

const main = (dir: string) =>
  fileURLToPath(new URL(`../../packages/${dir}/dist/main.js`, import.meta.url));

/** The three services in the order they start: each one may need those before it. */
export const SERVICES: readonly Service[] = [
  { name: 'issuer', main: main('authorization-server') },
  { name: 'api', main: main('contacts-api') },
  { name: 'web', main: main('contacts-web') },
];

const READY_WITHIN = 20_000;
const STOP_WITHIN = 1_800;

/** Runs the services side by side, passes on what they print, and ends them together. */
export class Supervisor {
  readonly #children = new Map<string, ChildProcess>();
  readonly #pretty = prettyFactory({
    colorize: process.stdout.isTTY,
    ignore: 'pid,hostname',
    singleLine: true,
  });
  #stopping: Promise<void> | undefined;
  /** Called with one line on why, when a service ends by itself. */
  onFailure: (reason: string) => void = () => {};

  /** Starts all services. Resolves when every one of them listens. */
  async start(environment: NodeJS.ProcessEnv, nodeOptions: readonly string[] = []): Promise<void> {
    await Promise.all(SERVICES.map((service) => this.#start(service, environment, nodeOptions)));
  }

  #start(
    { name, main }: Service,
    env: NodeJS.ProcessEnv,
    nodeOptions: readonly string[],
  ): Promise<void> {
    const child = spawn(process.execPath, [...nodeOptions, main], {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#children.set(name, child);
    for (const [stream, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      this.#passOn(name, stream, target);
    }
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
        this.#children.delete(name);
        if (!this.#stopping)
          this.onFailure(`${name} ended by itself (${signal ?? `exit code ${code}`})`);
      });
    });
  }

  #passOn(name: string, stream: NodeJS.ReadableStream | null, target: NodeJS.WriteStream): void {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines)
        target.write(`${name.padEnd(6)} ${this.#pretty(line)?.trimEnd() || line}\n`);
    });
  }

  /** Ends all services, by force if they take longer than two seconds. */
  stop(): Promise<void> {
    this.#stopping ??= Promise.all([...this.#children.values()].map(stopChild)).then(() => {});
    return this.#stopping;
  }
}

function stopChild(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
    child.once('close', () => {
      clearTimeout(force);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
