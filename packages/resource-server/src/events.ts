import type { EventLine, IssuerErrorCode } from '@koa-oauth/issuer';
import {
  type AuthErrorCode,
  ERRORS,
  type InvalidProofError,
  type InvalidProofReason,
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
      /** True when the token was found in the cache of verified tokens. */
      readonly cached: boolean;
      /** Milliseconds of the verification. Only measured while the channel has a subscriber. */
      readonly durationMs?: number | undefined;
    }
  | {
      readonly type: 'refused';
      /** Stable name of the error. */
      readonly code: AuthErrorCode | IssuerErrorCode;
      readonly reason: RefusalReason;
      /** Only for the log. Its quotes from the token are short. */
      readonly detail: string | undefined;
      /** Milliseconds of the verification that refused it, measured as for `verified`. */
      readonly durationMs?: number | undefined;
    };

/** Reason for refusing a request, from a short list: it can be the label of a metric. */
export type RefusalReason =
  | InvalidTokenReason
  | InvalidProofReason
  | Exclude<(typeof ERRORS)[AuthErrorCode][2], 'invalid_token' | 'invalid_dpop_proof'>;

/**
 * Name of the `node:diagnostics_channel` on which each `AuthEvent` is published. A subscriber must not
 * throw: Node turns that into an uncaught exception.
 *
 * @example
 * subscribe(AUTH_CHANNEL, (event) => logger.info(event));
 */
export const AUTH_CHANNEL = 'koa-oauth:resource-server';

/** Returns the label of an error in events, or undefined for errors of other packages. */
export function refusalReasonOf(error: unknown): RefusalReason | undefined {
  if (isAuthError(error)) {
    const label = ERRORS[error.code][2];
    return label === 'invalid_token' || label === 'invalid_dpop_proof'
      ? (error as InvalidTokenError | InvalidProofError).reason
      : label;
  }
  const { code } = (error ?? {}) as { code?: unknown };
  const isIssuerError = code === 'ERR_ISSUER_UNAVAILABLE' || code === 'ERR_INVALID_METADATA';
  return isIssuerError ? 'unavailable' : undefined;
}

/** Returns the line of a refused request, for `createPrinter`. */
export function printedLine(event: AuthEvent): EventLine | undefined {
  if (event.type !== 'refused') return undefined;
  return [`refused a request, ${event.code}, reason ${event.reason}`, event.detail];
}
