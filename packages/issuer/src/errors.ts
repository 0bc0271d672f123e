/**
 * Error for options that cannot work. It is thrown by functions that make something, never while a
 * request is served. The message names every wrong option.
 *
 * @example
 * createIssuer({ issuerBaseURL: 'http://tenant.example.com/' });
 * // InvalidOptions: issuerBaseURL must use https (http only on a loopback address)
 */
export class InvalidOptions extends TypeError {
  override readonly name = 'InvalidOptions';
  readonly code = 'ERR_INVALID_OPTIONS';
}

/** Returns one fault that names all options of this object, which a function does not have; else none. */
export function unknownOptions(unknown: object): string[] {
  const names = Object.keys(unknown).join(', ');
  return names === '' ? [] : [`unknown: ${names}`];
}

// Objects that the constructor `Error` did not make have no stack.
function Stackless(this: Error, message: string): void {
  this.message = message;
}
Stackless.prototype = Object.create(Error.prototype, {
  [Symbol.toStringTag]: { value: 'Error' },
  stack: { value: '', writable: true },
});

/**
 * Base class of errors that refuse a request. It captures no stack: that takes V8 longer than most
 * refusals, and all these stacks are alike. `code`, `detail` and `cause` of an error say where it comes
 * from.
 *
 * @example
 * class QuotaError extends StacklessError {
 *   override name = 'QuotaError';
 *   readonly limit = 100;
 * }
 */
export const StacklessError = Stackless as unknown as new (message: string) => Error;

const UNAVAILABLE = 'the authorization server cannot be reached right now';

/**
 * Errors of an issuer: code → status, public text.
 *
 * An issuer that cannot be reached, or whose metadata cannot be trusted (RFC 8414 §3.3), does not make
 * a token invalid: the status is 503, not 401. For a key that the issuer lacks, the caller chooses the
 * status.
 */
const ERRORS = {
  ERR_ISSUER_UNAVAILABLE: [503, UNAVAILABLE],
  ERR_INVALID_METADATA: [503, UNAVAILABLE],
  ERR_SIGNING_KEY_NOT_FOUND: [undefined, 'the issuer has no key that fits the token'],
} as const satisfies Record<`ERR_${string}`, readonly [status: number | undefined, text: string]>;

/** Stable name of an error. Recognize errors by it: `instanceof` fails where two copies are installed. */
export type IssuerErrorCode = keyof typeof ERRORS;

/**
 * Error for metadata or a key of the issuer that are not available. `code` says why.
 *
 * @example
 * await issuer.signingKey(header).catch((error: IssuerError) => {
 *   logger.warn({ code: error.code, detail: error.detail }, error.message);
 *   throw error;
 * });
 */
export class IssuerError extends StacklessError {
  override readonly name = 'IssuerError';
  readonly code: IssuerErrorCode;
  readonly status: number | undefined;
  readonly expose: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Only for the log, as `cause` is. `message` may be shown to a caller. */
  readonly detail: string;

  constructor(
    code: IssuerErrorCode,
    { detail = ERRORS[code][1], cause }: { detail?: string; cause?: unknown } = {},
  ) {
    const [status, text] = ERRORS[code];
    super(`${text} (${code})`);
    this.code = code;
    this.status = status;
    this.expose = status !== undefined;
    this.headers = status === 503 ? { 'Retry-After': '2' } : {};
    this.detail = detail;
    if (cause !== undefined) this.cause = cause;
  }
}

export function issuerUnavailable(detail: string, cause?: unknown): IssuerError {
  return new IssuerError('ERR_ISSUER_UNAVAILABLE', { detail, cause });
}
