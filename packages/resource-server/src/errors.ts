import type { ChallengeParameters } from './request/challenge.ts';

/** Why an access token was refused: a label for logs and metrics, and the text the caller gets. */
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

/** Why an access token was refused: the keys of `REASONS`. */
export type InvalidTokenReason = keyof typeof REASONS;

/**
 * A refused request (RFC 6750 §3). `message` is for the caller, `detail` for the log alone;
 * neither holds a token. `challenge` is what `WWW-Authenticate` will say; `auth` builds it.
 */
export abstract class AuthError extends Error {
  abstract readonly code: string;
  abstract readonly status: number;
  readonly expose = true;
  headers: Readonly<Record<string, string>> = {};
  readonly challenge: ChallengeParameters;
  readonly detail: string | undefined;

  constructor(message: string, challenge: ChallengeParameters, detail?: string) {
    // Refusals are many and their stacks alike: writing them down costs more than judging a token.
    // Where the limit can't be set (`--frozen-intrinsics`), they are written down after all.
    const { stackTraceLimit } = Error;
    Reflect.set(Error, 'stackTraceLimit', 0);
    super(message);
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
    this.name = new.target.name;
    this.challenge = challenge;
    this.detail = detail;
  }
}

/** No credentials came: 401 without an error code (RFC 6750 §3.1, last paragraph). */
export class UnauthorizedError extends AuthError {
  readonly code = 'ERR_MISSING_TOKEN';
  readonly status = 401;

  constructor(message = 'this resource needs an access token') {
    super(message, {});
  }
}

/** The request is malformed, or brings a token in a way that is not accepted: 400 `invalid_request`. */
export class InvalidRequestError extends AuthError {
  readonly code = 'ERR_INVALID_REQUEST';
  readonly status = 400;

  constructor(message: string) {
    super(message, { error: 'invalid_request', error_description: message });
  }
}

/** The token was refused: 401 `invalid_token`. `reason` is one of a bounded list. */
export class InvalidTokenError extends AuthError {
  readonly code = 'ERR_INVALID_TOKEN';
  readonly status = 401;
  readonly reason: InvalidTokenReason;

  constructor(reason: InvalidTokenReason, detail?: string) {
    super(REASONS[reason], { error: 'invalid_token', error_description: REASONS[reason] }, detail);
    this.reason = reason;
  }
}

/** The token is good but lacks a scope: 403 `insufficient_scope`, naming what is needed. */
export class InsufficientScopeError extends AuthError {
  readonly code = 'ERR_INSUFFICIENT_SCOPE';
  readonly status = 403;
  readonly scopes: readonly string[];

  constructor(scopes: readonly string[]) {
    const scope = scopes.join(' ');
    const message = `this needs the scope ${scope}`;
    super(message, { error: 'insufficient_scope', error_description: message, scope });
    this.scopes = scopes;
  }
}

/** The token is good but a custom claim does not fit: 403, and nothing that blames the token. */
export class ClaimMismatchError extends AuthError {
  readonly code = 'ERR_CLAIM_MISMATCH';
  readonly status = 403;

  constructor(message = 'a claim of the access token does not allow this', detail?: string) {
    super(message, {}, detail);
  }
}

/** Whether a token was revoked can't be told: our side's fault, so 503 and no challenge. */
export class RevocationUnavailable extends Error {
  override readonly name = 'RevocationUnavailable';
  readonly code = 'ERR_REVOCATION_UNAVAILABLE';
  readonly status = 503;
  readonly expose = true;
  readonly headers = { 'Retry-After': '2' };
  readonly detail: string;

  constructor(detail: string, cause?: unknown) {
    super('whether the access token is still good cannot be told right now', { cause });
    this.detail = detail;
  }
}
