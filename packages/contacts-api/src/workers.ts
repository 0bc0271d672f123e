import cluster, { type Worker } from 'node:cluster';

const RESTART_AFTER = 1000;

/**
 * Runs worker processes that share a port; each connection goes to one of them. A worker that ends by
 * itself is replaced.
 */
export class Workers {
  readonly #count: number;
  #stopping = false;

  constructor(count: number) {
    this.#count = count;
  }

  /**
   * Starts them. Resolves when all of them listen; never, when they are told to stop before.
   * @throws Error when one ends before that; it has told why on standard error
   */
  async start(): Promise<void> {
    cluster.on('exit', () => {
      if (!this.#stopping) setTimeout(() => this.#replace(), RESTART_AFTER);
    });
    await Promise.all(Array.from({ length: this.#count }, () => this.#fork()));
  }

  /** Ends them, each when what it has in flight is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(
      running.map((worker) => {
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        worker.process.kill('SIGTERM');
        return ended;
      }),
    );
  }

  #replace(): void {
    if (!this.#stopping) this.#fork().catch(() => {});
  }

  #fork(): Promise<Worker> {
    const worker = cluster.fork();
    return new Promise((resolve, reject) => {
      worker.once('listening', () => resolve(worker));
      worker.once('exit', () => {
        if (!this.#stopping) reject(new Error('a worker ended before it could serve'));
      });
    });
  }
}
