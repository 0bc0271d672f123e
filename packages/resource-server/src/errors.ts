import { type ChallengeParameters, challengeOf } from './request/challenge.ts';

/** Reasons for refusing an access token: a label for logs and metrics, and the text for the caller. */
export const REASONS = {
  malformed: 'the access token is not a well-formed JWT',
  oversized: 'the access token is too large',
  algorithm: 'the access token is signed with an algorithm that is not accepted',
  critical: 'the access token has a critical header parameter that is not understood',
  type: 'the token is not an access token',
  key: 'the access token is signed with a key that its issuer does not publish',
  signature: 'the signature of the access token is wrong',
  issuer: 'the access token was issued by another issuer',
  audience: 'the access token is meant for another audience',
  expired: 'the access token has expired; get a new one',
  not_yet_valid: 'the access token is not valid yet',
  claim: 'the access token lacks a required claim, or has one of the wrong type',
  revoked: 'the access token has been revoked',
  sender_constrained: 'the access token is bound to a key and must not be sent as a bearer token',
} as const;

/** Reason for refusing an access token; one of a bounded list, fit for a metric's label. */
export type InvalidTokenReason = keyof typeof REASONS;

/**
 * Errors of this package: code → status, public text, label in events. What only a log may hold is
 * the error's `detail`.
 */
export const ERRORS = {
  ERR_MISSING_TOKEN: [401, 'this resource needs an access token', 'missing_token'],
  ERR_INVALID_REQUEST: [400, 'the request is malformed', 'invalid_request'],
  ERR_INVALID_TOKEN: [401, 'the access token is not valid', 'invalid_token'],
  ERR_INSUFFICIENT_SCOPE: [403, 'the access token lacks a scope', 'insufficient_scope'],
  ERR_CLAIM_MISMATCH: [403, 'a claim of the access token does not allow this', 'claim_mismatch'],
  ERR_REVOCATION_UNAVAILABLE: [
    503,
    'it is not known right now whether the access token was revoked',
    'unavailable',
  ],
  ERR_SIGNATURE_UNAVAILABLE: [
    503,
    'the signature of the access token cannot be checked right now',
    'unavailable',
  ],
} as const satisfies Record<`ERR_${string}`, ErrorRow>;

type ErrorRow = readonly [status: number, text: string, label: string];

/** Stable name of an error. Recognize errors by it: `instanceof` fails where two copies are installed. */
export type AuthErrorCode = keyof typeof ERRORS;

/** Members of an `AuthError` beyond its code. */
export interface AuthErrorOptions {
  /** Public text; default: that of the code. */
  message?: string | undefined;
  /** For the log; never a token. */
  detail?: string | undefined;
  cause?: unknown;
  /** Scopes that are needed, for the challenge (RFC 6750 §3). */
  scope?: string | undefined;
}

// Capturing a stack costs V8 more than most refusals do, and the stacks of all refusals are alike.
// Objects that `Error` did not make have none.
function Stackless(this: Error, message: string): void {
  this.message = message;
}
Stackless.prototype = Object.create(Error.prototype, {
  [Symbol.toStringTag]: { value: 'Error' },
  stack: { value: '', writable: true },
});

/**
 * A refused request (RFC 6750 §3), or one that cannot be judged right now (503). `message` is for the
 * caller, `detail` and `cause` are for the log; none of them holds a token.
 *
 * @example
 * throw new AuthError('ERR_CLAIM_MISMATCH', { message: 'only for staff', detail: 'no "staff"' });
 */
export class AuthError extends (Stackless as unknown as new (message: string) => Error) {
  override name = 'AuthError';
  readonly code: AuthErrorCode;
  readonly status: number;
  readonly expose = true;
  /** Parameters of `WWW-Authenticate`, which `auth` builds; undefined when the caller is not at fault. */
  readonly challenge: ChallengeParameters | undefined;
  readonly detail: string | undefined;
  headers: Readonly<Record<string, string>>;

  constructor(code: AuthErrorCode, { message, detail, cause, scope }: AuthErrorOptions = {}) {
    const [status, text, label]: ErrorRow = ERRORS[code];
    super(message ?? text);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.headers = status === 503 ? { 'Retry-After': '2' } : {};
    this.challenge = status === 503 ? undefined : challengeOf(label, this.message, scope);
    if (cause !== undefined) this.cause = cause;
  }
}

/** A refused token: 401 `invalid_token`. */
export class InvalidTokenError extends AuthError {
  override name = 'InvalidTokenError';
  /** One of a bounded list, fit for a metric's label. */
  readonly reason: InvalidTokenReason;

  constructor(reason: InvalidTokenReason, detail?: string) {
    super('ERR_INVALID_TOKEN', { message: REASONS[reason], detail });
    this.reason = reason;
  }
}

/** A good token that lacks a scope: 403 `insufficient_scope`; the challenge names all that are needed. */
export class InsufficientScopeError extends AuthError {
  override name = 'InsufficientScopeError';
  readonly scopes: readonly string[];

  constructor(scopes: readonly string[]) {
    const scope = scopes.join(' ');
    super('ERR_INSUFFICIENT_SCOPE', { message: `this needs the scope ${scope}`, scope });
    this.scopes = scopes;
  }
}

/**
 * Reports whether an error is an `AuthError`, of whichever copy of this package. The code alone does
 * not show it: other packages have an `ERR_INSUFFICIENT_SCOPE` too.
 */
export function isAuthError(error: unknown): error is AuthError {
  if (typeof error !== 'object' || error === null || !('challenge' in error)) return false;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}
