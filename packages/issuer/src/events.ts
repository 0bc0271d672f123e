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

type WithoutIssuer<Event> = Event extends unknown ? Omit<Event, 'issuer'> : never;

export type EventWithoutIssuer = WithoutIssuer<IssuerEvent>;
