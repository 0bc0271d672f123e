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
  onFetched?: (value: T) => void;
  onFailed?: (error: unknown) => void;
  /** Told of an expired value that is used on, once per failed fetch. */
  onStale?: (ageMs: number) => void;
}

interface Kept<T> {
  readonly value: T;
  readonly fetchedAt: number;
  readonly refreshAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
}

/**
 * A value that lives elsewhere, kept near and fresh.
 *
 * One fetch in flight for all who wait; fetched again in the background before it expires, at a
 * moment drawn by chance so that many processes don't ask at once; used on, for a bounded time,
 * when the source is down; and a source that failed is left alone for a growing while.
 */
export class KeptFresh<T extends NonNullable<unknown>> {
  readonly #options: KeptFreshOptions<T>;
  #kept: Kept<T> | undefined;
  #pending: Promise<T> | undefined;
  #failure: { readonly error: unknown; readonly retryAt: number; told: boolean } | undefined;
  #failures = 0;
  #fetches = 0;

  constructor(options: KeptFreshOptions<T>) {
    this.#options = options;
  }

  /** The value if one is held and may still be used. */
  get held(): T | undefined {
    return this.#kept && this.#options.now() < this.#kept.staleUntil ? this.#kept.value : undefined;
  }

  /** How many fetches have succeeded. */
  get fetches(): number {
    return this.#fetches;
  }

  /** Whether asking again makes sense now: a fetch is on its way, or the last one failed. */
  get unsettled(): boolean {
    return this.#pending !== undefined || this.#failure !== undefined;
  }

  /**
   * The value if nobody needs to wait for it. Starts the next fetch in the background when it is due.
   *
   * @returns undefined when none is held, or what is held has expired and its source may be well
   */
  current(): T | undefined {
    const now = this.#options.now();
    const kept = this.#kept;
    if (kept === undefined) return undefined;
    if (now < kept.refreshAt) return kept.value;
    // Before it expires, and while its source is down, nobody waits for the next one.
    if (now >= (this.#failure === undefined ? kept.expiresAt : kept.staleUntil)) return undefined;
    this.refresh().catch(() => {});
    if (now >= kept.expiresAt) this.#tellStale(now - kept.fetchedAt);
    return kept.value;
  }

  /** @throws what `fetch` threw, when no usable value is held and none can be had */
  async get(): Promise<T> {
    const current = this.current();
    if (current !== undefined) return current;
    try {
      return await this.refresh();
    } catch (error) {
      const { held } = this;
      if (held === undefined) throw error;
      this.#tellStale(this.#options.now() - (this.#kept?.fetchedAt ?? 0));
      return held;
    }
  }

  /** Fetches now, unless a fetch is under way (then its result) or the source failed a moment ago (then its error). */
  refresh(): Promise<T> {
    if (this.#pending) return this.#pending;
    if (this.#failure && this.#options.now() < this.#failure.retryAt) {
      return Promise.reject(this.#failure.error);
    }
    this.#pending = this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<T> {
    const { fetch, now, maxStale, onFetched, onFailed } = this.#options;
    try {
      const { value, maxAge = DEFAULT_AGE } = await fetch();
      const age = Math.min(Math.max(maxAge, MIN_AGE), MAX_AGE);
      const fetchedAt = now();
      this.#kept = {
        value,
        fetchedAt,
        refreshAt: fetchedAt + age * (0.75 + 0.15 * Math.random()),
        expiresAt: fetchedAt + age,
        staleUntil: fetchedAt + age + maxStale,
      };
      this.#fetches += 1;
      this.#failure = undefined;
      this.#failures = 0;
      onFetched?.(value);
      return value;
    } catch (error) {
      // With nothing to serve every moment counts; with a value held there is no hurry.
      const longest = this.held === undefined ? 2_000 : 30_000;
      const retryAt = now() + Math.min(250 * 2 ** this.#failures, longest);
      this.#failure = { error, retryAt, told: false };
      this.#failures += 1;
      onFailed?.(error);
      throw error;
    }
  }

  #tellStale(ageMs: number): void {
    if (this.#failure === undefined || this.#failure.told) return;
    this.#failure.told = true;
    this.#options.onStale?.(ageMs);
  }
}
