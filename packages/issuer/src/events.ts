import { channel } from 'node:diagnostics_channel';
import type { LeftOutKey } from './jwk-set.ts';

/** Change of an issuer's keys or metadata. No event carries a token or a key. */
export type IssuerEvent = { readonly issuer: string } & (
  | { readonly type: 'keys_refreshed'; readonly keys: number }
  /** Keys in the issuer's set that cannot be used, and why. */
  | { readonly type: 'keys_left_out'; readonly leftOut: readonly LeftOutKey[] }
  | {
      readonly type: 'refresh_failed';
      readonly what: 'metadata' | 'keys';
      readonly detail: string;
    }
  /** An expired document is still used, since its source is down. Once per failed fetch. */
  | { readonly type: 'stale_used'; readonly what: 'metadata' | 'keys'; readonly ageMs: number }
);

/**
 * Name of the `node:diagnostics_channel` on which each `IssuerEvent` is published. A subscriber must
 * not throw: Node turns that into an uncaught exception.
 */
export const ISSUER_CHANNEL = 'koa-oauth:issuer';

type WithoutIssuer<Event> = Event extends unknown ? Omit<Event, 'issuer'> : never;

/** Event of one issuer, which its emitter adds. */
export type EventWithoutIssuer = WithoutIssuer<IssuerEvent>;

/**
 * Makes the function that publishes events: on a `node:diagnostics_channel`, and to a callback of the
 * application. A callback that throws, or whose promise is rejected, has no effect.
 *
 * A subscriber of the channel must not throw: Node turns that into an uncaught exception.
 *
 * @param channelName name of the channel, such as `koa-oauth:auth`
 * @param onEvent the application's callback
 */
export function createEmitter<Event extends object>(
  channelName: string,
  onEvent?: (event: Event) => unknown,
): (event: Event) => void {
  const published = channel(channelName);
  return function emit(event) {
    if (published.hasSubscribers) published.publish(event);
    if (onEvent === undefined) return;
    try {
      Promise.resolve(onEvent(event)).catch(() => {});
    } catch {}
  };
}
