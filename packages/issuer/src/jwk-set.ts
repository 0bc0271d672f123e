import { createPublicKey, type KeyObject } from 'node:crypto';
import type { JwksClient } from 'jwks-rsa';
import { IssuerError, issuerUnavailable } from './errors.ts';
import type { LeftOutKey } from './events.ts';
import { type Fetched, type FetchedJson, KeptFresh, type KeptFreshOptions } from './kept-fresh.ts';
import {
  type CheckedJwk,
  checkPublicJwk,
  MAX_KID_LENGTH,
  type SigningAlgorithm,
  weaknessOf,
} from './public-jwk.ts';

/**
 * A public key that verifies signatures of one algorithm, and no other (RFC 8725 §3.1). A JWK without
 * `alg` becomes one of these for each algorithm of its type.
 */
export interface SigningKey {
  readonly kid: string | undefined;
  readonly alg: SigningAlgorithm;
  readonly key: KeyObject;
}

/** Header members that select a verification key (RFC 7515 §4.1). Unverified, so of any type. */
export interface KeyHeader {
  readonly alg?: unknown;
  readonly kid?: unknown;
}

/** Usable keys of a set. */
interface Keys {
  readonly all: readonly SigningKey[];
  /** Keys under `alg`, then `kid`. Undefined has all of an algorithm. */
  readonly byAlg: ReadonlyMap<unknown, ReadonlyMap<unknown, readonly SigningKey[]>>;
}

interface PublishedSet {
  readonly candidates: readonly CheckedJwk[];
  readonly leftOut: LeftOutKey[];
  readonly maxAge: number | undefined;
}

const MAX_KEYS = 100;
// A forged token costs one verification with each.
const MAX_KEYS_OF_ONE_NAME = 4;

/** Options of `JwkSet`. */
export interface JwkSetOptions
  extends Pick<KeptFreshOptions<unknown>, 'monotonicNow' | 'maxStale' | 'onFailed' | 'onStale'> {
  fetch: () => Promise<FetchedJson>;
  /** Minimum milliseconds between two fetches made because of an unknown key. */
  cooldown: number;
  onRefreshed?: (keys: readonly SigningKey[]) => void;
  onLeftOut?: (keys: readonly LeftOutKey[]) => void;
}

/** Signing keys of one issuer: fetched as a whole, kept fresh, and found by a token's header. */
export class JwkSet {
  readonly #options: JwkSetOptions;
  readonly #keys: KeptFresh<Keys>;
  #client: Pick<JwksClient, 'getSigningKeys'> | undefined;
  /** The set that the client's fetch brought. */
  #published: PublishedSet | undefined;
  #lookAgainAt = -Infinity;

