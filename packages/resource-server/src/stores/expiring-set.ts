import { hash, randomBytes } from 'node:crypto';
import { InvalidOptions } from '@koa-oauth/issuer';

/**
 * A set of keys that expire, for what may happen once, or is revoked. `auth` keeps used DPoP proofs in it
 * (RFC 9449 §11.1), `revocations` what was revoked.
 *
 * Keys have any length and any characters. A key that is there keeps its time when it is added again. A
 * method that fails must throw or reject: the request is then answered 503.
 *
 * @example
 * const set: ExpiringSet = redisSet({ url: 'rediss://user:password@redis.example:6380/0' });
 * const isFirst = await set.add(`order ${id}`, Date.now() / 1000 + 600);
 */
export interface ExpiringSet {
  /**
   * Adds a key until a time, in seconds since 1970, and for a second at least.
   *
   * @returns whether it was new: true for one of all callers, in all processes that share the set
   */
  add(key: string, until: number): boolean | Promise<boolean>;
  /** Reports whether a key is there. */
  has(key: string): boolean | Promise<boolean>;
  /**
   * Adds a key with a number, until a time as in `add`. Of several numbers and times of one key, the
   * highest stay, in whatever order they come.
   */
  setIfGreater(key: string, number: number, until: number): void | Promise<void>;
  /**
   * Returns the number of each key, in one request to the server. Undefined: the key is not there, or was
   * added without a number.
   */
  getNumbers(
    keys: readonly string[],
  ): readonly (number | undefined)[] | Promise<readonly (number | undefined)[]>;
  /** Returns a random text that all processes with this set share. `auth` makes DPoP nonces from it. */
  sharedSecret(): string | Promise<string>;
  /** Closes the connections that it has opened. */
  close(): Promise<void>;
}

/** Options of `memorySet`; each has a default. */
export interface MemorySetOptions {
  /** Maximum number of keys. One more is an error, so that no key is forgotten. Default: 500,000 */
  maxEntries?: number | undefined;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: (() => number) | undefined;
}

/**
 * Keeps keys in this process: for development, tests and an API that runs as one process. A restart
 * forgets them.
 *
 * @throws InvalidOptions when `maxEntries` is not a whole number above 0
 * @example
 * app.use(auth({ issuerBaseURL, audience, dpop: { baseURL, store: memorySet() } }));
 */
export function memorySet(options: MemorySetOptions = {}): ExpiringSet {
  return new MemorySet(options);
}

class MemorySet implements ExpiringSet {
  readonly #maxEntries: number;
  readonly #now: () => number;
  /** Seconds since 1970 at which a key expires. */
  readonly #expiries = new Map<string, number>();
  readonly #numbers = new Map<string, number>();
  /** Each key once, listed at the second of its expiry, or at an earlier one. */
  readonly #keysBySecond = new Map<number, string[]>();
  readonly #secret = newSecret();
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor({ maxEntries = 500_000, now = Date.now }: MemorySetOptions) {
    if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
      throw new InvalidOptions('memorySet: maxEntries must be a whole number above 0');
    }
    this.#maxEntries = maxEntries;
    this.#now = now;
  }

  add(key: string, until: number): boolean {
    const now = this.#now() / 1000;
    const name = shortKey(key);
    if ((this.#expiries.get(name) ?? 0) > now) return false;
    this.#numbers.delete(name);
    this.#put(name, now + secondsLeft(until, now), now);
    return true;
  }

  setIfGreater(key: string, number: number, until: number): void {
    const now = this.#now() / 1000;
    const name = shortKey(key);
    const expiresAt = this.#expiries.get(name) ?? 0;
    const before = expiresAt > now ? this.#numbers.get(name) : undefined;
    this.#put(name, Math.max(now + secondsLeft(until, now), expiresAt), now);
    this.#numbers.set(name, Math.max(number, before ?? number));
  }

  getNumbers(keys: readonly string[]): readonly (number | undefined)[] {
    const now = this.#now() / 1000;
    return keys.map((key) => {
      const name = shortKey(key);
      return (this.#expiries.get(name) ?? 0) > now ? this.#numbers.get(name) : undefined;
    });
  }

  has(key: string): boolean {
    return (this.#expiries.get(shortKey(key)) ?? 0) > this.#now() / 1000;
  }

  sharedSecret(): string {
    return this.#secret;
  }

  async close(): Promise<void> {
    this.#expiries.clear();
    this.#numbers.clear();
    this.#keysBySecond.clear();
  }

  #put(name: string, expiresAt: number, now: number): void {
    this.#sweep(now);
    // A listed key stays where it is: the sweep of that second lists it again.
    if (!this.#expiries.has(name)) {
      if (this.#expiries.size >= this.#maxEntries) throw new Error('the set is full');
      this.#list(name, expiresAt);
    }
    this.#expiries.set(name, expiresAt);
  }

  #list(name: string, expiresAt: number): void {
    const second = Math.ceil(expiresAt);
    const others = this.#keysBySecond.get(second);
    if (others) others.push(name);
    else this.#keysBySecond.set(second, [name]);
  }

  /** Removes expired keys, at most once a second. */
  #sweep(now: number): void {
    if (now >= this.#sweptAt && now < this.#sweptAt + 1) return;
    this.#sweptAt = now;
    for (const [second, names] of this.#keysBySecond) {
      if (second > now) continue;
      this.#keysBySecond.delete(second);
      for (const name of names) {
        const expiresAt = this.#expiries.get(name) ?? 0;
        // A key that expired may be there again, until a later second.
        if (expiresAt > now) this.#list(name, expiresAt);
        else {
          this.#expiries.delete(name);
          this.#numbers.delete(name);
        }
      }
    }
  }
}

/** Returns a text that a store can have for a key: the key itself, or its hash if it is long or unusual. */
export function shortKey(key: string): string {
  // No key of a caller begins with "#".
  return /^[\w.: -]{1,64}$/.test(key) ? key : `#${hash('sha256', key, 'base64url')}`;
}

const MAX_SECONDS = 10 * 366 * 24 * 3600;

/** Returns the seconds for which a key must be stored. @throws TypeError when `until` is no time */
export function secondsLeft(until: number, now: number): number {
  if (typeof until !== 'number' || Number.isNaN(until)) throw new TypeError('until must be a time');
  return Math.min(Math.max(until - now, 1), MAX_SECONDS);
}

/** Name under which a store has the shared secret. No key of a caller has it. */
export const SECRET_KEY = '!secret';

export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}
