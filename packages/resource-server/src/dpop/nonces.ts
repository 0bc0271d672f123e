import { createHmac } from 'node:crypto';
import { answerInTime } from '@koa-oauth/issuer';
import { unavailable } from '../errors.ts';
import type { ExpiringSet } from '../stores/expiring-set.ts';

/** Milliseconds for which a nonce is the newest. It is accepted for as long again. */
const NEWEST_MS = 60_000;
const RELOAD_AFTER_MS = 1000;
const NONCE_LENGTH = 32;

/**
 * Nonces that a server gives to clients (RFC 9449 §9). They are not stored: each is made from the number
 * of its minute and a secret that all processes share. Two are accepted at a time.
 */
export class Nonces {
  readonly #store: ExpiringSet;
  readonly #now: () => number;
  #secret: string | undefined;
  #loading: Promise<string> | undefined;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #made: { readonly minute: number; readonly newest: string; readonly older: string } | undefined;

  constructor(store: ExpiringSet, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Returns the newest nonce, or undefined before the first request that needs one. */
  get newest(): string | undefined {
    return this.#secret === undefined ? undefined : this.#make(this.#secret).newest;
  }

  /**
   * Reports whether a nonce is one of the two. The secret of an emptied store is another one, so it is
   * read again for a nonce that is not known, once a second.
   *
   * @throws AuthError `ERR_DPOP_STORE_UNAVAILABLE` (503) when the store does not give the secret
   */
  async isFresh(nonce: string | undefined): Promise<boolean> {
    const secret = this.#secret ?? (await this.#load());
    if (this.#isOneOf(secret, nonce)) return true;
    if (nonce === undefined || performance.now() - this.#loadedAt < RELOAD_AFTER_MS) return false;
    return this.#isOneOf(await this.#load(), nonce);
  }

  #isOneOf(secret: string, nonce: string | undefined): boolean {
    const { newest, older } = this.#make(secret);
    return nonce === newest || nonce === older;
  }

  #make(secret: string) {
    const minute = Math.floor(this.#now() / NEWEST_MS);
    if (this.#made?.minute !== minute) {
      const nonceOf = (number: number) =>
        createHmac('sha256', secret)
          .update(`DPoP nonce ${number}`)
          .digest('base64url')
          .slice(0, NONCE_LENGTH);
      this.#made = { minute, newest: nonceOf(minute), older: nonceOf(minute - 1) };
    }
    return this.#made;
  }

  #load(): Promise<string> {
    this.#loading ??= this.#read().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #read(): Promise<string> {
    try {
      const secret = await answerInTime(this.#store.sharedSecret());
      if (typeof secret !== 'string' || secret === '') throw new TypeError('no secret');
      if (secret !== this.#secret) this.#made = undefined;
      this.#secret = secret;
      this.#loadedAt = performance.now();
      return secret;
    } catch (cause) {
      throw unavailable('ERR_DPOP_STORE_UNAVAILABLE', 'dpop.store', cause);
    }
  }
}
