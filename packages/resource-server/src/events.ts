import { channel } from 'node:diagnostics_channel';
import { AuthError, InvalidTokenError, type InvalidTokenReason } from './errors.ts';

/** What became of a request. No event carries a token, or anything that names a person. */
export type AuthEvent =
  | {
      readonly type: 'verified';
      /** The client the token was issued to: `client_id` (RFC 9068 §2.2), or Auth0's `azp`. */
      readonly clientId: string | undefined;
      /** Whether it was verified before, and remembered. */
      readonly cached: boolean;
    }
  | {
      readonly type: 'refused';
      /** One of a bounded list, fit for a metric's label. */
      readonly reason: RefusalReason;
      /** For the log; what is quoted from the token in it is bounded. */
      readonly detail: string | undefined;
    };

/** Why a request was refused: a bounded list, fit for a metric's label. */
export type RefusalReason =
  | InvalidTokenReason
  | 'missing_token'
  | 'invalid_request'
  | 'insufficient_scope'
  | 'claim_mismatch'
  | 'unavailable';

/**
 * Each `AuthEvent` is published here too (`node:diagnostics_channel`). A subscriber must not throw:
 * Node makes an uncaught exception of it.
 */
export const AUTH_CHANNEL = 'koa-oauth:resource-server';

const published = channel(AUTH_CHANNEL);

/** Tells both audiences. An `onEvent` that throws, or whose promise is rejected, harms nobody. */
export function emit(event: AuthEvent, onEvent: ((event: AuthEvent) => void) | undefined): void {
  if (published.hasSubscribers) published.publish(event);
  try {
    const answer: unknown = onEvent?.(event);
    if (answer instanceof Promise) answer.catch(() => {});
  } catch {}
}

/** @returns undefined for an error that isn't a refusal of ours */
export function refusalOf(error: unknown): AuthEvent | undefined {
  const { code, detail } = (error ?? {}) as { code?: unknown; detail?: unknown };
  const reason =
    error instanceof InvalidTokenError
      ? error.reason
      : error instanceof AuthError
        ? REASON_OF_CODE.get(error.code)
        : UNAVAILABLE.has(code)
          ? 'unavailable'
          : undefined;
  if (reason === undefined) return undefined;
  return { type: 'refused', reason, detail: typeof detail === 'string' ? detail : undefined };
}

const REASON_OF_CODE: ReadonlyMap<string, RefusalReason> = new Map([
  ['ERR_MISSING_TOKEN', 'missing_token'],
  ['ERR_INVALID_REQUEST', 'invalid_request'],
  ['ERR_INSUFFICIENT_SCOPE', 'insufficient_scope'],
  ['ERR_CLAIM_MISMATCH', 'claim_mismatch'],
]);

const UNAVAILABLE: ReadonlySet<unknown> = new Set([
  'ERR_ISSUER_UNAVAILABLE',
  'ERR_INVALID_METADATA',
  'ERR_REVOCATION_UNAVAILABLE',
]);
