export interface CacheRecord {
  readonly value: string;
  /** Epoch milliseconds. */
  readonly expires_at: number;
}

const MAX_LIFETIME_MS = 24 * 60 * 60 * 1000;
const MAX_ENTRIES = 20;
const MAX_KEY_BYTES = 64;
const MAX_VALUE_BYTES = 4096;
const MAX_TOTAL_BYTES = 8192;

/**
 * Values that the Actions of one trigger share over logins, with Auth0's limits ("Actions Limitations").
 * Auth0 returns an error beyond a limit; here it is thrown, so that it is found before production.
 */
export class ActionCache {
  readonly #records = new Map<string, CacheRecord>();
  readonly #now: () => number;

  /** @param now epoch milliseconds. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  get(key: unknown): CacheRecord | undefined {
    this.#removeExpired();
    const record = this.#records.get(String(key));
    return record && { ...record };
  }

  /** @throws Error that names the limit, when one would be exceeded. */
  set(key: unknown, value: unknown, options?: unknown): { type: 'success'; record: CacheRecord } {
    if (typeof key !== 'string' || key === '') throw cacheError('the key must be a text');
    if (typeof value !== 'string') throw cacheError(`the value is a ${typeof value}, not a text`);
    if (bytes(key) > MAX_KEY_BYTES) throw cacheError(`a key has at most ${MAX_KEY_BYTES} bytes`);
    if (bytes(value) > MAX_VALUE_BYTES)
      throw cacheError(`a value has at most ${MAX_VALUE_BYTES} bytes`);
    const record = { value, expires_at: expiryOf(options, this.#now()) };
    this.#removeExpired();
    const others = [...this.#records].filter(([name]) => name !== key);
    if (others.length >= MAX_ENTRIES) throw cacheError(`there are at most ${MAX_ENTRIES} entries`);
    const used = others.reduce((sum, [name, other]) => sum + bytes(name) + bytes(other.value), 0);
    if (used + bytes(key) + bytes(value) > MAX_TOTAL_BYTES) {
      throw cacheError(`all keys and values have at most ${MAX_TOTAL_BYTES} bytes`);
    }
    this.#records.set(key, record);
    return { type: 'success', record: { ...record } };
  }

  delete(key: unknown): { type: 'success' } | { type: 'error'; code: 'CacheKeyDoesNotExist' } {
    this.#removeExpired();
    if (this.#records.delete(String(key))) return { type: 'success' };
    return { type: 'error', code: 'CacheKeyDoesNotExist' };
  }

  entries(): Record<string, CacheRecord> {
    this.#removeExpired();
    return Object.fromEntries(this.#records);
  }

  #removeExpired(): void {
    for (const [key, { expires_at }] of this.#records) {
      if (expires_at <= this.#now()) this.#records.delete(key);
    }
  }
}

/** The earlier of `ttl` and `expires_at` wins; the default is the maximum lifetime. */
function expiryOf(options: unknown, now: number): number {
  const { ttl, expires_at } = (options ?? {}) as { ttl?: unknown; expires_at?: unknown };
  if (ttl === undefined && expires_at === undefined) return now + MAX_LIFETIME_MS;
  const end = Math.min(
    ttl === undefined ? Number.POSITIVE_INFINITY : now + milliseconds('ttl', ttl),
    expires_at === undefined ? Number.POSITIVE_INFINITY : milliseconds('expires_at', expires_at),
  );
  if (end <= now) throw cacheError('ttl or expires_at is in the past');
  if (end > now + MAX_LIFETIME_MS)
    throw cacheError('a value lives at most 24 hours (ttl 86400000)');
  return end;
}

function milliseconds(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw cacheError(`${name} must be a number of milliseconds`);
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}

function cacheError(what: string): Error {
  return new Error(`api.cache.set: ${what}`);
}
