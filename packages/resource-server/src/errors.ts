import { isNoAnswer, StacklessError } from '@koa-oauth/issuer';
import type { ChallengeParameters } from './request/challenge.ts';

/** Reasons for refusing an access token: label for logs and metrics → public text. */
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
  inactive: 'the access token has expired, was revoked, or is not known to its issuer',
  sender_constrained: 'the access token is bound to a key and must not be sent as a bearer token',
  unbound: 'the access token is not bound to a key by DPoP',
  key_binding: 'the access token is bound to another key than that of the DPoP proof',
} as const;

/** Reasons for refusing a DPoP proof (RFC 9449 §4.3): label for logs and metrics → public text. */
export const PROOF_REASONS = {
  proof_missing: 'the access token needs a DPoP proof, in one DPoP header',
  proof_malformed: 'the DPoP proof is not a well-formed JWT of at most 8 kB',
  proof_type: 'the "typ" of the DPoP proof is not dpop+jwt',
  proof_algorithm: 'the DPoP proof is signed with an algorithm that is not accepted',
  proof_key: 'the "jwk" of the DPoP proof is not a public key for its algorithm, or is weak',
  proof_signature: 'the signature of the DPoP proof is wrong',
  proof_claim: 'the DPoP proof lacks a required claim, or has one of the wrong type',
  proof_method: 'the "htm" of the DPoP proof is not the method of the request',
  proof_address: 'the "htu" of the DPoP proof is not the address of the request',
  proof_token: 'the "ath" of the DPoP proof is not the hash of the access token',
  proof_time: 'the DPoP proof is too old, or its time lies ahead; make a new one',
  proof_used: 'the DPoP proof was used before; make a new one for each request',
} as const;

/** Reason for refusing a DPoP proof, from a short list: it can be the label of a metric. */
export type InvalidProofReason = keyof typeof PROOF_REASONS;

/** Reason for refusing an access token, from a short list: it can be the label of a metric. */
export type InvalidTokenReason = keyof typeof REASONS;

/** Errors of this package: code → status, public text, label in events. */
export const ERRORS = {
  ERR_MISSING_TOKEN: [401, 'this resource needs an access token', 'missing_token'],
  ERR_INVALID_REQUEST: [400, 'the request is malformed', 'invalid_request'],
  ERR_LOGOUT_TOKEN: [400, 'the logout token is not valid', 'invalid_request'],
  ERR_INVALID_TOKEN: [401, 'the access token is not valid', 'invalid_token'],
  ERR_INVALID_DPOP_PROOF: [401, 'the DPoP proof is not valid', 'invalid_dpop_proof'],
  ERR_USE_DPOP_NONCE: [
    401,
    'use the nonce of the header DPoP-Nonce in the proof',
    'use_dpop_nonce',
  ],
  ERR_INSUFFICIENT_USER_AUTHENTICATION: [
    401,
    'this needs a stronger or more recent sign-in',
    'insufficient_user_authentication',
  ],
  ERR_INSUFFICIENT_SCOPE: [403, 'the access token lacks a scope', 'insufficient_scope'],
  ERR_CLAIM_MISMATCH: [403, 'a claim of the access token does not allow this', 'claim_mismatch'],
  ERR_ISSUERS_UNAVAILABLE: [
    503,
    'it is not known right now whether the issuer of the access token is trusted',
    'unavailable',
  ],
  ERR_REVOCATION_UNAVAILABLE: [
    503,
    'it is not known right now whether the access token was revoked',
    'unavailable',
  ],
  ERR_INTROSPECTION_UNAVAILABLE: [
    503,
    'it is not known right now whether the access token is valid',
    'unavailable',
  ],
  ERR_SIGNATURE_UNAVAILABLE: [
    503,
    'the signature of the access token cannot be checked right now',
    'unavailable',
  ],
  ERR_DPOP_STORE_UNAVAILABLE: [
    503,
    'it is not known right now whether the DPoP proof was used before',
    'unavailable',
  ],
  ERR_CLAIMS_UNAVAILABLE: [
    503,
    'the claims of the access token cannot be checked right now',
    'unavailable',
  ],
} as const satisfies Record<`ERR_${string}`, ErrorRow>;

type ErrorRow = readonly [status: number, text: string, label: string];

/** Stable name of an error. Recognize errors by it: `instanceof` fails where two copies are installed. */
export type AuthErrorCode = keyof typeof ERRORS;

/** Members of an `AuthError` beyond its code. */
export interface AuthErrorOptions {
  /** Public text. Default: the text of the code. */
  message?: string | undefined;
  /** Only for the log. It must not contain a token. */
  detail?: string | undefined;
  cause?: unknown;
  /** Required scopes, for the challenge (RFC 6750 §3). */
  scope?: string | undefined;
  /** Accepted `acr` values, separated by spaces, for the challenge (RFC 9470 §3). */
  acrValues?: string | undefined;
  /** Maximum seconds since the sign-in, for the challenge (RFC 9470 §3). */
  maxAge?: number | undefined;
}

