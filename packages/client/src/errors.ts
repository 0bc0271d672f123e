/**
 * Errors of this package: code → status of the answer, and text for the user. The `detail` of an error is
 * for the log only.
 */
const ERRORS = {
  ERR_UNEXPECTED_CALLBACK: [400, 'this sign-in was not started in this browser, or took too long'],
  ERR_AUTHORIZATION_RESPONSE: [400, 'the answer to the sign-in is malformed'],
  ERR_ISSUER_MISMATCH: [400, 'this sign-in is of another issuer'],
  ERR_AUTHORIZATION_REFUSED: [403, 'the authorization server refused the sign-in'],
  ERR_AUTHORIZATION_UNAVAILABLE: [503, 'the authorization server cannot sign anyone in right now'],
  ERR_LOGIN_PARAMETERS: [400, 'these parameters cannot be part of a sign-in'],
  ERR_ISSUER_UNSUITABLE: [502, 'the authorization server lacks what the sign-in needs'],
  ERR_DPOP_UNSUPPORTED: [502, 'the authorization server does not bind tokens to a key of this app'],
  ERR_PUSHED_REQUEST: [502, 'the authorization server did not accept the request to sign in'],
  ERR_TOKEN_ENDPOINT_UNAVAILABLE: [503, 'the authorization server cannot be reached right now'],
  ERR_CODE_REFUSED: [400, 'this sign-in took too long, or was used before'],
  ERR_TOKEN_REQUEST_REFUSED: [502, 'the authorization server refused the token request'],
  ERR_TOKEN_RESPONSE: [502, 'the authorization server sent tokens that cannot be used'],
  ERR_ID_TOKEN: [502, 'the authorization server sent an ID token that is not valid'],
  ERR_USERINFO: [502, 'the authorization server sent no details of the user that can be used'],
  ERR_LOGOUT_TOKEN: [400, 'the logout token is not valid'],
  ERR_LOGIN_REQUIRED: [401, 'sign in to continue'],
  ERR_LOGIN_LOOP: [500, 'the sign-in succeeds, but has no effect here'],
  ERR_STEP_UP_REQUIRED: [401, 'sign in again to continue'],
  ERR_INSUFFICIENT_CLAIMS: [403, 'this account may not do this'],
  ERR_CROSS_SITE: [403, 'this request came from another site'],
  ERR_SESSION_STORE: [503, 'the session cannot be read or saved right now'],
  ERR_API_URL: [500, 'the URL lies outside the API'],
  ERR_API_UNAVAILABLE: [503, 'the API cannot be reached right now'],
  ERR_API_TOKEN_REFUSED: [401, 'the API did not accept the sign-in'],
  ERR_INSUFFICIENT_SCOPE: [403, 'the API needs a scope that was not granted'],
  ERR_API_REFUSED: [502, 'the API refused the request'],
} as const satisfies Record<`ERR_${string}`, readonly [status: number, message: string]>;

/** Stable name of an error. docs/troubleshooting.md lists what to do about each. */
export type OidcErrorCode = keyof typeof ERRORS;

export interface OidcErrorOptions {
  /** For the log: never part of an answer, and never a token, code or secret. */
  detail?: string | undefined;
  /** The detail without what can name a person, for events. Default: `detail` */
  summary?: string | undefined;
  cause?: unknown;
  headers?: Record<string, string | string[]> | undefined;
  /** Another status than the code's own. */
  status?: number | undefined;
  /** Seconds to wait before the next try, for `Retry-After`. Default for a 503: 2 */
  retryAfter?: number | undefined;
}

/**
 * Error of this package for a request. One middleware before `auth()` can answer all of them: `status`,
 * `headers` and `message` are for the answer, `code`, `detail` and `cause` for the log. The message ends
 * with the code; docs/troubleshooting.md lists its causes.
 *
 * @example
 * app.use(async (ctx, next) => {
 *   try {
 *     await next();
 *   } catch (error) {
 *     const { status = 500, headers = {}, message, expose } = error as OidcError;
 *     ctx.status = status;
 *     ctx.set(headers as Record<string, string>);
 *     ctx.body = expose ? message : 'internal error';
 *   }
 * });
 */
export class OidcError extends Error {
  override readonly name: string = 'OidcError';
  readonly code: OidcErrorCode;
  readonly status: number;
  readonly expose = true;
  readonly detail: string | undefined;
  /** The detail that events have. */
  readonly summary: string | undefined;
  /** Seconds to wait before the next try, if they are known. */
  readonly retryAfter: number | undefined;
  headers: Record<string, string | string[]>;

