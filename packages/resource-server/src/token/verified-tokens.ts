import type { SigningKey } from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';

/** Limits of the memory for verified tokens. */
export interface VerifiedTokensLimits {
  /** Tokens remembered, default 10,000. */
  maxEntries?: number | undefined;
  /** Bytes they may take together, roughly, default 32 MiB. */
  maxBytes?: number | undefined;
}

/** Content of a token, and the key that its signature held with. */
export interface VerifiedToken<Auth> {
  readonly auth: Auth;
  readonly key: SigningKey;
}

interface Entry<Auth> {
  readonly token: string;
  readonly verified: VerifiedToken<Auth>;
}

/**
 * Remembers verified tokens, so that the next request with the same one need not verify it again.
 *
 * One cache belongs to one `auth`, so its rules are part of the key; the token itself, byte for byte,
 * is the other part. What may have changed since (times, the issuer's keys, revocation) is not
 * remembered: the caller must check it on every hit.
 */
export class VerifiedTokens<Auth> {
  readonly #entries: LRUCache<string, Entry<Auth>>;
  readonly #seen = new SeenTokens();

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

  /**
   * Remembers a token from the second time that it is added. One that is used once is not worth the
   * room: it would push out one in use, and keep the garbage collector busy.
   */
  add(token: string, verified: VerifiedToken<Auth>): void {
    if (!this.#seen.add(token)) return;
    // A part of a header's text keeps all of the text alive; a copy keeps itself. A token is ASCII.
    const copy = Buffer.from(token, 'latin1').toString('latin1');
    this.#entries.set(placeOf(copy), { token: copy, verified });
  }

  /** Number of tokens that are remembered. */
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

const SLOTS = 2 ** 16;

/**
 * Remembers roughly which tokens came before, in a fixed quarter of a MiB: a token has one slot, and the
 * next one in the same slot replaces it. Two tokens can have the same slot, so an answer can
 * decide whether to remember a token, and never whether to trust it.
 */
class SeenTokens {
  readonly #marks = new Uint32Array(SLOTS);

  /** Adds a token. Returns whether it was added before. */
  add(token: string): boolean {
    // From within its signature, whose bits are as good as random.
    const bytes = Buffer.from(token.slice(-16, -5), 'base64url');
    const slot = bytes.readUInt16LE(0);
    const mark = bytes.readUInt32LE(2);
    const seen = this.#marks[slot] === mark;
    this.#marks[slot] = mark;
    return seen;
  }
}
