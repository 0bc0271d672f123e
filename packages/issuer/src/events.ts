import { channel } from 'node:diagnostics_channel';
import type { LeftOutKey } from './jwk-set.ts';

/** Change of an issuer's keys or metadata. No event carries a token or a key. */
export type IssuerEvent = IssuerChange & { readonly issuer: string };

/** Event before its issuer is added. */
export type IssuerChange =
  | { readonly type: 'keys_refreshed'; readonly keys: number }
  /** Keys in the issuer's set that cannot be used, and why. */
  | { readonly type: 'keys_left_out'; readonly leftOut: readonly LeftOutKey[] }
  | {
      readonly type: 'refresh_failed';
      readonly what: 'metadata' | 'keys';
      readonly detail: string;
    }
  /** An expired document is used because its source is down. Once per failed fetch. */
  | { readonly type: 'stale_used'; readonly what: 'metadata' | 'keys'; readonly ageMs: number };

/**
 * Name of the `node:diagnostics_channel` on which each `IssuerEvent` is published.
 *
 * @example
 * subscribe(ISSUER_CHANNEL, (event) => logger.info(event));
 */
export const ISSUER_CHANNEL = 'koa-oauth:issuer';

/**
 * Makes the function that publishes events: on a `node:diagnostics_channel`, and to a callback of the
 * application. A callback that throws, or whose promise is rejected, has no effect.
 *
 * A subscriber of the channel must not throw: Node turns that into an uncaught exception.
 *
 * @example
 * const emit = createEmitter<AuthEvent>('koa-oauth:auth', options.onEvent);
 * emit({ type: 'verified', clientId: 'web', cached: false });
 */
export function createEmitter<Event extends object>(
  channelName: string,
  onEvent?: (event: Event) => unknown,
): (event: Event) => void {
  const subscribers = channel(channelName);
  return function emit(event) {
    if (subscribers.hasSubscribers) subscribers.publish(event);
    if (onEvent === undefined) return;
    try {
      Promise.resolve(onEvent(event)).catch(() => {});
    } catch {}
  };
}
