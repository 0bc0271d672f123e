import { type CookieJar, cookiePrefix } from '../browser/cookies.ts';
import { OidcError } from '../errors.ts';
import {
  LOGIN_LIFETIME_SECONDS,
  loginIdOf,
  type Transaction,
} from '../oauth/authorization-endpoint.ts';
import type { CheckedOptions } from '../options/options.ts';
import { Seal } from './seal.ts';
import { type SessionStore, storeCall, storeKey } from './session-store.ts';

const MAX_IN_FLIGHT = 5;
/** Maximum for the name and the value of a cookie: browsers ignore a longer one. */
const MAX_COOKIE_BYTES = 4096;
/** Maximum for all of them: Node accepts 16 kB of headers, and each request has these. */
const MAX_BYTES = 8192;
/** Recent logins with a session after which the next one is a loop. */
const MAX_RECENT = 3;
const RECENT_SECONDS = 30;
/** Longer than browsers keep it: the clocks of processes can differ. */
const MAX_RECENT_AGE_SECONDS = 180;
/** Limits the cost of cookies that other sites set. */
const MAX_NAMES_READ = 20;

/**
 * Unfinished logins. Each has its own encrypted cookie, named after its state, so several tabs can sign in
 * at once, and none can finish the login of another. The name includes that of the session's cookie,
 * because apps on one host must not clear each other's.
 */
export class Transactions {
  readonly #seal: Seal;
  readonly #store: Pick<SessionStore, 'once'>;
  readonly #now: () => number;
  readonly #prefix: string;
  readonly #pattern: RegExp;
  readonly #counterName: string;

  /** @param store remembers which logins have ended */
  constructor(
    {
      secrets,
      party,
      secureCookies,
      session,
      now,
    }: Pick<CheckedOptions, 'secrets' | 'party' | 'secureCookies' | 'session' | 'now'>,
    store: Pick<SessionStore, 'once'>,
  ) {
    this.#seal = new Seal(secrets, `transaction ${party}`);
    this.#store = store;
    this.#now = now;
    const prefix = cookiePrefix(secureCookies);
    this.#prefix = `${prefix}login.${session.name}.`;
    this.#counterName = `${prefix}recent.${session.name}`;
    this.#pattern = new RegExp(`^${escapeRegExp(this.#prefix)}[\\w-]{16}$`);
  }

  /**
   * Stores a transaction in its own cookie. If there are too many, the oldest is removed.
   *
   * @throws OidcError `ERR_LOGIN_PARAMETERS` when it is too long for a cookie, even without its returnTo
   */
  begin(cookies: CookieJar, transaction: Transaction): void {
    const name = this.#cookieName(transaction.state);
    // The time is not encrypted, so the oldest can be found without decrypting all.
    const time = Math.floor(this.#now()).toString(36);
    const cookieOf = (content: Transaction) => `${time}~${this.#seal.seal(content, name)}`;
    const isTooLong = (value: string) => name.length + value.length > MAX_COOKIE_BYTES;
    let value = cookieOf(transaction);
    if (isTooLong(value)) value = cookieOf({ ...transaction, returnTo: '/' });
    if (isTooLong(value)) {
      const detail = `they do not fit into a cookie of ${MAX_COOKIE_BYTES} bytes`;
      throw new OidcError('ERR_LOGIN_PARAMETERS', { detail });
    }
    let bytes = name.length + value.length;
    const others = this.#inFlight(cookies)
      .map((other) => ({ name: other, value: cookies.get(other) ?? '' }))
      .sort((a, b) => startOf(b.value) - startOf(a.value));
    for (const [index, other] of others.entries()) {
      bytes += other.name.length + other.value.length;
      if (index >= MAX_IN_FLIGHT - 1 || bytes > MAX_BYTES) cookies.clear(other.name);
    }
    cookies.set(name, value, LOGIN_LIFETIME_SECONDS);
  }

  /** Returns the transaction that this browser began with this state, or undefined. */
  find(cookies: CookieJar, state: string): Transaction | undefined {
    const name = this.#cookieName(state);
    const sealed = cookies.get(name)?.split('~')[1];
    if (!sealed) return undefined;
    const transaction = this.#seal.open(sealed, name) as Transaction | undefined;
    if (transaction?.state !== state) return undefined;
    const age = this.#now() / 1000 - transaction.startedAt;
    return age <= LOGIN_LIFETIME_SECONDS ? transaction : undefined;
  }

  /**
   * Ends a transaction that was found, in all processes that share the store.
   *
   * @returns false when it had been ended before
   * @throws OidcError `ERR_SESSION_STORE`
   */
  async end(cookies: CookieJar, { state, startedAt }: Transaction): Promise<boolean> {
    // A minute longer than `find` returns it: the store's clock may differ.
    const until = Math.ceil(startedAt) + LOGIN_LIFETIME_SECONDS + 60;
    const isFirst = await storeCall(() => this.#store.once(`login ${storeKey(state)}`, until));
    cookies.clear(this.#cookieName(state));
    this.#setRecent(cookies, this.#recent(cookies).count, state);
    return isFirst;
  }

  /** Reports whether the last login that ended in this browser, if recent, had this state. */
  hasEnded(cookies: CookieJar, state: string): boolean {
    return this.#recent(cookies).loginId === loginIdOf(state);
  }

  /** Counts a login that opened a session. */
  countSuccess(cookies: CookieJar, state: string): void {
    this.#setRecent(cookies, this.#recent(cookies).count + 1, state);
  }

  /**
   * Stops a loop of logins that open sessions without effect. If the issuer answers them without the user,
   * the browser would be redirected without end.
   *
   * @param reason why the last login had no effect, for the log
   * @throws OidcError `ERR_LOGIN_LOOP`
   */
  refuseLoop(cookies: CookieJar, reason: string): void {
    if (this.#recent(cookies).count < MAX_RECENT) return;
    const detail = `${MAX_RECENT} sign-ins within ${RECENT_SECONDS} seconds had no effect: ${reason}`;
    throw new OidcError('ERR_LOGIN_LOOP', { detail });
  }

  /** Removes the cookies of all unfinished logins, and the counter. */
  clear(cookies: CookieJar): void {
    for (const name of this.#inFlight(cookies)) cookies.clear(name);
    if (cookies.get(this.#counterName)) cookies.clear(this.#counterName);
  }

  #setRecent(cookies: CookieJar, count: number, state: string): void {
    const value = [count, loginIdOf(state), this.#seconds()].join('.');
    cookies.set(this.#counterName, value, RECENT_SECONDS);
  }

  // Other sites of the domain can set this cookie. It only decides about an error, for a few minutes.
  #recent(cookies: CookieJar): { count: number; loginId: string | undefined } {
    const [count, loginId, at] = cookies.get(this.#counterName)?.split('.') ?? [];
    const isRecent = Math.abs(this.#seconds() - Number(at)) <= MAX_RECENT_AGE_SECONDS;
    return isRecent ? { count: Number(count) || 0, loginId } : { count: 0, loginId: undefined };
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1000);
  }

  #cookieName(state: string): string {
    return this.#prefix + loginIdOf(state);
  }

  #inFlight(cookies: CookieJar): string[] {
    return cookies.names(this.#pattern).slice(0, MAX_NAMES_READ);
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[^\w-]/g, '\\$&');
}

function startOf(value: string): number {
  return Number.parseInt(value, 36) || 0;
}
