import cluster from 'node:cluster';
import type { Service } from '@koa-oauth/service';
import type { Settings } from './settings.ts';
import { listeningLine, openLog, startMetrics } from './start.ts';

const MIN_RESTART_DELAY_MS = 1000;
const MAX_RESTART_DELAY_MS = 30_000;
/** A worker that runs longer has started well. */
const STABLE_AFTER_MS = 60_000;
/** Longer than a worker needs to answer its requests in flight. */
const STOP_TIMEOUT_MS = 15_000;

/** @returns the line to print once all workers serve */
export async function startWorkers(settings: Settings, service: Service): Promise<string> {
  const logger = openLog(settings);
  if (settings.storeURL.startsWith('memory:')) {
    logger.warn(
      'several processes share no store: a logout reaches one of them, a DPoP proof can be used once at ' +
        'each, and each counts requests by itself; set STORE_URL to redis://… or postgres://…',
    );
  }
  const workers = new Workers(settings.workers, (reason) => logger.error(reason));
  service.onStop(() => workers.stop());
  const port = await workers.start();
  await startMetrics(settings, service);
  return listeningLine(settings, port);
}

/**
 * Runs worker processes that share a port; each connection goes to one of them. A worker that ends by
 * itself is replaced after a delay, which doubles while workers keep ending.
 */
class Workers {
  readonly #count: number;
  readonly #onUnexpectedEnd: (reason: string) => void;
  #stopping = false;
  #delayMs = MIN_RESTART_DELAY_MS;

  constructor(count: number, onUnexpectedEnd: (reason: string) => void) {
    this.#count = count;
    this.#onUnexpectedEnd = onUnexpectedEnd;
  }

  /**
   * Resolves to the shared port once all workers listen, or never when `stop` comes first.
   *
   * @throws Error when a worker ends before that; it has printed the reason on standard error
   */
  async start(): Promise<number> {
    const ports = await Promise.all(Array.from({ length: this.#count }, () => this.#fork()));
    return ports[0] ?? 0;
  }

  /** Stops each worker once it has answered its requests, and kills it after a timeout. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    const running = workers.filter((worker) => !worker.isDead());
    await Promise.all(
      running.map((worker) => {
        const force = setTimeout(() => worker.process.kill('SIGKILL'), STOP_TIMEOUT_MS);
        const ended = new Promise<void>((resolve) => {
          worker.once('exit', () => {
            clearTimeout(force);
            resolve();
          });
        });
        worker.process.kill('SIGTERM');
        return ended;
      }),
    );
  }

  #fork(): Promise<number> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      worker.once('listening', ({ port }) => resolve(port));
      const onEnd = (cause: string | number) => {
        if (this.#stopping) return;
        // No effect after `listening`.
        reject(new Error('a worker ended before it listened'));
        const isStable = performance.now() - startedAt > STABLE_AFTER_MS;
        if (isStable) this.#delayMs = MIN_RESTART_DELAY_MS;
        this.#onUnexpectedEnd(
          `a worker ended (${cause}); another one starts in ${this.#delayMs} ms`,
        );
        setTimeout(() => {
          if (!this.#stopping) this.#fork().catch(() => {});
        }, this.#delayMs);
        this.#delayMs = Math.min(2 * this.#delayMs, MAX_RESTART_DELAY_MS);
      };
      worker.once('exit', (code, signal) => onEnd(signal ?? code));
      // A message to a worker that is ending fails too; its `exit` follows. Without a process, none does.
      worker.on('error', ({ message }) => {
        if (worker.process.pid === undefined) onEnd(message);
      });
    });
  }
}
