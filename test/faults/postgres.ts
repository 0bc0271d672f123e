import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const VERSIONS = '/usr/lib/postgresql';
const run = promisify(execFile);

/** Returns the folder with PostgreSQL's programs. */
export function postgresPrograms(): string | undefined {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : [];
  return versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')));
}

/** PostgreSQL for one run. As root it runs as the user `postgres`, because its programs refuse root. */
export class OwnPostgres {
  readonly url: string;
  readonly #programs: string;
  readonly #port: number;
  #folder = '';

  constructor(programs: string, port: number) {
    this.#programs = programs;
    this.#port = port;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  async make(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'faults-postgres-'));
    if (process.getuid?.() === 0) {
      const [{ stdout: user }, { stdout: group }] = await Promise.all([
        run('id', ['-u', 'postgres']),
        run('id', ['-g', 'postgres']),
      ]);
      await chown(this.#folder, Number(user), Number(group));
    }
    await chmod(this.#folder, 0o700);
    await this.#run('initdb', '--auth=trust', '--username=postgres', '--no-sync', '-E', 'UTF8');
    await this.start();
  }

  async start(): Promise<void> {
    const options = `-p ${this.#port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''`;
    await this.#run(
      'pg_ctl',
      '-w',
      '-t',
      '30',
      '-l',
      join(this.#folder, 'log'),
      '-o',
      options,
      'start',
    );
  }

  /** @param mode `fast` closes connections; `immediate` is a crash with a later recovery */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#run('pg_ctl', '-w', '-t', '30', '-m', mode, 'stop');
  }

  async remove(): Promise<void> {
    if (this.#folder === '') return;
    await this.stop('immediate').catch(() => {});
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #run(program: string, ...args: string[]): Promise<void> {
    const command = [join(this.#programs, program), '-D', this.#folder, ...args];
    const isRoot = process.getuid?.() === 0;
    const [file = '', ...rest] = isRoot ? ['runuser', '-u', 'postgres', '--', ...command] : command;
    // The server must not inherit our pipes. They would stay open, and `run` would not return.
    const options = { cwd: this.#folder, env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' } };
    await run(file, rest, options);
  }
}
