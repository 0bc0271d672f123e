import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Root of the repository, seen from the bundle in `test/faults/dist`. */
const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Process of a built service, configured by its environment. It logs everything. */
export class ServiceProcess {
  readonly name: string;
  readonly port: number;
  readonly #options: ServiceOptions;
  #child: ChildProcess | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  readonly #printed: string[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.name = options.name;
    this.port = options.port;
  }

  /** Returns the output of all its starts. */
  printed(): string {
    return this.#printed.join('');
  }

  get pid(): number {
    return this.#child?.pid as number;
  }

  /** @throws Error with what it printed, when it does not start */
  async start(): Promise<void> {
    const { main, folder, port, environment } = this.#options;
    const child = spawn(process.execPath, [`${root}packages/${main}/dist/main.js`], {
      cwd: folder,
      env: { PATH: process.env.PATH, LOG_LEVEL: 'trace', ...environment, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const from = this.#printed.length;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#printed.push(text));
    }
    this.#child = child;
    this.#closed = once(child, 'close');
    const failed = this.#closed.then(() => {
      const said = this.#printed.slice(from).join('').slice(-2000);
      throw new Error(`${this.name} did not start:\n${said}`);
    });
    await Promise.race([once(child, 'message'), failed]);
    failed.catch(() => {});
  }

  /** Sends a signal and waits until the process has ended. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child?.kill(signal);
    await this.#closed;
  }
}

export interface ServiceOptions {
  readonly name: string;
  /** Folder of its package. */
  readonly main: string;
  readonly port: number;
  /** Working directory. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
}
