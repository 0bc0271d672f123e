import { createPublicKey, type KeyObject } from 'node:crypto';
import { JwksClient } from 'jwks-rsa';
import { IssuerUnavailable, SigningKeyNotFound } from './errors.ts';
import type { FetchedJson } from './fetch-json.ts';
import { type Fetched, KeptFresh } from './kept-fresh.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from './signing-algorithms.ts';

/** A public key that verifies signatures of one algorithm, and no other (RFC 8725 §3.1). */
export interface SigningKey {
  readonly kid: string | undefined;
  readonly alg: SigningAlgorithm;
  readonly key: KeyObject;
}

/** What of a token's header picks its key (RFC 7515 §4.1). Unverified, so of any type. */
export interface KeyHeader {
  readonly alg?: unknown;
  readonly kid?: unknown;
}

/** A key of the published set that can't be used, and why. */
export interface LeftOutKey {
  readonly kid: string | undefined;
  readonly reason: string;
}

const ALGORITHMS: ReadonlyMap<string, ReadonlySet<string>> = new Map<string, Set<string>>([
  ['RSA', new Set(SIGNING_ALGORITHMS.filter((alg) => /^[RP]S/.test(alg)))],
  ['EC P-256', new Set(['ES256'])],
  ['EC P-384', new Set(['ES384'])],
  ['EC P-521', new Set(['ES512'])],
  ['OKP Ed25519', new Set(['EdDSA', 'Ed25519'])],
]);
const MAX_KEYS = 100;
const MAX_KID_LENGTH = 256;

/**
 * Reads a JWK Set (RFC 7517 §5) into keys. A key that can't be used is left out with a reason,
 * and the good ones still work.
 *
 * @throws IssuerUnavailable when the document is no key set, or holds no key that can be used
 */
export async function parseJwkSet(
  document: unknown,
): Promise<{ keys: SigningKey[]; leftOut: LeftOutKey[] }> {
  const jwks = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(jwks)) throw new IssuerUnavailable('the key set has no list "keys"');
  const keys: SigningKey[] = [];
  const leftOut: LeftOutKey[] = [];
  for (const jwk of jwks.slice(0, MAX_KEYS)) {
    const { kid } = (jwk ?? {}) as { kid?: unknown };
    try {
      keys.push(await parseJwk(jwk));
    } catch (error) {
      const reason = (error as Error).message;
      leftOut.push({
        kid: typeof kid === 'string' ? kid.slice(0, MAX_KID_LENGTH) : undefined,
        reason,
      });
    }
  }
  if (keys.length === 0) {
    const reasons = leftOut.map(({ reason }) => reason).join(', ') || 'it is empty';
    throw new IssuerUnavailable(`the key set holds no usable key: ${reasons}`);
  }
  return { keys, leftOut };
}

async function parseJwk(value: unknown): Promise<SigningKey> {
  if (typeof value !== 'object' || value === null) throw new Error('not an object');
  const jwk = value as Record<string, unknown>;
  if (jwk.d !== undefined || jwk.k !== undefined) throw new Error('private or symmetric key');
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Error('not for signatures');
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes('verify'))
    throw new Error('not for verifying');
  if (jwk.kid !== undefined && (typeof jwk.kid !== 'string' || jwk.kid.length > MAX_KID_LENGTH)) {
    throw new Error('"kid" is not a short string');
  }

  const allowed = ALGORITHMS.get(jwk.crv === undefined ? `${jwk.kty}` : `${jwk.kty} ${jwk.crv}`);
  if (!allowed) throw new Error('unsupported key type or curve');
  // Without "alg" a key serves the one algorithm that is usual for its type.
  const alg = jwk.alg === undefined ? [...allowed][0] : jwk.alg;
  if (typeof alg !== 'string' || !allowed.has(alg)) throw new Error('"alg" does not fit the key');

  const client = new JwksClient({
    jwksUri: 'unused:',
    cache: false,
    rateLimit: false,
    fetcher: async () => ({ keys: [jwk] }),
  });
  const [parsed] = await client.getSigningKeys().catch(() => []);
  if (!parsed) throw new Error('malformed');
  const key = createPublicKey(parsed.getPublicKey());
  if (jwk.kty === 'RSA') {
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    if (modulusLength < 2048) throw new Error('RSA key under 2048 bits'); // RFC 7518 §3.3
    // RFC 8017 §3.1. With the exponent 1 a signature is the text itself: anyone can write it.
    if (publicExponent < 3n || publicExponent % 2n === 0n)
      throw new Error('RSA exponent that is even or under 3');
  }
  return { kid: jwk.kid as string | undefined, alg: alg as SigningAlgorithm, key };
}

