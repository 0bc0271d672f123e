/** Options that cannot work. Thrown when something is made, never while it serves. */
export class InvalidOptions extends TypeError {
  override readonly name = 'InvalidOptions';
  readonly code = 'ERR_INVALID_OPTIONS';
}

const UNAVAILABLE = 'the authorization server cannot be reached right now';

/**
 * Errors of an issuer: code → status, public text. What only a log may hold is the error's `detail`.
 *
 * When an issuer cannot be reached, or says something that cannot be trusted (RFC 8414 §3.3), the
 * token is not at fault: 503, never 401. A key that the issuer lacks is an answer to the caller's own
 * question, so its status is the caller's to choose.
 */
const ERRORS = {
  ERR_ISSUER_UNAVAILABLE: [503, UNAVAILABLE],
  ERR_INVALID_METADATA: [503, UNAVAILABLE],
  ERR_SIGNING_KEY_NOT_FOUND: [undefined, 'the issuer has no key that fits the token'],
} as const satisfies Record<`ERR_${string}`, readonly [status: number | undefined, text: string]>;

/** Stable name of an error. Recognize errors by it: `instanceof` fails where two copies are installed. */
export type IssuerErrorCode = keyof typeof ERRORS;

/** Metadata or a key of the issuer are not available; `code` says why. */
export class IssuerError extends Error {
  override readonly name = 'IssuerError';
  readonly code: IssuerErrorCode;
  readonly status: number | undefined;
  readonly expose: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** For the log, as `cause` is; `message` may be shown to a caller. */
  readonly detail: string;

  constructor(
    code: IssuerErrorCode,
    { detail = ERRORS[code][1], cause }: { detail?: string; cause?: unknown } = {},
  ) {
    const [status, text] = ERRORS[code];
    super(text, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.expose = status !== undefined;
    this.headers = status === 503 ? { 'Retry-After': '2' } : {};
    this.detail = detail;
  }
}

/** Makes the error for an issuer that does not answer, or whose answer cannot be used. */
export function issuerUnavailable(detail: string, cause?: unknown): IssuerError {
  return new IssuerError('ERR_ISSUER_UNAVAILABLE', { detail, cause });
}
