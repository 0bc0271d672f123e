/** Options that can't work; thrown when something is made, never while it serves. */
export class InvalidOptions extends TypeError {
  override readonly name = 'InvalidOptions';
  readonly code = 'ERR_INVALID_OPTIONS';
}

/**
 * The issuer's metadata or keys can't be had, and none are held. It is our side's fault, so an
 * API answers 503, never 401.
 *
 * `message` may be shown to a caller; `detail` and `cause` are for the log only.
 */
export class IssuerUnavailable extends Error {
  override readonly name: string = 'IssuerUnavailable';
  readonly code: string = 'ERR_ISSUER_UNAVAILABLE';
  readonly status = 503;
  readonly expose = true;
  readonly headers: Readonly<Record<string, string>>;
  readonly detail: string;

  /** @param retryAfter whole seconds after which another try makes sense (RFC 9110 §10.2.3) */
  constructor(
    detail: string,
    { cause, retryAfter = 2 }: { cause?: unknown; retryAfter?: number } = {},
  ) {
    super('the authorization server cannot be reached right now', { cause });
    this.detail = detail;
    this.headers = { 'Retry-After': String(retryAfter) };
  }
}

/** The issuer answered, but what it says of itself can't be trusted (RFC 8414 §3.3). */
export class InvalidMetadata extends IssuerUnavailable {
  override readonly name = 'InvalidMetadata';
  override readonly code = 'ERR_INVALID_METADATA';
}

/** No key of the issuer fits a token's header. The token is at fault. */
export class SigningKeyNotFound extends Error {
  override readonly name = 'SigningKeyNotFound';
  readonly code = 'ERR_SIGNING_KEY_NOT_FOUND';
}
