import { channel } from 'node:diagnostics_channel';
import type { LeftOutKey } from './jwk-set.ts';

/** What happens to an issuer's keys and metadata. No event carries a token or a key. */
export type IssuerEvent = { readonly issuer: string } & (
  | { readonly type: 'keys_refreshed'; readonly keys: number }
  /** Keys in the issuer's set that can't be used, and why. */
  | { readonly type: 'keys_left_out'; readonly leftOut: readonly LeftOutKey[] }
  | {
      readonly type: 'refresh_failed';
      readonly what: 'metadata' | 'keys';
      readonly detail: string;
    }
  /** What is held has expired and is used on, since its source is down. Told once per failed try. */
  | { readonly type: 'stale_used'; readonly what: 'metadata' | 'keys'; readonly ageMs: number }
);

/**
 * Each `IssuerEvent` is published here too (`node:diagnostics_channel`). A subscriber must not
 * throw: Node makes an uncaught exception of it.
 */
export const ISSUER_CHANNEL = 'koa-oauth:issuer';

type EventWithoutIssuer<E> = E extends unknown ? Omit<E, 'issuer'> : never;

export type EmitIssuerEvent = (event: EventWithoutIssuer<IssuerEvent>) => void;

/**
 * Makes the function that tells both audiences. An `onEvent` that throws, or whose promise is
 * rejected, harms nobody.
 */
export function issuerEvents(
  issuer: string,
  onEvent: ((event: IssuerEvent) => void) | undefined,
): EmitIssuerEvent {
  const published = channel(ISSUER_CHANNEL);
  return function emit(partial) {
    const event = { ...partial, issuer } as IssuerEvent;
    published.publish(event);
    try {
      const answer: unknown = onEvent?.(event);
      if (answer instanceof Promise) answer.catch(() => {});
    } catch {}
  };
}
