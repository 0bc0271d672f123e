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

/** Pause of all keys, as the server asked for. */
interface SharedPause {
  /** Milliseconds of the monotonic clock. */
  readonly until: number;
  /** When the time that the server named is over, and with it the need of a probe. */
  readonly endsAt: number;
  readonly error: Error;
  /** Key of the caller that may make a request to see whether the server answers again. */
  readonly probe?: string;
}

const FIRST_PAUSE_MS = 1000;
/** One user's requests must not stop those of all others for longer. */
const MAX_SHARED_PAUSE_SECONDS = 30;
const PROBE_MS = 10_000;
const MAX_PAUSE_MS = 60_000;
const MAX_KEYS = 10_000;

/**
 * Per-process back-off for refresh requests: after each failure twice as long as before, up to a
 * minute, less up to a half by chance.
 */
export class BackOff {
  readonly #options: BackOffOptions;
  readonly #failures = new Map<string, Failures>();
  #forAll: SharedPause | undefined;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /**
   * Returns the pause that holds for a key; undefined when a request may be made. After half a minute of
   * a longer pause of all keys, one of them may make a request, and a success ends the pause.
   */
  pauseOf(key: string): Pause | undefined {
    const now = this.#options.monotonicNow();
    const pauseUntil = ({ until, error }: Failures | SharedPause): Pause | undefined =>
      until > now ? { seconds: Math.ceil((until - now) / 1000), error } : undefined;
    const failures = this.#failures.get(key);
    const own = failures && pauseUntil(failures);
    if (own || !this.#forAll) return own;
    const { until, endsAt, probe } = this.#forAll;
    if (endsAt <= now) this.#forAll = undefined;
    else if (until <= now) {
      this.#forAll = { ...this.#forAll, until: Math.min(endsAt, now + PROBE_MS), probe: key };
    } else if (probe !== key) return pauseUntil(this.#forAll);
    return undefined;
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
      const seconds = Math.min(retryAfter, MAX_SHARED_PAUSE_SECONDS);
      this.#forAll = { until: now + seconds * 1000, endsAt: now + retryAfter * 1000, error };
      return { seconds, error };
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
    if (this.#forAll?.probe === key) this.#forAll = undefined;
  }
}
