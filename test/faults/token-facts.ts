/** An access token of a caller; times are those of `performance.now()`. */
export interface CallerToken {
  readonly value: string;
  /** When it was asked for. */
  readonly mintedAt: number;
  readonly goodUntil: number;
}

/** Whether an API must take a token, by what was done to its issuer. */
export class TokenFacts {
  #revokedAt = Number.NEGATIVE_INFINITY;
  #wrongClock: { from: number; until: number } = { from: 0, until: 0 };

  /** Every key of before has left the key set. */
  keysWereRevoked(): void {
    this.#revokedAt = performance.now();
  }

  /** From now on the times in its tokens are not what an API takes. */
  clockGoesWrong(): void {
    this.#wrongClock = { from: performance.now(), until: Number.POSITIVE_INFINITY };
  }

  clockIsRight(): void {
    this.#wrongClock.until = performance.now();
  }

  /** Undefined when it may be taken or not. */
  isValid({ mintedAt, goodUntil }: CallerToken): boolean {
    const { from, until } = this.#wrongClock;
    const now = performance.now();
    // Asked for before the clock went wrong, it may have been made after that.
    const isMisdated = mintedAt > from - 2000 && mintedAt < until;
    return now < goodUntil && mintedAt > this.#revokedAt && !(until > 0 && isMisdated);
  }
}
