import {
  type AuthErrorCode,
  ERRORS,
  type InvalidTokenError,
  type InvalidTokenReason,
  isAuthError,
} from './errors.ts';

/** Outcome of a request. No event carries a token, or anything that names a person. */
export type AuthEvent =
  | {
      readonly type: 'verified';
      /** The client the token was issued to: `client_id` (RFC 9068 §2.2), or Auth0's `azp`. */
      readonly clientId: string | undefined;
      /** True when it was verified before and is remembered. */
      readonly cached: boolean;
    }
  | {
      readonly type: 'refused';
      /** One of a bounded list, fit for a metric's label. */
      readonly reason: RefusalReason;
      /** For the log; what is quoted from the token in it is bounded. */
      readonly detail: string | undefined;
    };

/** Reason for refusing a request: one of a bounded list, fit for a metric's label. */
export type RefusalReason =
  | InvalidTokenReason
  | Exclude<(typeof ERRORS)[AuthErrorCode][2], 'invalid_token'>;

/**
 * Name of the `node:diagnostics_channel` on which each `AuthEvent` is published. A subscriber must not
 * throw: Node turns that into an uncaught exception.
 */
export const AUTH_CHANNEL = 'koa-oauth:resource-server';

/** Returns what an event calls an error; undefined when it is none of this package or the issuer. */
export function refusalReasonOf(error: unknown): RefusalReason | undefined {
  if (isAuthError(error)) {
    const label = ERRORS[error.code][2];
    return label === 'invalid_token' ? (error as InvalidTokenError).reason : label;
  }
  const { code } = (error ?? {}) as { code?: unknown };
  const isIssuers = code === 'ERR_ISSUER_UNAVAILABLE' || code === 'ERR_INVALID_METADATA';
  return isIssuers ? 'unavailable' : undefined;
}
