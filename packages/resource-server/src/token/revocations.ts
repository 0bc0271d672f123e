import { hash } from 'node:crypto';
import { answerInTime } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';
import { AuthError, InvalidTokenError, unavailable } from '../errors.ts';
import { OptionFaults } from '../option-faults.ts';
import { acceptLogoutToken, type LogoutTokenOptions } from '../request/back-channel-logout.ts';
import { type ExpiringSet, memorySet } from '../stores/expiring-set.ts';
import { type AccessTokenClaims, isNumericDate, isText, YEAR_9999 } from './jwt-access-token.ts';

/**
 * Reports whether a token was revoked. Recognize it by `iss` and `jti`, or by `sub` and `iat` (all
 * tokens of a user before a moment). Do not compare the text of the token: an ECDSA signature can be
 * changed without its key and stays valid.
 *
 * @example
 * const isRevoked: IsRevoked = ({ iss, jti }) => store.has(`revoked ${iss} ${jti}`);
 */
export type IsRevoked = (claims: AccessTokenClaims) => boolean | Promise<boolean>;

/** Options of `revocations`; each has a default. */
export interface RevocationsOptions {
  /** All processes of the API must share it. Default: `memorySet()`, for one process. */
  store?: ExpiringSet | undefined;
  /**
   * Longest life of a token in seconds, after which a revocation can be forgotten. Requests with a token
   * that lives longer, by `iat` and `exp`, are answered 503. Default: 30 days, the maximum of Auth0.
   */
  maxTokenLifetime?: number | undefined;
  /** Name of a custom claim that has the session's id, for tokens without `sid`. Default: none */
  sessionClaim?: string | undefined;
  /** Milliseconds since 1970. Default: `Date.now` */
  now?: (() => number) | undefined;
}

/** Revoked access tokens. Every `iss` must be exactly that of the tokens, a slash at its end included. */
export interface Revocations {
  /** Reports whether a token was revoked, for `auth({ isRevoked })`. Asks the store once. */
  readonly isRevoked: IsRevoked;
  /** Revokes one token by its `jti`, until its `exp`. Accepts `ctx.state.auth.payload`. */
  revoke(token: { iss: string; jti?: string | undefined; exp: number }): Promise<void>;
  /** Revokes all tokens of one session, also later ones. */
  revokeSession(session: { iss: string; sid: string }): Promise<void>;
  /** Revokes all tokens of a user that were issued before a time, in seconds since 1970. */
  revokeUser(user: { iss: string; sub: string; before: number }): Promise<void>;
  /**
   * Returns the handler of `POST` requests in which the issuer reports that a session or a user signed out
   * (OpenID Connect Back-Channel Logout 1.0 §2.5). It throws `ERR_LOGOUT_TOKEN` (400)
   * for a wrong or used token, an AuthError with 503 when the store fails, an IssuerError when the issuer is
   * unavailable.
   *
   * @throws InvalidOptions that names every wrong option
   */
  backChannelLogout(options: LogoutTokenOptions): Middleware;
}

/**
 * Rejects a revoked token.
 *
 * @throws InvalidTokenError `revoked`; AuthError `ERR_REVOCATION_UNAVAILABLE` (503) when `isRevoked`
 *   throws, does not answer in time, or returns anything except true and false
 */
export async function checkRevocation(
  claims: AccessTokenClaims,
  isRevoked: IsRevoked,
): Promise<void> {
  let revoked: unknown;
  try {
    revoked = await answerInTime(isRevoked(claims));
  } catch (cause) {
    throw unavailable('ERR_REVOCATION_UNAVAILABLE', 'isRevoked', cause);
  }
  if (revoked === true) throw new InvalidTokenError('revoked');
  if (revoked !== false) {
    const detail = `isRevoked answered ${typeof revoked}`;
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', { detail });
  }
}

const DAY_SECONDS = 24 * 3600;
/** `auth` tolerates clocks that differ by up to 300 seconds, for `iat` and for `exp`. */
const CLOCK_RESERVE_SECONDS = 600;

/**
 * Makes a list of revoked tokens, for `auth({ isRevoked })`: by `jti`, by session (`sid`), or by user
 * (`sub`) before a moment. Names of different issuers are never compared. An entry is removed when the
 * last token that it revokes has expired.
 *
 * A method rejects with an AuthError `ERR_REVOCATION_UNAVAILABLE` (503) when the store fails or does not
 * answer within 2 seconds, with a TypeError when a value is missing.
 *
 * @throws InvalidOptions that names every wrong option
 * @example
 * const revoked = revocations({ store: redisSet({ url }) });
 * const clientID = 'web-app'; // of the application whose users sign out
 * router.post('/backchannel-logout', revoked.backChannelLogout({ issuer, clientID }));
 * router.use(auth({ issuer, audience, isRevoked: revoked.isRevoked }));
 * router.post('/sign-out', async (ctx) => {
 *   await revoked.revoke(ctx.state.auth.payload);
 *   ctx.status = 204;
 * });
 */
