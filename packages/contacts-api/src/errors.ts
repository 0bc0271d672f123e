/** Everything that this API itself refuses: code → status → text for the caller. */
const ERRORS = {
  ERR_INVALID_INPUT: { 400: 'these fields are wrong', 422: 'these fields are wrong' },
  ERR_UNREADABLE_BODY: {
    400: 'the body is not a valid JSON object',
    413: 'the body is too large',
  },
  ERR_UNSUPPORTED_MEDIA_TYPE: { 415: 'the body is of another media type' },
  ERR_NOT_FOUND: { 404: 'there is no such contact' },
  ERR_PRECONDITION_FAILED: { 412: 'the contact has changed since; read it again' },
  ERR_TOO_MANY_REQUESTS: { 429: 'too many requests; try again later' },
  ERR_STORE_UNAVAILABLE: { 503: 'contacts cannot be read or written right now' },
  ERR_NOT_READY: { 503: 'the service is stopping' },
} as const satisfies Record<`ERR_${string}`, Readonly<Record<number, string>>>;

type Code = keyof typeof ERRORS;

/** A field of the input that is at fault. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

interface ErrorParts {
  /** Required where the code has more than one. */
  readonly status?: number;
  /** More precise than the text of the table. */
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly FieldError[];
  /** For the log alone. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** An error that the caller may see: `problemDetails` answers with its status, headers and message. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly expose = true;
  /** Stable, for programs to decide by. */
  readonly code: Code;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly errors: readonly FieldError[] | undefined;
  readonly detail: string | undefined;

  constructor(code: Code, { status, message, headers, errors, detail, cause }: ErrorParts = {}) {
    const texts: Readonly<Record<number, string>> = ERRORS[code];
    const ownStatus = status ?? Number(Object.keys(texts)[0]);
    super(message ?? texts[ownStatus], { cause });
    this.code = code;
    this.status = ownStatus;
    this.headers = { ...(ownStatus === 503 && { 'Retry-After': '2' }), ...headers };
    this.errors = errors;
    this.detail = detail;
  }
}
