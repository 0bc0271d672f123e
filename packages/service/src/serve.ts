import type { StartError } from './errors.ts';
import { GracefulServer, type GracefulServerOptions } from './server.ts';

/** Options of `serve`. */
export interface ServeOptions {
  /** Name of the service: the first word of the line that reports a failed start. */
  readonly name: string;
  /** Time for requests in flight to finish when the process stops. */
  readonly graceMs: number;
  /** Maximum time of the whole stop. Default: no maximum. */
  readonly deadlineMs?: number | undefined;
  /**
   * Starts the service.
   *
   * @returns the line to print. With a parent process, `ready` is sent to it instead. Undefined: neither
   */
  readonly start: (service: Service) => Promise<string | undefined>;
}

/** Options of `listen`. */
export interface ListenOptions extends GracefulServerOptions {
  readonly port: number;
  readonly host: string;
  /** Name of the setting that holds the port. Default `PORT`. */
  readonly setting?: string | undefined;
}

/** The running service as `start` sees it. Parts that are registered here stop with the process. */
export interface Service {
  /** Starts a server that stops with the process. @throws StartError when the port can't be used */
  listen(options: ListenOptions): Promise<GracefulServer>;
  /** Registers a step of the stop. The step that was registered last runs first. */
  onStop(step: StopStep): void;
}

type StopStep = (reason: string) => unknown;

/**
 * Runs a service as this process. SIGINT, SIGTERM, or a parent process that closes its channel stop
 * it, with the exit code 0. A failed start prints one line and ends with the exit code 1.
 *
 * @example
 * await serve({
 *   name: 'contacts',
 *   graceMs: 1000,
 *   async start(service) {
 *     const { port, host } = readSettings(Settings, env);
 *     const server = await service.listen({ port, host });
 *     server.on('request', createApp().callback());
 *     return `contacts: http://localhost:${server.port}`;
 *   },
 * });
 */
export async function serve({ name, graceMs, deadlineMs, start }: ServeOptions): Promise<void> {
  const steps: StopStep[] = [];
  let stopping = false;
  const stop = async (reason: string) => {
    if (stopping) return;
    stopping = true;
    if (deadlineMs !== undefined) setTimeout(() => process.exit(0), deadlineMs).unref();
    // A start that is still running can add steps.
    while (steps.length > 0) {
      try {
        await steps.pop()?.(reason);
      } catch {
        // The other parts must still close. This one ends with the process.
      }
    }
    process.exit(0);
  };
  for (const event of ['SIGINT', 'SIGTERM', 'disconnect'] as const) {
    process.on(event, () => stop(event));
  }

  // A line that can't be written, for example to a full disk, must not end the service.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});

  const service: Service = {
    async listen({ port, host, setting, ...options }) {
      const server = new GracefulServer(options);
      await server.start(port, host, setting);
      service.onStop(() => server.stop(graceMs));
      return server;
    },
    onStop: (step) => steps.push(step),
  };
  try {
    const text = await start(service);
    if (text === undefined || stopping) return;
    // A parent that has just gone can't be told: `disconnect` follows and stops the service.
    if (process.send) process.send('ready', () => {});
    else process.stdout.write(`${text}\n`);
  } catch (error) {
    // A stop closes parts that the start still uses, which can make the start fail.
    if (stopping) return;
    const { expose, message = String(error) } = (error ?? {}) as Partial<StartError>;
    process.stderr.write(`${name}: ${expose ? '' : 'cannot start: '}${message}\n`);
    process.exit(1);
  }
}
