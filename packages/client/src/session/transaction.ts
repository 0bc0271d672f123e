import { createHash } from 'node:crypto';
import { type CookieJar, cookiePrefix } from '../browser/cookies.ts';
import type { Transaction } from '../oauth/authorization-request.ts';
import type { Seal } from './seal.ts';
import { reached, type SessionStore } from './session-store.ts';

export interface Transactions {
  /** Keeps a transaction in a cookie of its own; the oldest of too many makes room. */
  begin(cookies: CookieJar, transaction: Transaction): Promise<void>;
  /** @returns the transaction this browser began with this state, or undefined */
  find(cookies: CookieJar, state: string): Promise<Transaction | undefined>;
  /**
   * Ends a transaction that was found, over all processes that share the store.
   *
   * @returns false when it had been ended before
   * @throws OidcError `ERR_SESSION_STORE`
   */
  end(cookies: CookieJar, transaction: Transaction): Promise<boolean>;
  clear(cookies: CookieJar): void;
}

interface TransactionsOptions {
  seal: Seal;
  /** Remembers which were ended. */
  store: Pick<SessionStore, 'once'>;
  secure: boolean;
  /** Milliseconds since 1970. */
  now: () => number;
}

const LIFETIME = 600;
const MAX_IN_FLIGHT = 5;
/** Of all of them together: Node takes 16 kB of headers, and these come with every request. */
const MAX_BYTES = 6144;
/** Of one of them: browsers drop a cookie of more than 4096, attributes included. */
const MAX_COOKIE = 3900;
/** Names that others planted cost no more than this. */
const MAX_LOOKED_AT = 20;

/**
 * The logins in flight: one sealed cookie each, named after its state, so that several tabs can
 * sign in at once and none can finish another's.
 */
export function createTransactions(options: TransactionsOptions): Transactions {
  const { seal, store, secure, now } = options;
  const prefix = `${cookiePrefix(secure)}login.`;
  const pattern = new RegExp(`^${prefix.replace('.', '\\.')}[\\w-]{16}$`);
  const cookieName = (state: string) => prefix + hash(state).slice(0, 16);
  const inFlight = (cookies: CookieJar) => cookies.names(pattern).slice(0, MAX_LOOKED_AT);

  return {
    async begin(cookies, transaction) {
      const name = cookieName(transaction.state);
      // The time stands in clear so that the oldest can be told without opening all.
      const time = Math.floor(now()).toString(36);
      const sealed = async (kept: Transaction) => `${time}~${await seal.seal(kept, name)}`;
      let value = await sealed(transaction);
      // The record of a flow is for looking at; the sign-in must go on without it.
      if (transaction.flow && name.length + value.length > MAX_COOKIE) {
        value = await sealed({ ...transaction, flow: [] });
      }

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
      if (!sealed) return undefined;
      const transaction = (await seal.open(sealed, name)) as Transaction | undefined;
      if (transaction?.state !== state) return undefined;
      return now() / 1000 - transaction.startedAt <= LIFETIME ? transaction : undefined;
    },

    async end(cookies, { state, startedAt }) {
      // Longer than it can be found, as the clock of the store may differ.
      const until = Math.ceil(startedAt) + LIFETIME + 60;
      const isFirst = await reached(() => store.once(`login ${hash(state)}`, until));
      cookies.clear(cookieName(state));
      return isFirst;
    },

    clear(cookies) {
      for (const name of inFlight(cookies)) cookies.clear(name);
    },
  };
}

function startOf(value: string): number {
  return Number.parseInt(value, 36) || 0;
}

function hash(state: string): string {
  return createHash('sha256').update(state).digest('base64url');
}
