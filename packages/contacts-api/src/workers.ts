import cluster from 'node:cluster';

const RESTART_AFTER = 1000;
const RESTART_AFTER_AT_MOST = 30_000;
/** A worker that served so long did not end for how it was started. */
const PROVEN_AFTER = 60_000;
/** Longer than a worker takes that answers what it has. */
const STOP_WITHIN = 15_000;

/**
 * Runs worker processes that share a port; each connection goes to one of them. A worker that ends by
 * itself is replaced, after a pause that grows while they keep ending.
 */
export class Workers {
  readonly #count: number;
  readonly #onEnd: (reason: string) => void;
  #stopping = false;
  #pause = RESTART_AFTER;

  /** @param onEnd told when one ends by itself, and why */
  constructor(count: number, onEnd: (reason: string) => void) {
    this.#count = count;
    this.#onEnd = onEnd;
  }

  /**
   * Starts them. Resolves when all of them listen; never, when they are told to stop before.
   *
   * @returns the port they share
   * @throws Error when one ends before that; it has told why on standard error
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
        const force = setTimeout(() => worker.process.kill('SIGKILL'), STOP_WITHIN);
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
        const proven = performance.now() - startedAt > PROVEN_AFTER;
        this.#pause = proven ? RESTART_AFTER : this.#pause;
        this.#onEnd(`a worker ended (${signal ?? code}); another one starts in ${this.#pause} ms`);
        setTimeout(() => this.#replace(), this.#pause);
        this.#pause = Math.min(2 * this.#pause, RESTART_AFTER_AT_MOST);
      });
    });
  }

  #replace(): void {
    if (!this.#stopping) this.#fork().catch(() => {});
  }
}
