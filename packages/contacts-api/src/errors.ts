/** A field of the input that is at fault. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

interface ErrorParts {
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** An error that a caller may be told of: `problemDetails` answers with its status, headers and message. */
export abstract class ApiError extends Error {
  readonly expose = true;
  readonly status: number;
  /** Stable, for programs to go by. */
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    { headers = {}, cause }: ErrorParts = {},
  ) {
    super(message, { cause });
    this.name = new.target.name;
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

// Nobody mends more than these at a time; a body has room for thousands.
const MAX_ERRORS = 50;

/** Input that a route can't take: 400 for a query, 422 for a body. Names each field at fault. */
export class InvalidInput extends ApiError {
  readonly errors: readonly FieldError[];

  constructor(status: 400 | 422, errors: readonly FieldError[]) {
    const shown = errors.slice(0, MAX_ERRORS);
    const names = shown.map(({ field }) => field).join(', ');
    super(status, 'ERR_INVALID_INPUT', `these fields are wrong: ${names}`);
    this.errors = shown;
  }
}

/** Nothing here by that name, or nothing that this organisation may know of. */
export class NotFound extends ApiError {
  constructor(message = 'there is nothing here by that name') {
    super(404, 'ERR_NOT_FOUND', message);
  }
}

/** A request target that is no URL. */
export class MalformedTarget extends ApiError {
  constructor() {
    super(400, 'ERR_MALFORMED_TARGET', 'the request target is not a valid URL');
  }
}

/** A body that can't be read as JSON (400), or is larger than the route takes (413). */
export class UnreadableBody extends ApiError {
  constructor(status: 400 | 413) {
    const tooLarge = status === 413;
    const message = tooLarge ? 'the body is too large' : 'the body is not a valid JSON object';
    super(status, 'ERR_UNREADABLE_BODY', message);
  }
}

/** A body of another media type than the route takes (RFC 9110 §15.5.16). */
export class UnsupportedMediaType extends ApiError {
  constructor(method: string, types: readonly string[]) {
    // RFC 5789 §2.2 has a name of its own for what PATCH takes.
    const header = method === 'PATCH' ? 'Accept-Patch' : 'Accept';
    super(415, 'ERR_UNSUPPORTED_MEDIA_TYPE', `send the body as ${types.join(' or ')}`, {
      headers: { [header]: types.join(', ') },
    });
  }
}

/** The contact is not in the state that the change was meant for (RFC 9110 §15.5.13). */
export class PreconditionFailed extends ApiError {
  constructor() {
    super(412, 'ERR_PRECONDITION_FAILED', 'the contact has changed since; read it again');
  }
}

/** More requests than allowed (RFC 6585 §4). */
export class TooManyRequests extends ApiError {
  /** @param seconds after which there is room again */
  constructor(seconds: number, headers: Readonly<Record<string, string>> = {}) {
    super(429, 'ERR_TOO_MANY_REQUESTS', 'too many requests; try again later', {
      headers: { ...headers, 'Retry-After': String(seconds) },
    });
  }
}

const SOON = { 'Retry-After': '2' };

/** The database can't be reached or can't work right now. It may be back in a moment. */
export class StoreUnavailable extends ApiError {
  /** What the database said, for the log alone. */
  readonly detail: string;

  constructor(cause: unknown) {
    const message = 'contacts cannot be read or written right now';
    super(503, 'ERR_STORE_UNAVAILABLE', message, { headers: SOON, cause });
    const { code, message: said } = cause as { code?: unknown; message?: unknown };
    this.detail = `${code ?? ''} ${said ?? ''}`.trim().slice(0, 300);
  }
}

/** The service is stopping, and others should be asked. */
export class NotReady extends ApiError {
  constructor(message: string) {
    super(503, 'ERR_NOT_READY', message, { headers: SOON });
  }
}
