import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { AUDIENCE } from './measure.ts';

export const CONNECTIONS = 16;
const SECONDS = 3;
const TIMEOUT_MS = 30_000;

/** Process of the contacts API, started with its `main.js`. */
export class Service {
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(
    workers: number,
    { issuer, databaseURL }: { readonly issuer: string; readonly databaseURL: string },
  ): Promise<Service> {
    const port = await freePort();
    const main = fileURLToPath(
      new URL('../../packages/contacts-api/dist/main.js', import.meta.url),
    );
    const child = fork(main, [], {
      execArgv: [],
      env: {
        PATH: process.env.PATH,
        PORT: String(port),
        WEB_CONCURRENCY: String(workers),
        ISSUER_BASE_URL: issuer,
        AUDIENCE,
        DATABASE_URL: databaseURL,
        RATE_LIMIT: '1000000',
        LOG_LEVEL: 'silent',
      },
    });
    const service = new Service(child, `http://127.0.0.1:${port}`);
    try {
      await service.#ready();
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  async #ready(): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      throw new Error('the contacts API ended before it was ready');
    });
    await Promise.race([once(this.#child, 'message', { signal }), ended]);
  }

  /** @returns requests answered per second */
  async throughput(token: string): Promise<number> {
    const {
      '2xx': ok,
      non2xx,
      errors,
      duration,
    } = await autocannon({
      url: `${this.url}/contacts`,
      connections: CONNECTIONS,
      duration: SECONDS,
      headers: { authorization: `Bearer ${token}` },
    });
    if (non2xx + errors > 0) throw new Error(`contacts API: ${non2xx} refused, ${errors} failed`);
    return ok / duration;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), TIMEOUT_MS);
    this.#child.kill('SIGTERM');
    await ended;
    clearTimeout(force);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
