import { hash, type KeyObject } from 'node:crypto';
import {
  answerInTime,
  checkPublicJwk,
  decodeUnverifiedJwt,
  importPublicJwk,
  jwkThumbprint,
  type UnverifiedJwt,
} from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';
import { AuthError, InvalidProofError, InvalidTokenError, unavailable } from '../errors.ts';
import type { ExpiringSet } from '../stores/expiring-set.ts';
import { isNumericDate } from '../token/jwt-access-token.ts';
import { type Algorithm, isSignedWith, type VerifySignature } from '../token/signature.ts';
import { normalizeHttpURI, normalizePath } from './http-uri.ts';
import { Nonces } from './nonces.ts';

/** Checked options of `ProofVerifier`. */
export interface ProofOptions {
  /** Public address of the path `/`, without a slash at its end. */
  readonly baseURL: string;
  readonly algorithms: readonly Algorithm[];
  readonly store: ExpiringSet;
  /** True if each proof must have a nonce of this server. */
  readonly nonce: boolean;
  readonly verifySignature: VerifySignature;
  /** Seconds by which clocks may differ. */
  readonly clockTolerance: number;
  readonly now: () => number;
}

/** The last proof that a request has used: an `auth` behind another one does not use it again. */
export interface UsedProof {
  proof: string | undefined;
  readonly acceptedBy: Set<unknown>;
}

/** Parts of a request that a proof is for. */
export interface ProvenRequest {
  readonly method: string | undefined;
  /** Request target, as it arrived. */
  readonly target: string;
  /** Values of all `DPoP` header lines. */
  readonly proofs: readonly string[];
  readonly used: UsedProof;
  /** Called for a proof that is right, before it counts as used. The request ends with its error. */
  readonly beforeUse: () => Promise<void>;
}

/** Claims of a proof whose types were checked (RFC 9449 §4.2). */
interface ProofClaims extends Readonly<Record<string, unknown>> {
  readonly jti: string;
  readonly htm: string;
  readonly htu: string;
  readonly iat: number;
  readonly ath: string;
  readonly nonce?: string;
  readonly exp?: number;
  readonly nbf?: number;
}

const MAX_PROOF_LENGTH = 8 * 1024;
/** Seconds for which a proof is accepted, in addition to the tolerance. */
const MAX_AGE = 60;
/** Seconds by which the clocks of the processes of this API may differ. */
const PROCESS_TOLERANCE = 5;
/** Scheme and host of an absolute target. Koa makes a port that is no number the start of the path. */
const TARGET_HOST = /^https?:\/\/(?:[\w.~-]+|\[[\da-f:.]+\])(?::\d*)?(?=[/?]|$)/i;
const MAX_KEYS = 5000;
const MAX_USED = 10_000;
/** Characters of their names: a caller chooses a part of each. */
const MAX_USED_SIZE = 2_000_000;
// A caller chooses the key of a proof. A larger one would only cost time.
const MAX_RSA_BITS = 4096;
const MAX_RSA_EXPONENT = 2n ** 32n;

