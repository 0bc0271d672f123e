import { channel } from 'node:diagnostics_channel';
import type { IssuerEvent } from '@koa-oauth/issuer';
import { AuthorizationRefused, errorCode, foreignText } from './errors.ts';

/**
 * What happens to sign-ins, tokens and sessions, and to the issuer's keys and metadata. No event
 * carries a token, a code or a secret, or anything that names a person. `code` is one of the errors'
 * codes, `detail` is for the log.
 */
export type ClientEvent =
  | { readonly type: 'signed_in' }
  /** Also when the user said no. */
  | ({ readonly type: 'sign_in_refused' } & Failure)
  /** An access token was asked for with a refresh token, and is stored. */
  | { readonly type: 'token_refreshed' }
  | ({
      readonly type: 'token_refresh_failed';
      /** Whether the next try may succeed without anyone's doing. */
      readonly transient: boolean;
    } & Failure)
  | {
      readonly type: 'session_ended';
      readonly reason: SessionEndReason;
      readonly sessions: number;
    }
  /** Something failed and stopped nobody, such as a revocation at logout. */
  | ({ readonly type: 'warning' } & Failure)
  | IssuerEvent;

/** `replaced`: by a new sign-in. `by_user`: from another session of the same user. */
export type SessionEndReason = 'logout' | 'replaced' | 'backchannel' | 'by_user';

interface Failure {
  /** Undefined for an error that is none of ours. */
  readonly code: string | undefined;
  readonly detail: string | undefined;
}

/**
 * Each `ClientEvent` is published here too (`node:diagnostics_channel`), but for the issuer's, which
 * has a channel of its own. A subscriber must not throw: Node makes an uncaught exception of it.
 */
export const CLIENT_CHANNEL = 'koa-oauth:client';

export type EmitClientEvent = (event: ClientEvent) => void;

/** Tells both audiences. An `onEvent` that throws, or whose promise is rejected, harms nobody. */
export function clientEvents(onEvent: ((event: ClientEvent) => void) | undefined): EmitClientEvent {
  const published = channel(CLIENT_CHANNEL);
  return function emit(event) {
    if (published.hasSubscribers && !('issuer' in event)) published.publish(event);
    try {
      const answer: unknown = onEvent?.(event);
      if (answer instanceof Promise) answer.catch(() => {});
    } catch {}
  };
}

/** An error as an event tells of it. */
export function failure(error: unknown): Failure {
  const { code, detail } = (error ?? {}) as { code?: unknown; detail?: unknown };
  // Its description may name a person.
  const told = error instanceof AuthorizationRefused ? errorCode(error.error) : detail;
  return {
    code: typeof code === 'string' ? foreignText(code, 60) : undefined,
    detail: typeof told === 'string' ? told : undefined,
  };
}
