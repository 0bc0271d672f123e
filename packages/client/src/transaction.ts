import { createHash } from 'node:crypto';
import { type CookieJar, cookiePrefix } from './cookies.ts';
import type { Seal } from './seal.ts';

/** What must survive the way to the authorization server and back. */
export interface Transaction {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  /** The issuer it was sent to (RFC 9700 §4.4.2). */
  readonly issuer: string;
  readonly redirectURI: string;
  readonly scope: string;
  readonly audience: string | undefined;
  readonly maxAge: number | undefined;
  readonly returnTo: string;
  /** Seconds since 1970. */
  readonly startedAt: number;
}

export interface Transactions {
  /** Keeps a transaction in a cookie of its own; the oldest of too many makes room. */
  begin(cookies: CookieJar, transaction: Transaction): Promise<void>;
  /** @returns the transaction this browser began with this state, or undefined */
  find(cookies: CookieJar, state: string): Promise<Transaction | undefined>;
  /** Ends a transaction. @returns false when it had been ended before */
  end(cookies: CookieJar, state: string): boolean;
  clear(cookies: CookieJar): void;
}

interface TransactionsOptions {
  seal: Seal;
  secure: boolean;
  /** Milliseconds since 1970. */
  now: () => number;
}

const LIFETIME = 600;
const MAX_IN_FLIGHT = 5;
/** Of all of them together: Node takes 16 kB of headers, and these come with every request. */
const MAX_BYTES = 6144;
/** Names that others planted cost no more than this. */
const MAX_LOOKED_AT = 20;
const MAX_REMEMBERED = 50_000;

/**
 * The logins in flight: one sealed cookie each, named after its state, so that several tabs can
 * sign in at once and none can finish another's.
 */
export function createTransactions({ seal, secure, now }: TransactionsOptions): Transactions {
  const prefix = `${cookiePrefix(secure)}login.`;
  const pattern = new RegExp(`^${prefix.replace('.', '\\.')}[\\w-]{16}$`);
  const cookieName = (state: string) =>
    prefix + createHash('sha256').update(state).digest('base64url').slice(0, 16);
  const inFlight = (cookies: CookieJar) => cookies.names(pattern).slice(0, MAX_LOOKED_AT);
  const ended = new Map<string, number>();

  return {
    async begin(cookies, transaction) {
      const name = cookieName(transaction.state);
      // The time stands in clear so that the oldest can be told without opening all.
      const time = Math.floor(now()).toString(36);
      const value = `${time}~${await seal.seal(transaction, name)}`;

      const others = inFlight(cookies)
        .map((other) => ({ name: other, value: cookies.get(other) ?? '' }))
        .sort((a, b) => startOf(b.value) - startOf(a.value));
      let bytes = name.length + value.length;
      for (const [index, other] of others.entries()) {
        bytes += other.name.length + other.value.length;
        if (index >= MAX_IN_FLIGHT - 1 || bytes > MAX_BYTES) cookies.clear(other.name);
      }
      cookies.set(name, value, LIFETIME);
    },

    async find(cookies, state) {
      const name = cookieName(state);
      const sealed = cookies.get(name)?.split('~')[1];
      if (!sealed || ended.has(name)) return undefined;
      const transaction = (await seal.open(sealed, name)) as Transaction | undefined;
      if (transaction?.state !== state) return undefined;
      return now() / 1000 - transaction.startedAt <= LIFETIME ? transaction : undefined;
    },

    end(cookies, state) {
      const name = cookieName(state);
      cookies.clear(name);
      if (ended.has(name)) return false;
      forgetOld(ended, now());
      ended.set(name, now());
      return true;
    },

    clear(cookies) {
      for (const name of inFlight(cookies)) cookies.clear(name);
    },
  };
}

function startOf(value: string): number {
  return Number.parseInt(value, 36) || 0;
}

// A Map keeps the order of insertion, which here is the order of age.
function forgetOld(ended: Map<string, number>, now: number): void {
  for (const [name, endedAt] of ended) {
    if (ended.size < MAX_REMEMBERED && now - endedAt <= LIFETIME * 1000) return;
    ended.delete(name);
  }
}
