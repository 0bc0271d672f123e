import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NextStart, ServerReading } from './run-server.ts';
import type { ServerName } from './servers/index.ts';

const TIMEOUT_MS = 20_000;

/** Authorization server in its own process. */
export class ServerProcess {
  readonly name: ServerName;
  readonly #child: ChildProcess;
  #url = '';

  private constructor(name: ServerName, child: ChildProcess) {
    this.name = name;
    this.#child = child;
  }

  static async start(name: ServerName, keysFile: string): Promise<ServerProcess> {
    const main = fileURLToPath(new URL('run-server.js', import.meta.url));
    const server = new ServerProcess(name, fork(main, [name, keysFile], { execArgv: [] }));
    try {
      server.#url = (await server.#answer<{ url: string }>()).url;
    } catch (error) {
      server.stop();
      throw error;
    }
    return server;
  }

  /** Without a slash at its end. */
  get url(): string {
    return this.#url;
  }

  read(): Promise<ServerReading> {
    return this.#ask('read');
  }

  startAnother(): Promise<NextStart> {
    return this.#ask('start');
  }

  #ask<T>(question: 'read' | 'start'): Promise<T> {
    this.#child.send(question);
    return this.#answer<T>();
  }

  async #answer<T>(): Promise<T> {
    const waiting = new AbortController();
    const signal = AbortSignal.any([waiting.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const ended = once(this.#child, 'exit', { signal }).then((): never => {
      throw new Error(`${this.name} ended before it answered`);
    });
    // The abort below rejects it when the answer came first.
    ended.catch(() => {});
    try {
      const [answer] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [
        T,
      ];
      return answer;
    } finally {
      waiting.abort();
    }
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
