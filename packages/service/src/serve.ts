import { GracefulServer, type GracefulServerOptions } from './server.ts';

/** Options of `serve`. */
export interface ServeOptions {
  /** The first word of the line that says why a start failed. */
  readonly name: string;
  /** How long requests in flight get to finish once the process must stop. */
  readonly graceMs: number;
  /** How long all of the stop may take. Default: as long as it takes. */
  readonly deadlineMs?: number;
  /**
   * Starts the service.
   *
   * @returns what to print when it serves; a parent process gets the message `ready` instead.
   *   undefined: neither
   */
  readonly start: (service: Service) => Promise<string | undefined>;
}

/** Where and how a service listens. */
export interface ListenOptions extends GracefulServerOptions {
  readonly port: number;
  readonly host: string;
  /** The name of the setting that says which port. Default `PORT`. */
  readonly setting?: string;
}

/** What `start` gets: its parts are stopped with the process. */
export interface Service {
  /** Listens, and stops with the process. @throws StartError when the port can't be had */
  listen(options: ListenOptions): Promise<GracefulServer>;
  /** Registers what to do when the process must stop. What was registered last is done first. */
  onStop(stop: (reason: string) => unknown): void;
}

/**
 * Runs a service as this process. It is stopped by SIGINT, by SIGTERM, and when the parent process
 * closes its channel; then the exit code is 0. A parent with a channel gets the message `ready`. A
 * start that fails prints one line, without a stack trace, and ends with the exit code 1.
 *
 * @example
 * await serve({
 *   name: 'contacts',
 *   graceMs: 1000,
 *   async start(service) {
 *     const { port, host } = readSettings(Settings, env);
 *     const store = openStore();
 *     service.onStop(() => store.close());
 *     const server = await service.listen({ port, host });
 *     server.on('request', createApp({ store }).callback());
 *     return `contacts: http://localhost:${server.port}`;
 *   },
 * });
 */
export async function serve({ name, graceMs, deadlineMs, start }: ServeOptions): Promise<void> {
  const stops: ((reason: string) => unknown)[] = [];
  let stopping = false;
  const stop = async (reason: string) => {
    if (stopping) return;
    stopping = true;
    if (deadlineMs !== undefined) setTimeout(() => process.exit(0), deadlineMs).unref();
    for (let next = stops.pop(); next; next = stops.pop()) {
      try {
        await next(reason);
      } catch {
        // It ends with the process; the others are still to be stopped.
      }
    }
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const)
    process.on(signal, () => stop(signal));

  const service: Service = {
    async listen({ port, host, setting, ...options }) {
      const server = new GracefulServer(options);
      await server.start(port, host, setting);
      service.onStop(() => server.stop(graceMs));
      return server;
    },
    onStop: (stop) => stops.push(stop),
  };
  try {
    const text = await start(service);
    if (text === undefined || stopping) return;
    if (process.send) process.send('ready');
    else process.stdout.write(`${text}\n`);
  } catch (error) {
    // A start that was stopped may fail for it.
    if (stopping) return;
    const { expose, message = String(error) } = (error ?? {}) as Partial<StartFailure>;
    process.stderr.write(`${name}: ${expose ? '' : 'cannot start: '}${message}\n`);
    process.exit(1);
  }
}

interface StartFailure {
  readonly expose: unknown;
  readonly message: string;
}