  constructor(options: JwkSetOptions) {
    this.#options = options;
    this.#keys = new KeptFresh({
      ...options,
      fetch: () => this.#readKeys(),
      onFetched: ({ all }) => options.onRefreshed?.(all),
    });
  }

  /**
   * Finds the keys for a token's header: usually one, and at most four. Keys can share a name (RFC 7517
   * §4.5), so each must be tried. The set is fetched again for an unknown key, as after a rotation, but
   * at most once per cooldown: made-up names must not reach the issuer at will.
   *
   * @throws IssuerError `ERR_SIGNING_KEY_NOT_FOUND` when the issuer has no such key, another one when
   *   the set is not available
   */
  async find(header: KeyHeader): Promise<readonly SigningKey[]> {
    const { monotonicNow, cooldown } = this.#options;
    const { fetches } = this.#keys;
    const found = pick(await this.#keys.get(), header);
    if (found) return found;

    const seenBefore = this.#keys.fetches === fetches;
    if (seenBefore && (this.#keys.unsettled || monotonicNow() >= this.#lookAgainAt)) {
      this.#lookAgainAt = monotonicNow() + cooldown;
      const renewed = pick(await this.#keys.refresh(), header);
      if (renewed) return renewed;
    }
    throw new IssuerError('ERR_SIGNING_KEY_NOT_FOUND');
  }

  /** Fetches the set if none is held. @throws IssuerError */
  async ready(): Promise<void> {
    await this.#keys.get();
  }

  /**
   * Reports whether a key is known, without waiting, to be among the issuer's. Keeps the set fresh in
   * the background, so that a key that the issuer removed does not live on in what was verified with
   * it.
   */
  has(key: SigningKey): boolean {
    return this.#keys.current()?.all.includes(key) ?? false;
  }

  async #readKeys(): Promise<Fetched<Keys>> {
    this.#client ??= await createJwksClient(() => this.#fetchCandidates());
    const parsed = await this.#client.getSigningKeys().catch((error: Error) => {
      // jwks-rsa could parse none of them.
      if (error.name === 'JwksError') return [];
      throw error;
    });
    const { candidates, leftOut, maxAge } = this.#published as PublishedSet;
    // A key that stays keeps its identity, so that what was verified with it stays verified.
    const known = this.#keys.held?.all ?? [];
    const keys: SigningKey[] = [];
    for (const [index, { kid, algs }] of candidates.entries()) {
      const pem = parsed.find((key) => key.kid === String(index))?.getPublicKey();
      const key = pem === undefined ? undefined : createPublicKey(pem);
      const reason = key === undefined ? 'malformed' : weaknessOf(key);
      if (key === undefined || reason !== undefined) {
        leftOut.push({ kid: kid && printable(kid), reason: reason as string });
        continue;
      }
      for (const alg of algs) {
        const read: SigningKey = { kid, alg, key };
        if (keys.some((other) => isSameKey(other, read))) continue;
        keys.push(known.find((old) => isSameKey(old, read)) ?? read);
      }
    }
    if (keys.length === 0) {
      const reasons = leftOut.map(({ reason }) => reason).join(', ') || 'it is empty';
      throw issuerUnavailable(`the key set holds no usable key: ${reasons}`);
    }
    if (leftOut.length > 0) this.#options.onLeftOut?.(leftOut);
    return { value: { all: keys, byAlg: sortKeys(keys) }, maxAge };
  }

  /** Fetches the set, and selects the JWKs that jwks-rsa is to parse. */
  async #fetchCandidates(): Promise<{ keys: object[] }> {
    const { status, body, maxAge } = await this.#options.fetch();
    if (status !== 200) throw issuerUnavailable(`the key set answered ${status}`);
    const jwks = (body as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(jwks)) throw issuerUnavailable('the key set has no list "keys"');
    const candidates: CheckedJwk[] = [];
    const leftOut: LeftOutKey[] = [];
    for (const jwk of jwks.slice(0, MAX_KEYS)) {
      try {
        candidates.push(checkPublicJwk(jwk));
      } catch (error) {
        const { kid } = (jwk ?? {}) as { kid?: unknown };
        leftOut.push({
          kid: typeof kid === 'string' ? printable(kid.slice(0, MAX_KID_LENGTH)) : undefined,
          reason: (error as Error).message,
        });
      }
    }
    this.#published = { candidates, leftOut, maxAge };
    // jwks-rsa drops keys that it cannot parse without an error; the index shows which ones are left.
    return {
      keys: candidates.map(({ jwk, algs: [alg] }, index) => ({ ...jwk, alg, kid: String(index) })),
    };
  }
}

/** Fetches the JWKs that are to be parsed, each with a `kid` and an `alg`. */
type JwksFetcher = () => Promise<{ keys: object[] }>;

/**
 * Makes the client of jwks-rsa. It is loaded when first needed, as it requires jose, an ES module:
 * jest on Node 20 cannot do that, and there `node:crypto` parses the keys.
 */
export async function createJwksClient(
  fetcher: JwksFetcher,
): Promise<Pick<JwksClient, 'getSigningKeys'>> {
  try {
    const { JwksClient } = await import('jwks-rsa');
    return new JwksClient({ fetcher, cache: false, rateLimit: false });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_REQUIRE_ESM') throw error;
    return { getSigningKeys: () => parseWithNode(fetcher) };
  }
}

/** Parses keys as jwks-rsa does. */
export async function parseWithNode(
  fetcher: JwksFetcher,
): ReturnType<JwksClient['getSigningKeys']> {
  const { keys } = (await fetcher()) as { keys: { kid: string; alg: string }[] };
  return keys.flatMap((jwk) => {
    try {
      const key = createPublicKey({ key: jwk, format: 'jwk' });
      const publicKey = key.export({ format: 'pem', type: 'spki' }) as string;
      return [{ ...jwk, publicKey, getPublicKey: () => publicKey }];
    } catch {
      return [];
    }
  });
}

function sortKeys(keys: readonly SigningKey[]): Keys['byAlg'] {
  const byAlg = new Map<unknown, Map<unknown, SigningKey[]>>();
  for (const key of keys) {
    const byKid = byAlg.get(key.alg) ?? new Map<unknown, SigningKey[]>();
    byAlg.set(key.alg, byKid);
    for (const kid of new Set([key.kid, undefined])) {
      const ofName = byKid.get(kid) ?? [];
      byKid.set(kid, ofName);
      if (ofName.length < MAX_KEYS_OF_ONE_NAME) ofName.push(key);
    }
  }
  return byAlg;
}

function pick({ byAlg }: Keys, { alg, kid }: KeyHeader): readonly SigningKey[] | undefined {
  const keys = byAlg.get(alg)?.get(kid);
  // Without a "kid" the choice must be plain.
  return kid === undefined && keys?.length !== 1 ? undefined : keys;
}

// It is for a log, and another server wrote it.
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function isSameKey(a: SigningKey, b: SigningKey): boolean {
  return a.kid === b.kid && a.alg === b.alg && a.key.equals(b.key);
}
