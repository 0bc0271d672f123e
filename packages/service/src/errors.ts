import { types } from 'node:util';

/**
 * An error that stops the start of a service and that its operator can fix. `serve` prints the
 * message after the name of the service, without a stack trace, and ends with the exit code 1.
 *
 * The message says what is wrong and what to do.
 *
 * @example
 * if (!existsSync(path)) {
 *   throw new StartError('ENOENT', `the file ${path} does not exist: create it or set TENANT`);
 * }
 */
export class StartError extends Error {
  override readonly name: string = 'StartError';
  readonly code: string;
  /** Marks the message as written for the operator. `serve` recognizes it by this, not by its class. */
  readonly expose = true;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Error for settings that can't be used. The message names every wrong setting and says what each must
 * be. It contains no value.
 *
 * @example
 * try {
 *   readSettings(Settings, { PORT: 'a-port' });
 * } catch (error) {
 *   error.faults; // ['PORT must be a port number from 0 to 65535']
 * }
 */
export class InvalidSettings extends StartError {
  override readonly name = 'InvalidSettings';
  /** One sentence per wrong setting. Each begins with the setting's name. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super('invalid_settings', `these settings are wrong:\n  ${faults.join('\n  ')}`);
    this.faults = faults;
  }
}

/** Members of an error that may be logged. */
export interface LoggedError {
  readonly type: string;
  readonly message?: string;
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
  readonly cause?: string | undefined;
}

const MAX_TEXT_LENGTH = 500;
const MAX_STACK_LENGTH = 4000;

/**
 * Describes an error for the log, in bounded length.
 *
 * The serializer of pino copies every member of an error, and members can contain secrets: an error of
 * Node's HTTP parser has the raw request with its cookies and tokens, an error of an HTTP client the
 * request that it sent.
 *
 * @example
 * const logger = pino({ serializers: { err: describeError } });
 * logger.error({ err: error }, 'the request failed');
 */
export function describeError(error: unknown): LoggedError {
  if (!isError(error)) return { type: typeof error };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message.slice(0, MAX_TEXT_LENGTH),
    code: typeof code === 'string' ? code : undefined,
    stack: error.stack?.slice(0, MAX_STACK_LENGTH),
    cause: describeCause(error.cause),
  };
}

/**
 * Describes the cause of an error in one line of bounded length. Returns undefined for a value that
 * is not an error.
 *
 * @example
 * const { code, cause } = error;
 * ctx.state.failure = { code, cause: describeCause(cause) }; // 'Error: connect ECONNREFUSED …'
 */
export function describeCause(cause: unknown): string | undefined {
  return isError(cause) ? `${cause.name}: ${cause.message}`.slice(0, MAX_TEXT_LENGTH) : undefined;
}

// Not native are the timeout of `AbortSignal.timeout`, a DOMException, and errors that capture no stack.
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error || value instanceof DOMException;
}