export interface JwkSetOptions {
  fetch: () => Promise<FetchedJson>;
  now: () => number;
  /** How long keys are used while the issuer is down, in milliseconds. */
  maxStale: number;
  /** The least time between two fetches made because of an unknown key, in milliseconds. */
  cooldown: number;
  onRefreshed?: (keys: readonly SigningKey[]) => void;
  onLeftOut?: (keys: readonly LeftOutKey[]) => void;
  onFailed?: (error: unknown) => void;
  onStale?: (ageMs: number) => void;
}

/** An issuer's signing keys: fetched as a whole, kept fresh, and found by a token's header. */
export class JwkSet {
  readonly #keys: KeptFresh<readonly SigningKey[]>;
  readonly #options: JwkSetOptions;
  #lookAgainAt = 0;

  constructor(options: JwkSetOptions) {
    this.#options = options;
    const { now, maxStale, onRefreshed, onFailed, onStale } = options;
    this.#keys = new KeptFresh({
      fetch: () => this.#fetch(),
      now,
      maxStale,
      onFetched: onRefreshed,
      onFailed,
      onStale,
    });
  }

  /**
   * Finds the key for a token's header. A key that isn't known, as after a rotation, is looked
   * for once more, but at most once per cooldown: made-up names can't reach the issuer at will.
   *
   * @throws SigningKeyNotFound when the issuer has no such key
   * @throws IssuerUnavailable when that can't be told
   */
  async find(header: KeyHeader): Promise<SigningKey> {
    const { now, cooldown } = this.#options;
    const { fetches } = this.#keys;
    const found = pick(await this.#keys.get(), header);
    if (found) return found;

    const seenBefore = this.#keys.fetches === fetches;
    if (seenBefore && (this.#keys.unsettled || now() >= this.#lookAgainAt)) {
      this.#lookAgainAt = now() + cooldown;
      const renewed = pick(await this.#keys.refresh(), header);
      if (renewed) return renewed;
    }
    throw new SigningKeyNotFound('the issuer has no key that fits the token');
  }

  /** Fetches the set if none is held. @throws IssuerUnavailable */
  async ready(): Promise<void> {
    await this.#keys.get();
  }

  /**
   * Whether a key is known, without waiting, to be among the issuer's. Keeps the set fresh in the
   * background, so that a key the issuer has given up does not live on in what was verified with it.
   */
  has(key: SigningKey): boolean {
    return this.#keys.current()?.includes(key) ?? false;
  }

  async #fetch(): Promise<Fetched<readonly SigningKey[]>> {
    const { status, body, maxAge } = await this.#options.fetch();
    if (status !== 200) throw new IssuerUnavailable(`the key set answered ${status}`);
    const { keys, leftOut } = await parseJwkSet(body);
    if (leftOut.length > 0) this.#options.onLeftOut?.(leftOut);
    // A key that stays keeps its identity, so that what was verified with it stays verified.
    const known = this.#keys.held ?? [];
    const value = keys.map((key) => known.find((old) => isSameKey(old, key)) ?? key);
    return { value, maxAge };
  }
}

function pick(keys: readonly SigningKey[], { alg, kid }: KeyHeader): SigningKey | undefined {
  const fitting = keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid));
  // Without a "kid" the choice must be plain.
  return fitting.length === 1 || kid !== undefined ? fitting[0] : undefined;
}

function isSameKey(a: SigningKey, b: SigningKey): boolean {
  return a.kid === b.kid && a.alg === b.alg && a.key.equals(b.key);
}
