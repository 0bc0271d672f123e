const MINUTE = 60_000;
const DEFAULT_AGE = 10 * MINUTE;
const MIN_AGE = MINUTE;
const MAX_AGE = 60 * MINUTE;

export interface Fetched<T> {
  readonly value: T;
  /** How long the source says it may be kept, in milliseconds; bounded to 1–60 minutes, default 10. */
  readonly maxAge?: number | undefined;
}

export interface KeptFreshOptions<T> {
  fetch: () => Promise<Fetched<T>>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** How long a value is used while its source is down, in milliseconds. */
  maxStale: number;
}

/**
 * A value that lives elsewhere, kept near and fresh.
 *
 * One fetch in flight for all who wait; fetched again in the background before it expires, at a
 * moment drawn by chance so that many processes don't ask at once; used on, for a bounded time,
 * when the source is down; and a source that failed is left alone for a growing while.
 */
export class KeptFresh<T> {
  readonly #options: KeptFreshOptions<T>;
  #value: T | undefined;
  #held = false;
  #refreshAt = 0;
  #expiresAt = 0;
  #staleUntil = 0;
  #pending: Promise<T> | undefined;
  #failure: unknown;
  #failures = 0;
  #retryAt = 0;
  #fetches = 0;

  constructor(options: KeptFreshOptions<T>) {
    this.#options = options;
  }

  /** The value if one is held and may still be used. */
  get held(): T | undefined {
    return this.#held && this.#options.now() < this.#staleUntil ? this.#value : undefined;
  }

  /** How many fetches have succeeded. */
  get fetches(): number {
    return this.#fetches;
  }

  /** Whether asking again makes sense now: a fetch is on its way, or the last one failed. */
  get unsettled(): boolean {
    return this.#pending !== undefined || this.#failure !== undefined;
  }

  /** @throws IssuerUnavailable, or what `fetch` threw, when no usable value is held and none can be had */
  async get(): Promise<T> {
    const now = this.#options.now();
    if (this.#held && now < this.#refreshAt) return this.#value as T;
    // Before it expires, and while its source is down, nobody waits for the next one.
    const waitless = this.#failure === undefined ? this.#expiresAt : this.#staleUntil;
    if (this.#held && now < waitless) {
      this.refresh().catch(() => {});
      return this.#value as T;
    }
    try {
      return await this.refresh();
    } catch (error) {
      if (this.#held && this.#options.now() < this.#staleUntil) return this.#value as T;
      throw error;
    }
  }

  /** Fetches now, unless a fetch is under way (then its result) or the source failed a moment ago (then its error). */
  refresh(): Promise<T> {
    if (this.#pending) return this.#pending;
    if (this.#options.now() < this.#retryAt) return Promise.reject(this.#failure);
    this.#pending = this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<T> {
    const { fetch, now, maxStale } = this.#options;
    try {
      const { value, maxAge = DEFAULT_AGE } = await fetch();
      const age = Math.min(Math.max(maxAge, MIN_AGE), MAX_AGE);
      const fetchedAt = now();
      this.#value = value;
      this.#held = true;
      this.#fetches += 1;
      this.#refreshAt = fetchedAt + age * (0.75 + 0.15 * Math.random());
      this.#expiresAt = fetchedAt + age;
      this.#staleUntil = fetchedAt + age + maxStale;
      this.#failure = undefined;
      this.#failures = 0;
      this.#retryAt = 0;
      return value;
    } catch (error) {
      this.#failure = error;
      // With nothing to serve every moment counts; with a value held there is no hurry.
      const longest = this.held === undefined ? 2_000 : 30_000;
      this.#retryAt = now() + Math.min(250 * 2 ** this.#failures, longest);
      this.#failures += 1;
      throw error;
    }
  }
}
