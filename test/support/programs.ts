import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

/** Returns the path of a program of this system, if it is there. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Programs in the foreground, ended together. */
export class Programs {
  readonly #children: ChildProcess[] = [];

  /** Starts one, and waits until it listens. */
  async start(port: number, file: string, ...args: string[]): Promise<void> {
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#children.push(child);
    let printed = '';
    child.stderr?.on('data', (chunk) => {
      printed += chunk;
    });
    for (let tries = 0; tries < 2000; tries += 1) {
      if (child.exitCode !== null) throw new Error(`${file} did not start: ${printed}`);
      const socket = connect(port, '127.0.0.1');
      const listens = await Promise.race([
        once(socket, 'connect').then(
          () => true,
          () => false,
        ),
        after(1000, false),
      ]);
      socket.destroy();
      if (listens) return;
      await after(50);
    }
    throw new Error(`${file} does not listen on port ${port}: ${printed}`);
  }

  async end(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    }
  }
}
