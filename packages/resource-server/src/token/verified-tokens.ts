import type { SigningKey } from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';

/** How many verified tokens are remembered at most. */
export interface VerifiedTokensLimits {
  /** Tokens remembered, default 10,000. */
  maxEntries?: number;
  /** Bytes they may take together, roughly, default 32 MiB. */
  maxBytes?: number;
}

/** What a token said, and the key its signature held with. */
export interface VerifiedToken<Auth> {
  readonly auth: Auth;
  readonly key: SigningKey;
}

interface Entry<Auth> {
  readonly token: string;
  readonly verified: VerifiedToken<Auth>;
}

/**
 * Tokens that were verified, so that the next request with the same one need not verify it again.
 *
 * One cache belongs to one `auth`, so its rules are part of the key; the token itself, byte for
 * byte, is the other part. What may have changed since (times, the issuer's keys, revocation) is
 * not remembered: whoever asks must check it on every hit.
 */
export class VerifiedTokens<Auth> {
  readonly #entries: LRUCache<string, Entry<Auth>>;

  constructor({ maxEntries = 10_000, maxBytes = 32 * 1024 * 1024 }: VerifiedTokensLimits = {}) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // The token, and what was parsed out of it, which takes several times as much.
      sizeCalculation: ({ token }) => 512 + 5 * token.length,
    });
  }

  get(token: string): VerifiedToken<Auth> | undefined {
    const entry = this.#entries.get(placeOf(token));
    return entry?.token === token ? entry.verified : undefined;
  }

  set(token: string, verified: VerifiedToken<Auth>): void {
    // A part of a header's text keeps all of the text alive; a copy keeps itself. A token is ASCII.
    const copy = Buffer.from(token, 'latin1').toString('latin1');
    this.#entries.set(placeOf(copy), { token: copy, verified });
  }

  get entries(): number {
    return this.#entries.size;
  }

  /** Bytes that the entries take, by the estimate that `maxBytes` bounds. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}

// The end of the signature, which no two tokens share but by forgery: to hash all of a token costs
// more than to find and compare it.
function placeOf(token: string): string {
  return token.slice(-32);
}
