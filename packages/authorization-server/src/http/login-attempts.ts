interface LoginAttemptsOptions {
  readonly enabled: boolean;
  /** Failures after which an account has to wait. */
  readonly max_attempts: number;
}

/** Counts failed sign-ins by account and address, as Auth0's brute-force protection does. */
export interface LoginAttempts {
  /**
   * Counts an attempt before its password is looked at, so that many at once gain nothing.
   *
   * @returns the seconds to wait when there were too many; undefined when it may go on.
   */
  begin(account: string, address: string): number | undefined;
  /** The password was right: what was counted is forgotten. */
  succeed(account: string, address: string): void;
}

const FORGOTTEN_AFTER = 60;
const MOST = 10_000;

/** @param now epoch milliseconds. */
export function createLoginAttempts(
  { enabled, max_attempts }: LoginAttemptsOptions,
  now: () => number = Date.now,
): LoginAttempts {
  const counts = new Map<string, { attempts: number; last: number }>();
  const keyOf = (account: string, address: string): string =>
    JSON.stringify([account.toLowerCase().slice(0, 320), address]);
  return {
    begin(account, address) {
      if (!enabled) return undefined;
      const key = keyOf(account, address);
      const { attempts, last } = counts.get(key) ?? { attempts: 0, last: 0 };
      const left = Math.ceil(last / 1000 + FORGOTTEN_AFTER - now() / 1000);
      if (left > 0 && attempts >= max_attempts) return left;
      // Put in again at the end: the first entry is always the one untouched for longest.
      counts.delete(key);
      counts.set(key, { attempts: left > 0 ? attempts + 1 : 1, last: now() });
      const [oldest] = counts.keys();
      if (counts.size > MOST && oldest !== undefined) counts.delete(oldest);
      return undefined;
    },
    succeed(account, address) {
      counts.delete(keyOf(account, address));
    },
  };
}
