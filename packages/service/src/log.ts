import { type Logger, type LoggerOptions, pino } from 'pino';

/** Characters that wait while the output takes none. Lines beyond them are lost. */
const MAX_WAITING = 1_000_000;

/**
 * Makes a logger of pino that writes to standard output. Lines that can't be written, for example to a
 * full disk, wait in limited number for the next line. Pino's own destination would throw, in each
 * request, and then keep the process from its end.
 *
 * `pino` is an optional peer dependency. Only this module loads it.
 *
 * @example
 * const logger = createLogger({ name: 'contacts', level: 'info' });
 * app.use(requestLog({ logger }));
 */
export function createLogger(options: LoggerOptions): Logger {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_WAITING });
  output.on('error', () => {});
  return pino(options, output);
}
