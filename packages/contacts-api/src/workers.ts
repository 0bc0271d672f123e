import cluster from 'node:cluster';
import type { Service } from '@koa-oauth/service';
import type { Settings } from './settings.ts';
import { announcement, createLogger, startMetrics } from './start.ts';

const RESTART_MS = 1000;
const MAX_RESTART_MS = 30_000;
/** A worker that served so long did not end because of how it was started. */
const PROVEN_MS = 60_000;
/** Longer than a worker takes that answers what it has. */
const STOP_MS = 15_000;

/** Serves the API with several processes, and looks after them. @returns what to print */
export async function startWorkers(settings: Settings, service: Service): Promise<string> {
  const logger = createLogger(settings);
  const workers = new Workers(settings.workers, (reason) => logger.error(reason));
  service.onStop(() => workers.stop());
  const port = await workers.start();
  await startMetrics(settings, service);
  return announcement(settings, port);
}

/**
 * Runs worker processes that share a port; each connection goes to one of them. A worker that ends by
 * itself is replaced, after a pause that grows while they keep ending.
 */
class Workers {
  readonly #count: number;
  readonly #onEnd: (reason: string) => void;
  #stopping = false;
  #pauseMs = RESTART_MS;

  /** @param onEnd called when one ends by itself, with the reason */
  constructor(count: number, onEnd: (reason: string) => void) {
    this.#count = count;
    this.#onEnd = onEnd;
  }

  /**
   * Starts them. Resolves when all of them listen; never, if they are stopped before.
   *
   * @returns the port they share
   * @throws Error when one ends before that; the reason is on standard error
   */
  async start(): Promise<number> {
    const ports = await Promise.all(Array.from({ length: this.#count }, () => this.#fork()));
    return ports[0] ?? 0;
  }

  /** Ends them, each when what it has in flight is answered, and by force when that takes too long. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(
      running.map((worker) => {
        const force = setTimeout(() => worker.process.kill('SIGKILL'), STOP_MS);
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
      worker.once('exit', (code, signal) => {
        if (this.#stopping) return;
        reject(new Error('a worker ended before it could serve'));
        const proven = performance.now() - startedAt > PROVEN_MS;
        this.#pauseMs = proven ? RESTART_MS : this.#pauseMs;
        this.#onEnd(
          `a worker ended (${signal ?? code}); another one starts in ${this.#pauseMs} ms`,
        );
        setTimeout(() => this.#replace(), this.#pauseMs);
        this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_RESTART_MS);
      });
    });
  }

  #replace(): void {
    if (!this.#stopping) this.#fork().catch(() => {});
  }
}