export function revocations(options: RevocationsOptions = {}): Revocations {
  const { now = Date.now, ...others } = options;
  const { maxTokenLifetime = 30 * DAY_SECONDS, sessionClaim, ...rest } = others;
  const { store = memorySet({ now }), ...unknown } = rest;
  const faults = new OptionFaults();
  faults.add(typeof now !== 'function', 'now must be a function');
  faults.addStore('store', store, ['add', 'setIfGreater', 'getNumbers']);
  const isLifetime =
    Number.isSafeInteger(maxTokenLifetime) &&
    maxTokenLifetime > 0 &&
    maxTokenLifetime <= 366 * DAY_SECONDS;
  faults.add(!isLifetime, 'maxTokenLifetime must be whole seconds above 0, at most 366 days');
  const isClaim = sessionClaim === undefined || isText(sessionClaim);
  faults.add(!isClaim, 'sessionClaim must be a non-empty string');
  faults.addUnknown(unknown);
  faults.throwIfAny('revocations');
  return new RevocationList(store, maxTokenLifetime, sessionClaim, now);
}

class RevocationList implements Revocations {
  readonly #store: ExpiringSet;
  readonly #maxTokenLifetime: number;
  readonly #sessionClaim: string | undefined;
  readonly #now: () => number;
  /** Keys by payload. Requests with a cached token share its payload, and hash its names once. */
  readonly #keys = new WeakMap<AccessTokenClaims, readonly string[]>();

  constructor(
    store: ExpiringSet,
    maxTokenLifetime: number,
    sessionClaim: string | undefined,
    now: () => number,
  ) {
    this.#store = store;
    this.#maxTokenLifetime = maxTokenLifetime;
    this.#sessionClaim = sessionClaim;
    this.#now = now;
  }

  readonly isRevoked = (claims: AccessTokenClaims): boolean | Promise<boolean> => {
    const { iat, exp } = claims;
    const issuedBefore = iat ?? this.#now() / 1000;
    // Its revocation might have been removed already.
    if (!(exp - issuedBefore <= this.#maxTokenLifetime)) {
      throw new Error('the token lives longer than maxTokenLifetime');
    }
    const keys = this.#keysOf(claims);
    const numbers = this.#store.getNumbers(keys);
    return 'then' in numbers
      ? numbers.then((values) => isBefore(iat, values, keys.length))
      : isBefore(iat, numbers, keys.length);
  };

  async revoke({ iss, jti, exp }: { iss: string; jti?: string | undefined; exp: number }) {
    checkNames({ iss, jti });
    checkTime('exp', exp);
    await this.#add('jti', iss, jti as string, YEAR_9999, exp);
  }

  async revokeSession({ iss, sid }: { iss: string; sid: string }) {
    checkNames({ iss, sid });
    await this.#add('sid', iss, sid, YEAR_9999, this.#now() / 1000 + this.#maxTokenLifetime);
  }

  async revokeUser({ iss, sub, before }: { iss: string; sub: string; before: number }) {
    checkNames({ iss, sub });
    checkTime('before', before);
    const latest = Math.max(before, this.#now() / 1000);
    await this.#add('sub', iss, sub, before, latest + this.#maxTokenLifetime);
  }

  backChannelLogout(options: LogoutTokenOptions): Middleware {
    return acceptLogoutToken(options, {
      now: this.#now,
      endSession: async (claims) => {
        const { iss, iat } = claims;
        if (claims.sid !== undefined) await this.revokeSession({ iss, sid: claims.sid });
        // Tokens of the same second may be older than the logout.
        else await this.revokeUser({ iss, sub: claims.sub, before: Math.floor(iat) + 1 });
      },
      useOnce: ({ iss, jti }, until) =>
        storeCall(() => this.#store.add(keyOf('logout token', iss, jti), until)),
    });
  }

  async #add(kind: Kind, iss: string, name: string, before: number, lastExpiry: number) {
    const until = lastExpiry + CLOCK_RESERVE_SECONDS;
    await storeCall(() => this.#store.setIfGreater(keyOf(kind, iss, name), before, until));
  }

  #keysOf(claims: AccessTokenClaims): readonly string[] {
    const known = this.#keys.get(claims);
    if (known) return known;
    const { iss, jti, sub } = claims;
    const sid = claims.sid ?? (this.#sessionClaim && claims[this.#sessionClaim]);
    const keys = [keyOf('sub', iss, sub)];
    if (isText(jti)) keys.push(keyOf('jti', iss, jti));
    if (isText(sid)) keys.push(keyOf('sid', iss, sid));
    this.#keys.set(claims, keys);
    return keys;
  }
}

type Kind = 'jti' | 'sid' | 'sub' | 'logout token';

// The list keeps the names apart, whatever they contain. The store need not hash the key again.
function keyOf(kind: Kind, iss: string, name: string): string {
  return `revoked ${hash('sha256', JSON.stringify([kind, iss, name]), 'base64url')}`;
}

// A token without `iat` is before each moment.
function isBefore(iat: number | undefined, numbers: readonly unknown[], count: number): boolean {
  if (numbers.length !== count) throw new TypeError('getNumbers must return a number for each key');
  // A value that is no number revokes.
  return numbers.some((number) => number !== undefined && !((iat ?? 0) >= (number as number)));
}

async function storeCall<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await answerInTime(call());
  } catch (cause) {
    throw new AuthError('ERR_REVOCATION_UNAVAILABLE', {
      message: 'the revocation cannot be stored right now',
      detail: 'revocations.store failed',
      cause,
    });
  }
}

function checkNames(names: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(names)) {
    if (!isText(value)) throw new TypeError(`${name} must be a non-empty string`);
  }
}

// A time in milliseconds, read as seconds, is after the year 9999.
function checkTime(name: string, value: unknown): void {
  if (!isNumericDate(value)) throw new TypeError(`${name} must be seconds since 1970`);
}
