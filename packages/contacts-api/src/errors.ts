/** A field of the input that is at fault. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** Input that a route can't take: 400 for a query, 422 for a body. Names each field at fault. */
export class InvalidInput extends Error {
  override readonly name = 'InvalidInput';
  readonly code = 'ERR_INVALID_INPUT';
  readonly expose = true;
  readonly status: 400 | 422;
  readonly errors: readonly FieldError[];

  constructor(status: 400 | 422, errors: readonly FieldError[]) {
    super(`these fields are wrong: ${errors.map(({ field }) => field).join(', ')}`);
    this.status = status;
    this.errors = errors;
  }
}

/** Nothing here by that name, or nothing that this organisation may know of. */
export class NotFound extends Error {
  override readonly name = 'NotFound';
  readonly code = 'ERR_NOT_FOUND';
  readonly expose = true;
  readonly status = 404;

  constructor(message = 'there is nothing here by that name') {
    super(message);
  }
}

/** A request target that is no URL. */
export class MalformedTarget extends Error {
  override readonly name = 'MalformedTarget';
  readonly code = 'ERR_MALFORMED_TARGET';
  readonly expose = true;
  readonly status = 400;

  constructor() {
    super('the request target is not a valid URL');
  }
}

/** The database can't be reached or can't work right now. It may be back in a moment. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly code = 'ERR_STORE_UNAVAILABLE';
  readonly expose = true;
  readonly status = 503;
  readonly headers = { 'Retry-After': '2' };
  readonly detail: string;

  constructor(cause: unknown) {
    super('contacts cannot be read or written right now', { cause });
    const { code, message } = cause as { code?: unknown; message?: unknown };
    this.detail = `${code ?? ''} ${message ?? ''}`.trim().slice(0, 300);
  }
}

/** A body that can't be read as JSON (400), or is larger than the route takes (413). */
export class UnreadableBody extends Error {
  override readonly name = 'UnreadableBody';
  readonly code = 'ERR_UNREADABLE_BODY';
  readonly expose = true;
  readonly status: 400 | 413;

  constructor(status: 400 | 413) {
    super(status === 413 ? 'the body is too large' : 'the body is not a valid JSON object');
    this.status = status;
  }
}

/** A body of another media type than the route takes (RFC 9110 §15.5.16). */
export class UnsupportedMediaType extends Error {
  override readonly name = 'UnsupportedMediaType';
  readonly code = 'ERR_UNSUPPORTED_MEDIA_TYPE';
  readonly expose = true;
  readonly status = 415;
  readonly headers = { Accept: 'application/json' };

  constructor() {
    super('send the body as application/json');
  }
}
