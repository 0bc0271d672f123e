/** Errors of this API itself: code → status → text for the caller. */
const ERRORS = {
  ERR_INVALID_INPUT: { 400: 'these fields are wrong', 422: 'these fields are wrong' },
  ERR_UNREADABLE_BODY: {
    400: 'the body is not a valid JSON object',
    413: 'the body is too large',
  },
  ERR_UNSUPPORTED_MEDIA_TYPE: { 415: 'the media type of the body is not supported' },
  ERR_NOT_FOUND: { 404: 'there is no contact with this id' },
  ERR_TOO_MANY_CONTACTS: { 409: 'the organization has too many contacts; delete some first' },
  ERR_PRECONDITION_FAILED: {
    412: 'the contact is not in the state that If-Match or If-None-Match names; read it again',
  },
  ERR_TOO_MANY_REQUESTS: { 429: 'too many requests; try again later' },
  ERR_STORE_UNAVAILABLE: { 503: 'contacts cannot be read or written now; try again later' },
  ERR_NOT_READY: { 503: 'the service is stopping' },
} as const satisfies Record<`ERR_${string}`, Readonly<Record<number, string>>>;

type Code = keyof typeof ERRORS;

/** A body has room for thousands of wrong fields. */
const MAX_FIELD_ERRORS = 50;

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

interface ApiErrorOptions {
  /** Default: the first status of the code. */
  readonly status?: number;
  /** Default: the text of the table. */
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly FieldError[];
  /** For the log only. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** An error that the caller may see: `problemDetails` answers with its status, headers and message. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly expose = true;
  readonly code: Code;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly errors: readonly FieldError[] | undefined;
  readonly detail: string | undefined;

  constructor(code: Code, options: ApiErrorOptions = {}) {
    const texts: Readonly<Record<number, string>> = ERRORS[code];
    const { status = Number(Object.keys(texts)[0]), message, headers, errors, detail } = options;
    super(message ?? texts[status], { cause: options.cause });
    this.code = code;
    this.status = status;
    this.headers = { ...(status === 503 && { 'Retry-After': '2' }), ...headers };
    this.errors = errors;
    this.detail = detail;
  }
}

export function invalidInput(status: 400 | 422, faults: readonly FieldError[]): ApiError {
  const errors = faults.slice(0, MAX_FIELD_ERRORS);
  const names = errors.map(({ field }) => field).join(', ');
  return new ApiError('ERR_INVALID_INPUT', {
    status,
    message: `these fields are wrong: ${names}`,
    errors,
  });
}
