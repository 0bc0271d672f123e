import type { IssuerEvent } from '@koa-oauth/issuer';
import { foreignText } from './errors.ts';

/**
 * Event that `onEvent` receives: a change of sign-ins, tokens, sessions, or the issuer's keys and metadata.
 * No event contains a token, a code, a secret or the name of a person. `code` is that of an error, `detail`
 * is for the log.
 *
 * @example
 * auth({ ...options, onEvent: ({ type, ...rest }: ClientEvent) => logger.info(rest, type) });
 */
export type ClientEvent =
  | ({ readonly type: 'signed_in' } & Timed)
  /** A sign-in that failed. The user may have refused it. */
  | ({ readonly type: 'sign_in_refused' } & Timed & Failure)
  /** A new access token is stored. */
  | ({ readonly type: 'token_refreshed' } & Timed)
  | ({
      readonly type: 'token_refresh_failed';
      /** True when the next request may succeed without a change on either side. */
      readonly transient: boolean;
    } & Timed &
      Failure)
  | {
      readonly type: 'session_ended';
      readonly reason: SessionEndReason;
      readonly sessions: number;
    }
  /** A failure that stopped no request, such as a revocation at logout. */
  | ({ readonly type: 'warning' } & Failure)
  /** An error that `auth()` passed on, and that no other event reports. */
  | ({ readonly type: 'request_failed' } & Failure)
  | IssuerEvent;

/** Reason for the end of a session. `replaced`: a new sign-in. `by_user`: from another browser. */
export type SessionEndReason = 'logout' | 'replaced' | 'backchannel' | 'by_user';

interface Timed {
  /** Milliseconds of the work here: of the callback for a sign-in, or of the request that began it. */
  readonly durationMs: number;
}

interface Failure {
  /** Undefined for an error of another package without a code. */
  readonly code: string | undefined;
  readonly detail: string | undefined;
}

/**
 * Name of the `node:diagnostics_channel` on which each `ClientEvent` is published, except those of the
 * issuer: their channel is `koa-oauth:issuer`.
 *
 * A subscriber must not throw: Node turns that into an uncaught exception.
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel';
 *
 * subscribe(CLIENT_CHANNEL, (event) => metrics.count((event as ClientEvent).type));
 */
export const CLIENT_CHANNEL = 'koa-oauth:client';

/** Event of a failure, before its error is described. */
export type FailureEvent = WithoutFailure<ClientEvent>;

type WithoutFailure<Event> = Event extends Failure ? Omit<Event, keyof Failure> : never;

/** Describes an error in an event. */
export function describeFailure(error: unknown): Failure {
  const { code, detail, summary = detail } = (error ?? {}) as Record<string, unknown>;
  return {
    code: typeof code === 'string' ? foreignText(code, 60) : undefined,
    detail: typeof summary === 'string' ? summary : undefined,
  };
}
