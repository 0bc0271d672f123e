/** Access token of a caller. Times are those of `performance.now()`. */
export interface CallerToken {
  readonly value: string;
  /** Time of the request for it. */
  readonly mintedAt: number;
  readonly goodUntil: number;
}

/** Tracks faults of keys and clock, to decide whether an API must accept a token. */
export class TokenFacts {
  #revokedAt = Number.NEGATIVE_INFINITY;
  #wrongClock: { from: number; until: number } = { from: 0, until: 0 };

  /** Records that all earlier keys have left the key set. */
  keysWereRevoked(): void {
    this.#revokedAt = performance.now();
  }

  /** Records that an API must refuse the times in new tokens. */
  clockGoesWrong(): void {
    this.#wrongClock = { from: performance.now(), until: Number.POSITIVE_INFINITY };
  }

  clockIsRight(): void {
    this.#wrongClock.until = performance.now();
  }

  /** Returns true when an API must accept the token. */
  isValid({ mintedAt, goodUntil }: CallerToken): boolean {
    const { from, until } = this.#wrongClock;
    const now = performance.now();
    // A token that was requested before the clock went wrong may have been issued after that.
    const isMisdated = mintedAt > from - 2000 && mintedAt < until;
    return now < goodUntil && mintedAt > this.#revokedAt && !(until > 0 && isMisdated);
  }
}
