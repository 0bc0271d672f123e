import type { SigningKey } from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';

/** Limits of the cache of verified tokens. */
export interface VerifiedTokensLimits {
  /** Maximum number of tokens. Default: 10,000 */
  maxEntries?: number | undefined;
  /** Maximum size of all tokens, estimated. Default: 32 MiB */
  maxBytes?: number | undefined;
}

/** Content of a verified token, the key that verified it, and the issuer with its rules. */
export interface VerifiedToken<Content, Trusted> {
  readonly auth: Content;
  readonly key: SigningKey;
  readonly trusted: Trusted;
}

interface Entry<Content, Trusted> {
  readonly token: string;
  readonly verified: VerifiedToken<Content, Trusted>;
}

/**
 * Cache of verified tokens. A token is found by its exact text, and only in the cache of the `auth` that
 * verified it, because another `auth` has other rules. Times, the issuer's keys and revocation can
 * change: the caller must check them on every hit.
 */
export class VerifiedTokens<Content, Trusted> {
  readonly #entries: LRUCache<string, Entry<Content, Trusted>>;
  readonly #seen = new SeenTokens();

  constructor({ maxEntries = 10_000, maxBytes = 32 * 1024 * 1024 }: VerifiedTokensLimits = {}) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // The token and its decoded content, which takes several times as much.
      sizeCalculation: ({ token }) => 512 + 5 * token.length,
    });
  }

  get(token: string): VerifiedToken<Content, Trusted> | undefined {
    const entry = this.#entries.get(cacheKeyOf(token));
    return entry?.token === token ? entry.verified : undefined;
  }

  /**
   * Stores a token when it is added the second time. A token that is used once would replace one in
   * use, and cost time in the garbage collector.
   */
  add(token: string, verified: VerifiedToken<Content, Trusted>): void {
    if (!this.#seen.add(token)) return;
    // A slice of the header would keep the whole header in memory. A token is ASCII.
    const copy = Buffer.from(token, 'latin1').toString('latin1');
    this.#entries.set(cacheKeyOf(copy), { token: copy, verified });
  }

  /** Number of stored tokens. */
  get entries(): number {
    return this.#entries.size;
  }

  /** Estimated size, which `maxBytes` limits. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}

// The end of the signature: only a forged token has the same as another one. The whole token as key
// would be hashed, which costs more than the search and the comparison.
function cacheKeyOf(token: string): string {
  return token.slice(-32);
}

const SLOT_BITS = 16;

/**
 * Approximate memory of recent tokens, in a fixed 128 KiB. Each token has one slot, where it replaces
 * the token before. Two tokens can look the same, so the answer may decide whether to store a token,
 * never whether to trust it.
 */
class SeenTokens {
  readonly #marks = new Uint16Array(2 ** SLOT_BITS);

  /** Adds a token. @returns whether it was added before */
  add(token: string): boolean {
    // These characters are part of the signature, so they are as good as random.
    let hash = 0;
    for (let at = token.length - 16; at < token.length - 5; at += 1) {
      hash = Math.imul(hash ^ token.charCodeAt(at), 0x9e3779b1);
    }
    const slot = hash >>> (32 - SLOT_BITS);
    // An empty slot has 0.
    const mark = hash & 0xffff || 1;
    const seen = this.#marks[slot] === mark;
    this.#marks[slot] = mark;
    return seen;
  }
}
