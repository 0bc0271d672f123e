import { createPublicKey, hash, type KeyObject } from 'node:crypto';

/**
 * Algorithms that keys are read for (RFC 7518 §3.1, RFC 8037, RFC 9864). They are asymmetric (RFC 8725
 * §3.1), so that a public key can never pass for a secret.
 */
export const SIGNING_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const;

/** Algorithms of the FAPI 2.0 Security Profile (§5.4.1). Its "EdDSA" is on Ed25519 alone. */
export const FAPI_ALGORITHMS = SIGNING_ALGORITHMS.filter((alg) => /^[PE]S256$|^Ed/.test(alg));

/** Algorithm that a key can be for. */
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A JWK that may be used if it can be parsed. */
export interface CheckedJwk {
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly kid: string | undefined;
  /** Algorithms that the key may verify. */
  readonly algs: readonly SigningAlgorithm[];
}

// "EdDSA" with a key on Ed25519 is what RFC 9864 §2.2 calls "Ed25519".
const ED25519: readonly SigningAlgorithm[] = ['EdDSA', 'Ed25519'];
const ALGORITHMS_OF_TYPE: ReadonlyMap<string, readonly SigningAlgorithm[]> = new Map<
  string,
  readonly SigningAlgorithm[]
>([
  ['RSA', SIGNING_ALGORITHMS.filter((alg) => /^[RP]S/.test(alg))],
  ['EC P-256', ['ES256']],
  ['EC P-384', ['ES384']],
  ['EC P-521', ['ES512']],
  ['OKP Ed25519', ED25519],
]);
/** Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const PRIVATE_MEMBERS = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
/** Members that a key's thumbprint is made of, in their order (RFC 7638 §3.2, RFC 8037 §2). */
const REQUIRED_MEMBERS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['RSA', ['e', 'kty', 'n']],
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
]);
export const MAX_KID_LENGTH = 256;

/**
 * Checks all of a public JWK that needs no parsing of the key itself: its type, use and algorithm.
 *
 * @throws Error whose message is the reason, without a part of the JWK
 * @example
 * const { jwk, algs } = checkPublicJwk(header.jwk);
 * if (algs.includes(header.alg)) key = importPublicJwk(jwk);
 */
export function checkPublicJwk(value: unknown): CheckedJwk {
  if (typeof value !== 'object' || value === null) throw new Error('not an object');
  const jwk = value as Readonly<Record<string, unknown>>;
  if (PRIVATE_MEMBERS.some((name) => jwk[name] !== undefined)) {
    throw new Error('private or symmetric key');
  }
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Error('not for signatures');
  if (
    jwk.key_ops !== undefined &&
    !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))
  ) {
    throw new Error('not for verifying');
  }
  const { kid } = jwk;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) {
    throw new Error('"kid" is not a short string');
  }
  const type = jwk.crv === undefined ? `${jwk.kty}` : `${jwk.kty} ${jwk.crv}`;
  const allowed = ALGORITHMS_OF_TYPE.get(type);
  if (!allowed) throw new Error('unsupported key type or curve');
  const { alg } = jwk;
  // Without "alg" a key serves all of its type (RFC 7517 §4.4) that the verifier accepts.
  if (alg === undefined) return { jwk, kid, algs: allowed };
  const named = allowed.find((name) => name === alg);
  if (named === undefined) throw new Error('"alg" does not fit the key');
  return { jwk, kid, algs: allowed === ED25519 ? ED25519 : [named] };
}

/**
 * Imports a public JWK that `checkPublicJwk` has accepted. Each key has one spelling: canonical
 * base64url, without leading zeros.
 *
 * @throws Error whose message is the reason: the key is malformed or weak
 * @example
 * const key = importPublicJwk(checkPublicJwk(header.jwk).jwk);
 */
export function importPublicJwk(jwk: Readonly<Record<string, unknown>>): KeyObject {
  const key = importPublishedJwk(jwk);
  const exported = key.export({ format: 'jwk' });
  const names = REQUIRED_MEMBERS.get(jwk.kty) ?? [];
  if (names.some((name) => exported[name] !== jwk[name])) throw new Error('malformed');
  return key;
}

/**
 * Imports a public JWK of a key set, in whatever spelling: with padding, or a zero before the modulus.
 *
 * @throws as `importPublicJwk`
 */
export function importPublishedJwk(jwk: Readonly<Record<string, unknown>>): KeyObject {
  const names = REQUIRED_MEMBERS.get(jwk.kty) ?? [];
  const members = Object.fromEntries(names.map((name) => [name, jwk[name]]));
  let key: KeyObject;
  try {
    key = createPublicKey({ key: members, format: 'jwk' });
  } catch {
    throw new Error('malformed');
  }
  const weakness = weaknessOf(key);
  if (weakness !== undefined) throw new Error(weakness);
  return key;
}

/**
 * Returns the SHA-256 thumbprint of a public JWK (RFC 7638 §3), as `cnf.jkt` of a token has it.
 *
 * @example
 * const isBound = payload.cnf.jkt === jwkThumbprint(publicJwk);
 */
export function jwkThumbprint(jwk: Readonly<Record<string, unknown>>): string {
  const names = REQUIRED_MEMBERS.get(jwk.kty) ?? [];
  const members = names.map((name) => `"${name}":${JSON.stringify(jwk[name])}`);
  return hash('sha256', `{${members.join()}}`, 'base64url');
}

/** Returns why a key is too weak to trust; undefined when it is not. */
export function weaknessOf(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType === 'ed25519') return weaknessOfEd25519(key);
  if (key.asymmetricKeyType !== 'rsa') return undefined;
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < 2048) return 'RSA key under 2048 bits'; // RFC 7518 §3.3
  // RFC 8017 §3.1. With the exponent 1 a signature is the text itself: anyone can write it.
  if (publicExponent < 3n || publicExponent % 2n === 0n)
    return 'RSA exponent that is even or under 3';
  return undefined;
}

const ED25519_PRIME = 2n ** 255n - 19n;
/** `y` of a point of order 8; that of another one is its negative. */
const ED25519_ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
/** `y` of the points of order 1, 2, 4 and 8. */
const ED25519_SMALL_ORDER: ReadonlySet<bigint> = new Set([
  1n,
  ED25519_PRIME - 1n,
  0n,
  ED25519_ORDER_8,
  ED25519_PRIME - ED25519_ORDER_8,
]);

// RFC 8032 §5.1.7 does not exclude points of small order. Under these, a signature that anyone can write
// fits every text, or one in eight.
function weaknessOfEd25519(key: KeyObject): string | undefined {
  const { x = '' } = key.export({ format: 'jwk' });
  const bytes = Buffer.from(x, 'base64url').reverse();
  // The highest bit is the sign of the other coordinate.
  const y = BigInt(`0x${bytes.toString('hex') || '0'}`) & (2n ** 255n - 1n);
  return ED25519_SMALL_ORDER.has(y % ED25519_PRIME) ? 'Ed25519 point of small order' : undefined;
}
