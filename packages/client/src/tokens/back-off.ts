/** Reason and duration of a pause without requests. */
export interface Pause {
  readonly seconds: number;
  readonly error: Error;
}

interface BackOffOptions {
  /** Milliseconds of a monotonic clock. */
  monotonicNow: () => number;
  /** From 0 up to 1. */
  random: () => number;
}

interface Failures {
  readonly count: number;
  readonly generation: unknown;
  /** Milliseconds of the monotonic clock. */
  readonly until: number;
  readonly error: Error;
}

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 60_000;
const MAX_KEYS = 10_000;

/**
 * Per-process back-off for refresh requests: after each failure twice as long as before, up to a
 * minute, less up to a half by chance.
 */
export class BackOff {
  readonly #options: BackOffOptions;
  readonly #failures = new Map<string, Failures>();
  #forAll: Failures | undefined;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** Returns the pause that holds for a key; undefined when a request may be made. */
  pauseOf(key: string): Pause | undefined {
    const now = this.#options.monotonicNow();
    const found = [this.#forAll, this.#failures.get(key)].find((one) => one && one.until > now);
    return found && { seconds: Math.ceil((found.until - now) / 1000), error: found.error };
  }

  /**
   * Begins the pause after a failure: for every key when the server named the seconds.
   *
   * @param generation changes with each success, in any process: failures before it do not count
   */
  failed(key: string, error: Error & { retryAfter?: unknown }, generation: unknown): Pause {
    const { retryAfter } = error;
    const now = this.#options.monotonicNow();
    if (typeof retryAfter === 'number') {
      this.#forAll = { count: 1, generation, until: now + retryAfter * 1000, error };
      return { seconds: retryAfter, error };
    }
    const before = this.#failures.get(key);
    const count = before && before.generation === generation ? before.count + 1 : 1;
    const longest = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (count - 1));
    const milliseconds = longest * (1 - this.#options.random() / 2);
    this.#failures.delete(key);
    this.#failures.set(key, { count, generation, until: now + milliseconds, error });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_KEYS && oldest !== undefined) this.#failures.delete(oldest);
    return { seconds: Math.ceil(milliseconds / 1000), error };
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }
}
