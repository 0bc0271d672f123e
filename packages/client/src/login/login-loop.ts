import type { Context } from 'koa';
import { type CookieJar, cookiePrefix } from '../browser/cookies.ts';
import { foreignText, OidcError } from '../errors.ts';
import { loginIdOf } from '../oauth/authorization-endpoint.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { Transactions } from '../session/transaction.ts';

const MAX_LOGINS = 3;
const WITHIN_SECONDS = 30;

/**
 * Ends a chain of logins that succeed without effect: the issuer needs no user for them, so the browser
 * would be redirected without end. They are counted in a cookie that lasts half a minute.
 */
export class LoginLoop {
  readonly #cookieName: string;

  constructor({ secureCookies, session }: Pick<CheckedOptions, 'secureCookies' | 'session'>) {
    this.#cookieName = `${cookiePrefix(secureCookies)}${session.name}.recent`;
  }

  /** Counts a login that opened a session. */
  count(cookies: CookieJar, state: string): void {
    const value = `${this.#read(cookies).count + 1}.${loginIdOf(state)}`;
    cookies.set(this.#cookieName, value, WITHIN_SECONDS);
  }

  /** Reports whether this browser finished the login with this state within the last half minute. */
  hasFinished(cookies: CookieJar, state: string): boolean {
    return this.#read(cookies).loginId === loginIdOf(state);
  }

  /** @throws OidcError `ERR_LOGIN_LOOP` when another login would have no effect either */
  refuse(cookies: CookieJar, lacking: string): void {
    if (this.#read(cookies).count < MAX_LOGINS) return;
    const detail = `${MAX_LOGINS} sign-ins within ${WITHIN_SECONDS} seconds had no effect: ${lacking}`;
    throw new OidcError('ERR_LOGIN_LOOP', { detail });
  }

  clear(cookies: CookieJar): void {
    if (cookies.get(this.#cookieName)) cookies.clear(this.#cookieName);
  }

  // Others can plant it: it decides about an error, and about nothing else.
  #read(cookies: CookieJar): { count: number; loginId: string | undefined } {
    const [count, loginId] = cookies.get(this.#cookieName)?.split('.') ?? [];
    return { count: Number.parseInt(count ?? '', 10) || 0, loginId };
  }
}

/**
 * Refuses a callback at another path than that of the redirect URI. The page there would begin the next
 * login.
 *
 * @throws OidcError `ERR_LOGIN_LOOP`
 */
export function refuseStrayCallback(
  ctx: Context,
  cookies: CookieJar,
  transactions: Transactions,
): void {
  if (!ctx.querystring.includes('state=')) return;
  const { state, code, error } = ctx.query;
  if (typeof state !== 'string' || (code ?? error) === undefined) return;
  const transaction = transactions.find(cookies, state);
  if (!transaction) return;
  const expected = new URL(transaction.redirectURI).pathname;
  const detail = `the callback came to ${foreignText(ctx.path)}, not to ${expected}: a proxy changes the path in another way than removing that of baseURL`;
  throw new OidcError('ERR_LOGIN_LOOP', { detail });
}
