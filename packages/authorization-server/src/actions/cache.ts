/** A value as an Action gets it back. */
export interface CacheRecord {
  readonly value: string;
  /** Epoch milliseconds. */
  readonly expires_at: number;
}

/** `api.cache`: what Actions of one trigger keep for each other from one login to the next. */
export interface ActionCache {
  get(key: unknown): CacheRecord | undefined;
  /** @throws Error, which names the limit, when a limit would be passed. */
  set(key: unknown, value: unknown, options?: unknown): { type: 'success'; record: CacheRecord };
  delete(key: unknown): { type: 'success' } | { type: 'error'; code: 'CacheKeyDoesNotExist' };
  /** All that is in it and not over. */
  entries(): Record<string, CacheRecord>;
}

const LONGEST_LIFE = 24 * 60 * 60 * 1000;
const MOST_ENTRIES = 20;
const KEY_BYTES = 64;
const VALUE_BYTES = 4096;
const ALL_BYTES = 8192;

/**
 * A cache with Auth0's limits ("Actions Limitations"): 24 h, 20 entries, 64 bytes for a key, 4 kB for
 * a value, 8 kB in all. Auth0 answers a breach with an error that is easily overlooked; here it is
 * thrown, so that it is found before production.
 *
 * @param now epoch milliseconds.
 */
export function createActionCache(now: () => number = Date.now): ActionCache {
  const records = new Map<string, CacheRecord>();
  const sweep = (): void => {
    for (const [key, { expires_at }] of records) if (expires_at <= now()) records.delete(key);
  };
  return {
    get(key) {
      sweep();
      const record = records.get(String(key));
      return record && { ...record };
    },
    set(key, value, options) {
      if (typeof key !== 'string' || key === '') throw fault('the key must be a text');
      if (typeof value !== 'string') throw fault(`the value is a ${typeof value}, not a text`);
      if (bytes(key) > KEY_BYTES) throw fault(`a key has at most ${KEY_BYTES} bytes`);
      if (bytes(value) > VALUE_BYTES) throw fault(`a value has at most ${VALUE_BYTES} bytes`);
      const record = { value, expires_at: endOf(options, now()) };
      sweep();
      const others = [...records].filter(([name]) => name !== key);
      if (others.length >= MOST_ENTRIES) throw fault(`there are at most ${MOST_ENTRIES} entries`);
      const used = others.reduce((sum, [name, other]) => sum + bytes(name) + bytes(other.value), 0);
      if (used + bytes(key) + bytes(value) > ALL_BYTES) {
        throw fault(`all keys and values have at most ${ALL_BYTES} bytes`);
      }
      records.set(key, record);
      return { type: 'success', record: { ...record } };
    },
    delete(key) {
      sweep();
      if (records.delete(String(key))) return { type: 'success' };
      return { type: 'error', code: 'CacheKeyDoesNotExist' };
    },
    entries() {
      sweep();
      return Object.fromEntries(records);
    },
  };
}

/** The earlier of `ttl` and `expires_at` counts; without either it is the longest life. */
function endOf(options: unknown, now: number): number {
  const { ttl, expires_at } = (options ?? {}) as { ttl?: unknown; expires_at?: unknown };
  const ends = [
    ...(ttl === undefined ? [] : [now + milliseconds('ttl', ttl)]),
    ...(expires_at === undefined ? [] : [milliseconds('expires_at', expires_at)]),
  ];
  const end = Math.min(...(ends.length === 0 ? [now + LONGEST_LIFE] : ends));
  if (end <= now) throw fault('ttl or expires_at is over already');
  if (end > now + LONGEST_LIFE) throw fault('a value lives at most 24 hours (ttl 86400000)');
  return end;
}

function milliseconds(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw fault(`${name} must be a number of milliseconds`);
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}

function fault(what: string): Error {
  return new Error(`api.cache.set: ${what}`);
}
