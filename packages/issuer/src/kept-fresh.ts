import type { IncomingHttpHeaders } from 'node:http';
import { issuerUnavailable } from './errors.ts';
import type { HttpClient } from './http-client.ts';

const DEFAULT_AGE_MS = 600_000;
const MIN_AGE_MS = 60_000;
const MAX_AGE_MS = 3_600_000;
const FIRST_PAUSE_MS = 250;
// Requests fail while there is no value, so the pause stays short.
const MAX_PAUSE_WITHOUT_VALUE_MS = 2000;
const MAX_PAUSE_MS = 30_000;

/** A value as it was fetched. */
export interface Fetched<T> {
  readonly value: T;
  /** Milliseconds for which the source allows keeping it; bounded to 1–60 minutes, default 10. */
  readonly maxAge?: number | undefined;
}

/** Options of `KeptFresh`. */
export interface KeptFreshOptions<T> {
  fetch: () => Promise<Fetched<T>>;
  /** Milliseconds of a clock that is never set back. */
  monotonicNow: () => number;
  /** Milliseconds for which an expired value is used while its source is down. */
  maxStale: number;
  onFetched?: (value: T) => void;
  onFailed?: (error: unknown) => void;
  /** Called when an expired value is still used, once per failed fetch. */
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
 * Caches a remote value and refreshes it in the background.
 *
 * Callers that wait share one fetch. The value is fetched again before it expires, at a random moment,
 * so that many processes do not fetch at once. While its source is down an expired value is used for
 * `maxStale`, and the pauses between fetches grow.
 *
 * Ages are measured by a monotonic clock: a change of the wall clock must not extend the use of a value
 * or of a failure.
 */
export class KeptFresh<T extends NonNullable<unknown>> {
  readonly #options: KeptFreshOptions<T>;
  #kept: Kept<T> | undefined;
  #pending: Promise<T> | undefined;
  #failure: { readonly error: unknown; readonly retryAt: number; reported: boolean } | undefined;
  #failures = 0;
  #fetches = 0;

  constructor(options: KeptFreshOptions<T>) {
    this.#options = options;
  }

  /** The value if it may be used, at least while its source is down. */
  get held(): T | undefined {
    return this.#kept && this.#options.monotonicNow() < this.#kept.staleUntil
      ? this.#kept.value
      : undefined;
  }

  /** Number of fetches that succeeded. */
  get fetches(): number {
    return this.#fetches;
  }

  /** True when a fetch is under way or the last one failed: the next result may differ. */
  get unsettled(): boolean {
    return this.#pending !== undefined || this.#failure !== undefined;
  }

  /**
   * Returns the value if no fetch must be awaited first. Starts the next fetch in the background when it
   * is due. Returns undefined when no value is held, or it has expired and its source is not known to
   * be down.
   */
  current(): T | undefined {
    const now = this.#options.monotonicNow();
    const kept = this.#kept;
    if (kept === undefined) return undefined;
    if (now < kept.refreshAt) return kept.value;
    // No caller waits for the next fetch before the value expires, or while its source is down.
    if (now >= (this.#failure === undefined ? kept.expiresAt : kept.staleUntil)) return undefined;
    this.refresh().catch(() => {});
    if (now >= kept.expiresAt) this.#reportStale(now - kept.fetchedAt);
    return kept.value;
  }

  /** Returns the value and fetches it if necessary. @throws the error of `fetch` without a usable value */
  async get(): Promise<T> {
    const current = this.current();
    if (current !== undefined) return current;
    try {
      return await this.refresh();
    } catch (error) {
      const { held } = this;
      if (held === undefined) throw error;
      this.#reportStale(this.#options.monotonicNow() - (this.#kept?.fetchedAt ?? 0));
      return held;
    }
  }

  /** Fetches the value, or joins the fetch under way. @throws the last error during the pause after it */
  refresh(): Promise<T> {
    if (this.#pending) return this.#pending;
    if (this.#failure && this.#options.monotonicNow() < this.#failure.retryAt) {
      return Promise.reject(this.#failure.error);
    }
    this.#pending = this.#fetch().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(): Promise<T> {
    const { fetch, monotonicNow, maxStale, onFetched, onFailed } = this.#options;
    try {
      const { value, maxAge = DEFAULT_AGE_MS } = await fetch();
      const age = Math.min(Math.max(maxAge, MIN_AGE_MS), MAX_AGE_MS);
      const fetchedAt = monotonicNow();
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
      const maxPause = this.held === undefined ? MAX_PAUSE_WITHOUT_VALUE_MS : MAX_PAUSE_MS;
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, maxPause);
      this.#failure = { error, retryAt: monotonicNow() + pause, reported: false };
      this.#failures += 1;
      onFailed?.(error);
      throw error;
    }
  }

  #reportStale(ageMs: number): void {
    if (this.#failure === undefined || this.#failure.reported) return;
    this.#failure.reported = true;
    this.#options.onStale?.(ageMs);
  }
}

/** A JSON document of the issuer. */
export interface FetchedJson {
  readonly status: number;
  /** The parsed body of a 200, without members that are null; undefined for any other status. */
  readonly body: unknown;
  /**
   * Milliseconds for which it stays fresh: `max-age` minus `Age` (RFC 9111 §4.2). 0 for `no-store`, and
   * for a `max-age` that is no number. Undefined without `max-age`.
   */
  readonly maxAge: number | undefined;
}

// Some servers answer 406 unless the type of a key set is named (RFC 7517 §8.5.2).
const ACCEPT = { accept: 'application/json, application/jwk-set+json' };

/** Fetches a JSON document. @throws IssuerError when there is no answer, or a 200 that is not JSON */
export async function fetchJson(url: string, http: HttpClient): Promise<FetchedJson> {
  const { status, headers, body } = await http(url, { headers: ACCEPT }).catch((cause: Error) => {
    throw issuerUnavailable(cause.message, cause);
  });
  const maxAge = parseMaxAge(headers);
  if (status !== 200) return { status, body: undefined, maxAge };
  try {
    return { status, body: parseJson(body), maxAge };
  } catch (cause) {
    throw issuerUnavailable(`GET ${url}: the body is not JSON`, cause);
  }
}

/** Parses JSON, and leaves out members that are null: some serializers write absent ones so. */
export function parseJson(text: string): unknown {
  return JSON.parse(text, leaveOutNull);
}

// An entry of a list keeps its place.
function leaveOutNull(this: unknown, _name: string, value: unknown): unknown {
  return value === null && !Array.isArray(this) ? undefined : value;
}

// Cache-Control is a list of names, each with or without a value (RFC 9111 §5.2).
const DIRECTIVE = /([^\s,;="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;

function parseMaxAge(headers: IncomingHttpHeaders): number | undefined {
  let seconds: number | undefined;
  for (const [, name, quoted, plain] of (headers['cache-control'] ?? '').matchAll(DIRECTIVE)) {
    if (/^no-(?:store|cache)$/i.test(name as string)) return 0;
    if (!/^max-age$/i.test(name as string)) continue;
    // The first counts. One that is no number makes an answer stale (RFC 9111 §4.2.1).
    seconds ??= parseSeconds(quoted ?? plain) ?? 0;
  }
  // The first of a list counts, and a wrong Age is ignored (RFC 9111 §5.1).
  const age = parseSeconds(headers.age?.split(',')[0]) ?? 0;
  return seconds === undefined ? undefined : Math.max(0, seconds - age) * 1000;
}

function parseSeconds(text = ''): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}
