/** Keeps tries that are bound to fail from being made; for this process. */
export interface BackOff {
  /** @returns for how many seconds no try may be made, and why; undefined when one may */
  pause(key: string): Pause | undefined;
  /**
   * @param retryAfter seconds, when the server named them: then for every key
   * @param succeededAt seconds since 1970 when a try went well, in whatever process: failures of
   *   before count no more
   */
  failed(key: string, error: Error, retryAfter: number | undefined, succeededAt?: number): Pause;
  succeeded(key: string): void;
}

export interface Pause {
  readonly seconds: number;
  readonly error: Error;
}

interface BackOffOptions {
  /** Milliseconds since 1970. */
  now: () => number;
  /** From 0 up to 1. */
  random: () => number;
}

interface Failures {
  readonly count: number;
  /** Milliseconds since 1970, as `until` is. */
  readonly at: number;
  readonly until: number;
  readonly error: Error;
}

const FIRST = 1000;
const LONGEST = 60_000;
const MAX_REMEMBERED = 10_000;

/** After each failure twice as long as before, up to a minute, less up to a half by chance. */
export function createBackOff({ now, random }: BackOffOptions): BackOff {
  const failures = new Map<string, Failures>();
  let forAll: Failures | undefined;

  const pauseOf = (found: Failures | undefined): Pause | undefined => {
    if (!found || found.until <= now()) return undefined;
    return { seconds: Math.ceil((found.until - now()) / 1000), error: found.error };
  };

  return {
    pause: (key) => pauseOf(forAll) ?? pauseOf(failures.get(key)),

    failed(key, error, retryAfter, succeededAt = 0) {
      const at = now();
      if (retryAfter !== undefined) {
        forAll = { count: 1, at, until: at + retryAfter * 1000, error };
        return { seconds: retryAfter, error };
      }
      const before = failures.get(key);
      const count = before && before.at >= succeededAt * 1000 ? before.count + 1 : 1;
      const longest = Math.min(LONGEST, FIRST * 2 ** (count - 1));
      const milliseconds = longest * (1 - random() / 2);
      failures.delete(key);
      failures.set(key, { count, at, until: at + milliseconds, error });
      const [oldest] = failures.keys();
      if (failures.size > MAX_REMEMBERED && oldest !== undefined) failures.delete(oldest);
      return { seconds: Math.ceil(milliseconds / 1000), error };
    },

    succeeded(key) {
      failures.delete(key);
    },
  };
}