  constructor(code: OidcErrorCode, options: OidcErrorOptions = {}) {
    const [ownStatus, message] = ERRORS[code];
    const { detail, cause, headers, status = ownStatus, retryAfter } = options;
    super(`${message} (${code})`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.summary = options.summary ?? detail;
    this.retryAfter = retryAfter;
    const seconds = retryAfter ?? (status === 503 ? 2 : undefined);
    this.headers = { ...(seconds && { 'Retry-After': String(seconds) }), ...headers };
  }

  /** Returns the members that an answer to a script may contain. */
  toJSON(): Record<string, unknown> {
    const { code, status, message } = this;
    return { code, status, message };
  }
}

/**
 * The authorization server answered the sign-in with an error (RFC 6749 §4.1.2.1):
 * `ERR_AUTHORIZATION_REFUSED` (403), or `ERR_AUTHORIZATION_UNAVAILABLE` (503) when it could not.
 *
 * The server wrote `error` and `errorDescription`. They are short and have no control characters, but must
 * be escaped where they are shown.
 *
 * @example
 * if (hasCode(error, 'ERR_AUTHORIZATION_REFUSED')) {
 *   ctx.body = `Not signed in: ${escape((error as AuthorizationRefused).error)}`;
 * }
 */
export class AuthorizationRefused extends OidcError {
  override readonly name = 'AuthorizationRefused';
  readonly error: string;
  readonly errorDescription: string | undefined;

  constructor(error: string, errorDescription?: string | undefined) {
    const unavailable = error === 'temporarily_unavailable' || error === 'server_error';
    super(unavailable ? 'ERR_AUTHORIZATION_UNAVAILABLE' : 'ERR_AUTHORIZATION_REFUSED', {
      detail: foreignText(errorDescription ? `${error}: ${errorDescription}` : error),
      summary: errorCode(error) ?? 'an error that is none of OAuth',
    });
    this.error = foreignText(error, 60);
    this.errorDescription = errorDescription && foreignText(errorDescription);
  }
}

/**
 * Error for a scope that was not granted (`ERR_INSUFFICIENT_SCOPE`, 403). `requiresAuth()` redirects pages
 * to a sign-in that requests it. Elsewhere the app can show a button.
 *
 * @example
 * if (hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) {
 *   const { scope } = error as InsufficientScope;
 *   ctx.body = `<form method="post" action="/consent?scope=${encodeURIComponent(scope)}">…`;
 * }
 */
export class InsufficientScope extends OidcError {
  override readonly name = 'InsufficientScope';
  /** The scopes that are missing, with a space between them. */
  readonly scope: string;

  constructor(scope: string, cause?: unknown) {
    super('ERR_INSUFFICIENT_SCOPE', { detail: `not granted: ${scope}`, cause });
    this.scope = scope;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), scope: this.scope };
  }
}

/** Shortens a text that another party wrote, and removes its control characters. */
export function foreignText(text: string, length = 300): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return clean.length > length ? `${clean.slice(0, length - 1)}…` : clean;
}

/** Words that look like a part of a token or secret. */
const LONG_WORD = /[\w-]{40,}/g;

/** Shortens an error description, and removes long words: it may repeat a part of the request. */
export function foreignDescription(text: string): string {
  return foreignText(text.replace(LONG_WORD, '…'), 200);
}

/**
 * Returns the error code of an OAuth answer (RFC 6749 §5.2, RFC 6750 §3.1) for the log; undefined for
 * anything that does not look like one, since it might repeat what was sent.
 */
export function errorCode(value: unknown): string | undefined {
  return typeof value === 'string' && /^[a-z_]{1,40}$/.test(value) ? value : undefined;
}

/** Returns the code of a failed exchange for the log. Its message may contain a part of the request. */
export function failureCode(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return foreignText(String(code ?? name), 60);
}

/**
 * Reports whether a value is an error with this code. Errors are recognized by code, not by class: two
 * copies of this package in one tree have two classes of the same name.
 *
 * @example
 * try {
 *   await ctx.oidc.api.get('orders');
 * } catch (error) {
 *   if (!hasCode(error, 'ERR_API_UNAVAILABLE')) throw error;
 *   ctx.body = 'The orders cannot be shown right now.';
 * }
 */
export function hasCode(error: unknown, code: OidcErrorCode): error is OidcError {
  return codeOf(error) === code;
}

/** Reports whether a value is an error of this package, in any copy of it. */
export function isOidcError(error: unknown): error is OidcError {
  const code = codeOf(error);
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** Reports whether the status of a code is below 500: strangers can cause any number of such errors. */
export function isCallersFault(code: string | undefined): boolean {
  return (
    code !== undefined && Object.hasOwn(ERRORS, code) && ERRORS[code as OidcErrorCode][0] < 500
  );
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null
    ? (error as { code?: unknown }).code
    : undefined;
}
