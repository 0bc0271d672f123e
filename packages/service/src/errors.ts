import { types } from 'node:util';

/**
 * What stops the start of a service and is for its operator to fix. `serve` prints the message
 * without a stack trace.
 */
export class StartError extends Error {
  override readonly name: string = 'StartError';
  readonly code: string;
  /** The message may be shown as it is. */
  readonly expose = true;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Settings that can't be used. The message names every one of them and says what each must be. */
export class InvalidSettings extends StartError {
  override readonly name = 'InvalidSettings';
  /** One sentence for each fault, which begins with the name of the setting. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super('invalid_settings', `these settings are wrong:\n  ${faults.join('\n  ')}`);
    this.faults = faults;
  }
}

/** What the log holds of an error. */
export interface LoggedError {
  readonly type: string;
  readonly message?: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
  readonly cause?: string | undefined;
}

/**
 * Describes an error for the log, in bounded length. pino's own serializer copies every member of an
 * error: that of a request that the parser rejected holds all its bytes, cookies and tokens included,
 * and that of an HTTP client all that was sent.
 *
 * @example
 * const logger = pino({ serializers: { err: describeError } });
 */
export function describeError(error: unknown): LoggedError {
  if (!isError(error)) return { type: typeof error };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message.slice(0, 500),
    code: typeof code === 'string' ? code : undefined,
    stack: error.stack?.slice(0, 4000),
    cause: describeCause(error.cause),
  };
}

/** Describes the cause of an error in one line; undefined when it is no error. */
export function describeCause(cause: unknown): string | undefined {
  return isError(cause) ? `${cause.name}: ${cause.message}`.slice(0, 500) : undefined;
}

// A timeout of the platform is a DOMException, which is no native error.
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof DOMException;
}