/** Verifies that the sender of a token has the key that the token is bound to (RFC 9449 §4.3). */
export class ProofVerifier {
  readonly #options: ProofOptions;
  readonly #nonces: Nonces | undefined;
  /** Imported keys by thumbprint: to import one takes longer than to verify with it. */
  readonly #keys = new LRUCache<string, KeyObject>({ max: MAX_KEYS });
  /** Expiry of the last proofs that this process has used. The store has all of all processes. */
  readonly #used = new LRUCache<string, number>({
    max: MAX_USED,
    maxSize: MAX_USED_SIZE,
    sizeCalculation: (_until, name) => name.length,
  });

  constructor(options: ProofOptions) {
    this.#options = options;
    this.#nonces = options.nonce ? new Nonces(options.store, options.now) : undefined;
  }

  /** Returns the nonce for the next proof, if one is needed and known. */
  get nonce(): string | undefined {
    return this.#nonces?.newest;
  }

  /**
   * Checks the proof of a request. The checks that need no key come first; the store is asked last, so
   * that only a proof that is right counts as used, and none of a revoked token.
   *
   * @param token the access token, which is verified
   * @param jkt thumbprint of the key that it is bound to
   * @throws InvalidProofError or AuthError `ERR_USE_DPOP_NONCE` (401), InvalidTokenError `key_binding`;
   *   AuthError with status 503 when the store or `verifySignature` fails
   */
  async verify(request: ProvenRequest, token: string, jkt: string): Promise<void> {
    const { verifySignature } = this.#options;
    const proof = readProof(request.proofs);
    const { header, payload } = decodeProof(proof);
    const { alg, jwk } = checkHeader(header, this.#options.algorithms);
    checkClaims(payload);
    const { used } = request;
    const isUsed = used.proof === proof;
    // A request may be verified again later: its proof was in time when it came.
    const isAccepted = isUsed && used.acceptedBy.has(this);
    this.#checkAddress(payload, request);
    if (!isAccepted) this.#checkTimes(payload);
    if (payload.ath !== hash('sha256', token, 'base64url')) {
      throw new InvalidProofError('proof_token');
    }
    if (jwkThumbprint(jwk) !== jkt) throw new InvalidTokenError('key_binding');
    if (this.#nonces && !isAccepted && !(await this.#nonces.isFresh(payload.nonce))) {
      throw new AuthError('ERR_USE_DPOP_NONCE');
    }
    const key = this.#keys.get(jkt) ?? this.#importKey(jkt, jwk);
    if (!(await isSignedWith({ alg, key }, proof, verifySignature))) {
      throw new InvalidProofError('proof_signature');
    }
    if (isUsed) await request.beforeUse();
    else {
      await this.#use(`dpop ${jkt} ${payload.jti}`, payload.iat, request.beforeUse);
      used.proof = proof;
      used.acceptedBy.clear();
    }
    used.acceptedBy.add(this);
  }

  #checkAddress({ htm, htu }: ProofClaims, { method, target }: ProvenRequest): void {
    const { baseURL } = this.#options;
    if (htm !== method) throw new InvalidProofError('proof_method');
    // RFC 9112 §3.2: a target can have a host, and no fragment. The host is not compared, as `Host` is not.
    const path = target.includes('#') ? undefined : normalizePath(target.replace(TARGET_HOST, ''));
    if (path === undefined || normalizeHttpURI(htu) !== baseURL + path) {
      throw new InvalidProofError('proof_address', `expected ${baseURL} and the path`);
    }
  }

  #checkTimes({ iat, exp, nbf }: ProofClaims): void {
    const { clockTolerance } = this.#options;
    const now = this.#options.now() / 1000;
    const end = Math.min(iat + MAX_AGE, exp ?? Number.POSITIVE_INFINITY) + clockTolerance;
    // A clock that gives no number accepts none.
    if (!(now < end)) {
      throw new InvalidProofError('proof_time', `made ${Math.round(now - iat)} s ago`);
    }
    if (Math.max(iat, nbf ?? 0) > now + clockTolerance) {
      throw new InvalidProofError('proof_time', 'its time lies ahead');
    }
  }

  #importKey(jkt: string, jwk: Readonly<Record<string, unknown>>): KeyObject {
    let key: KeyObject;
    try {
      key = importPublicJwk(jwk);
    } catch (error) {
      throw new InvalidProofError('proof_key', (error as Error).message);
    }
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    if (modulusLength > MAX_RSA_BITS || publicExponent > MAX_RSA_EXPONENT) {
      throw new InvalidProofError('proof_key', 'RSA key over 4096 bits, or exponent over 32 bits');
    }
    this.#keys.set(jkt, key);
    return key;
  }

  /** Uses up a proof. The store has its name for as long as the proof could be accepted. */
  async #use(name: string, iat: number, beforeUse: () => Promise<void>): Promise<void> {
    const { store, clockTolerance, now } = this.#options;
    // Copies of a proof need no query, also while the first has no answer.
    if ((this.#used.get(name) ?? 0) > now() / 1000) throw new InvalidProofError('proof_used');
    const until = iat + MAX_AGE + clockTolerance + PROCESS_TOLERANCE;
    this.#used.set(name, until);
    let isNew: boolean | undefined;
    try {
      await beforeUse();
      isNew = await addProof(store, name, until);
    } finally {
      if (isNew === undefined) this.#used.delete(name);
    }
    if (!isNew) throw new InvalidProofError('proof_used');
  }
}

/** @throws AuthError `ERR_DPOP_STORE_UNAVAILABLE` (503) when the store fails, or answers no boolean in time */
async function addProof(store: ExpiringSet, name: string, until: number): Promise<boolean> {
  let isNew: unknown;
  try {
    isNew = await answerInTime(store.add(name, until));
  } catch (cause) {
    throw unavailable('ERR_DPOP_STORE_UNAVAILABLE', 'dpop.store', cause);
  }
  if (typeof isNew === 'boolean') return isNew;
  const detail = `dpop.store answered ${typeof isNew}`;
  throw new AuthError('ERR_DPOP_STORE_UNAVAILABLE', { detail });
}

// A request with two proofs is ambiguous (RFC 9449 §4.3).
function readProof(proofs: readonly string[]): string {
  const [proof, ...others] = proofs;
  if (proof === undefined || others.length > 0) {
    throw new InvalidProofError('proof_missing', `${proofs.length} DPoP headers`);
  }
  return proof;
}

function decodeProof(proof: string): UnverifiedJwt {
  if (proof.length > MAX_PROOF_LENGTH) {
    throw new InvalidProofError('proof_malformed', `${proof.length} characters`);
  }
  try {
    return decodeUnverifiedJwt(proof);
  } catch (error) {
    throw new InvalidProofError('proof_malformed', (error as Error).message);
  }
}

function checkHeader(header: UnverifiedJwt['header'], algorithms: readonly Algorithm[]) {
  if (header.typ !== 'dpop+jwt') throw new InvalidProofError('proof_type');
  const alg = algorithms.find((name) => name === header.alg);
  if (alg === undefined) throw new InvalidProofError('proof_algorithm');
  // RFC 7515 §4.1.11: no extension is understood here, so none may be critical.
  if (header.crit !== undefined || header.b64 !== undefined) {
    throw new InvalidProofError('proof_malformed', '"crit" or "b64" is present');
  }
  try {
    const { jwk, algs } = checkPublicJwk(header.jwk);
    if (algs.includes(alg)) return { alg, jwk };
  } catch (error) {
    throw new InvalidProofError('proof_key', (error as Error).message);
  }
  throw new InvalidProofError('proof_key', 'the key is not for this algorithm');
}

function checkClaims(payload: UnverifiedJwt['payload']): asserts payload is ProofClaims {
  const isText = (name: string) => typeof payload[name] === 'string' && payload[name] !== '';
  const wrong =
    ['jti', 'htm', 'htu', 'ath'].find((name) => !isText(name)) ??
    (payload.nonce !== undefined && !isText('nonce') ? 'nonce' : undefined) ??
    ['iat', 'exp', 'nbf'].find(
      (name) => !isNumericDate(payload[name]) && (name === 'iat' || payload[name] !== undefined),
    );
  if (wrong === undefined) return;
  throw new InvalidProofError('proof_claim', `"${wrong}" is missing or has the wrong type`);
}
