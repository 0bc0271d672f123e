import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';

/** Makes the log: JSON lines on standard output; on a terminal, lines for people. */
export function createLogger(level: string): Logger {
  const options = { name: 'contacts-api', level, serializers: { err: describeError } };
  return process.stdout.isTTY
    ? pino(options, PinoPretty({ sync: true, singleLine: true, ignore: 'pid,hostname' }))
    : pino(options);
}

/**
 * What the log keeps of an error: never its other members. An error of Node's HTTP parser, for one,
 * holds the whole request, token and all.
 */
export function describeError(error: unknown): Record<string, string | undefined> {
  const { name, code, message, stack } = (error ?? {}) as Record<string, unknown>;
  return {
    type: bounded(name, 100),
    code: bounded(code, 100),
    message: bounded(message ?? error, 500),
    stack: bounded(stack, 4000),
  };
}

function bounded(value: unknown, length: number): string | undefined {
  return value === undefined ? undefined : String(value).slice(0, length);
}