/**
 * Error for a rejected request (RFC 6750 §3), or one that cannot be checked now (503). `message` is for
 * the caller, `detail` and `cause` are for the log. None of them contains a token.
 *
 * @example
 * throw new AuthError('ERR_CLAIM_MISMATCH', { message: 'only for staff', detail: 'no "staff"' });
 */
export class AuthError extends StacklessError {
  override name = 'AuthError';
  readonly code: AuthErrorCode;
  readonly status: number;
  readonly expose = true;
  /** Parameters of `WWW-Authenticate`, which `auth` builds. Undefined for the status 503. */
  readonly challenge: ChallengeParameters | undefined;
  readonly detail: string | undefined;
  headers: Readonly<Record<string, string>>;

  constructor(code: AuthErrorCode, options: AuthErrorOptions = {}) {
    const { message, detail, cause } = options;
    const [status, text, label]: ErrorRow = ERRORS[code];
    super(message ?? text);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.headers = status === 503 ? { 'Retry-After': '2' } : {};
    this.challenge = status === 503 ? undefined : buildParameters(label, this.message, options);
    if (cause !== undefined) this.cause = cause;
  }
}

// Only these labels are error codes of RFC 6750 §3.1, RFC 9449 §7.1 and RFC 9470 §3. A challenge for
// missing credentials has none, but can name the scope (RFC 6750 §3).
const CHALLENGE_CODES: readonly unknown[] = [
  ...['invalid_request', 'invalid_token', 'insufficient_scope'],
  ...['invalid_dpop_proof', 'use_dpop_nonce', 'insufficient_user_authentication'],
];

function buildParameters(
  label: string,
  message: string,
  { scope, acrValues, maxAge }: AuthErrorOptions,
): ChallengeParameters {
  const isCode = CHALLENGE_CODES.includes(label);
  return {
    ...(isCode && {
      error: label as NonNullable<ChallengeParameters['error']>,
      error_description: message,
    }),
    ...(scope !== undefined && { scope }),
    ...(acrValues !== undefined && { acr_values: acrValues }),
    ...(maxAge !== undefined && { max_age: String(maxAge) }),
  };
}

/**
 * Error for a rejected token: 401 `invalid_token`.
 *
 * @example
 * if (error.code === 'ERR_INVALID_TOKEN') rejections.inc({ reason: error.reason });
 */
export class InvalidTokenError extends AuthError {
  override name = 'InvalidTokenError';
  readonly reason: InvalidTokenReason;

  constructor(reason: InvalidTokenReason, detail?: string) {
    super('ERR_INVALID_TOKEN', { message: REASONS[reason], detail });
    this.reason = reason;
  }
}

/**
 * Error for a rejected DPoP proof: 401 `invalid_dpop_proof`.
 *
 * @example
 * if (error.code === 'ERR_INVALID_DPOP_PROOF') rejections.inc({ reason: error.reason });
 */
export class InvalidProofError extends AuthError {
  override name = 'InvalidProofError';
  readonly reason: InvalidProofReason;

  constructor(reason: InvalidProofReason, detail?: string) {
    super('ERR_INVALID_DPOP_PROOF', { message: PROOF_REASONS[reason], detail });
    this.reason = reason;
  }
}

/**
 * Error for a valid token that lacks a scope: 403 `insufficient_scope`. The challenge names all required
 * scopes.
 *
 * @example
 * if (!mayWrite(ctx)) throw new InsufficientScopeError(['write:orders']);
 */
export class InsufficientScopeError extends AuthError {
  override name = 'InsufficientScopeError';
  readonly scopes: readonly string[];

  constructor(scopes: readonly string[]) {
    const scope = scopes.join(' ');
    super('ERR_INSUFFICIENT_SCOPE', { message: `this needs the scope ${scope}`, scope });
    this.scopes = scopes;
  }
}

/** Makes the error for a function of the application that failed, or did not answer in time. */
export function unavailable(code: AuthErrorCode, name: string, cause: unknown): AuthError {
  const detail = `${name} ${isNoAnswer(cause) ? 'did not answer within 2 seconds' : 'failed'}`;
  return new AuthError(code, { detail, cause });
}

/**
 * Reports whether an error is an `AuthError` of any copy of this package. The code is not enough: other
 * packages have an `ERR_INSUFFICIENT_SCOPE` too.
 */
export function isAuthError(error: unknown): error is AuthError {
  if (typeof error !== 'object' || error === null || !('challenge' in error)) return false;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}
