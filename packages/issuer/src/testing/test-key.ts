import { constants, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../public-jwk.ts';

/** Algorithms that a test issuer can sign with: all that `createIssuer` reads keys for. */
export const TEST_ALGORITHMS = SIGNING_ALGORITHMS;

/** Algorithm that a test key can sign with. */
export type TestAlgorithm = SigningAlgorithm;

/** Key pair of a test issuer, with its `kid` and `alg` in the key set. */
export interface TestKey {
  readonly kid: string;
  readonly alg: TestAlgorithm;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const CURVES: Partial<Record<TestAlgorithm, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
};

/**
 * Makes a key pair for an algorithm. An RSA key has 2048 bits.
 *
 * @param alg default: RS256
 * @param kid default: a random one
 */
export function createTestKey({
  kid = randomUUID(),
  alg = 'RS256',
}: {
  kid?: string | undefined;
  alg?: TestAlgorithm | undefined;
} = {}): TestKey {
  const namedCurve = CURVES[alg];
  const pair = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : alg.startsWith('Ed')
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return Object.freeze({ kid, alg, ...pair });
}

/** Returns the public key as a JWK (RFC 7517 §4) for a key set. */
export function publicJwk({ kid, alg, publicKey }: TestKey): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

/** Algorithm and private key that sign a token. They need not fit the token's header. */
export interface Signer {
  readonly alg: TestAlgorithm;
  readonly privateKey: KeyObject;
}

/**
 * Signs a header and a payload of any form (RFC 7515 §7.1). Text and bytes are used as they are, other
 * values as JSON. The header's `alg` has no effect.
 */
export function signJws(header: unknown, payload: unknown, signer: Signer): string {
  return signInput(`${encode(header)}.${encode(payload)}`, signer);
}

/** Signs the first two parts of a token, encoded in any way. */
export function signInput(input: string, { alg, privateKey }: Signer): string {
  const options = alg.startsWith('PS')
    ? {
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }
    : alg.startsWith('ES')
      ? { dsaEncoding: 'ieee-p1363' as const }
      : {};
  const hash = alg.startsWith('Ed') ? null : `sha${alg.slice(2)}`;
  const signature = sign(hash, Buffer.from(input), { key: privateKey, ...options });
  return `${input}.${signature.toString('base64url')}`;
}

/** Encodes text, bytes or JSON as one part of a token. */
export function encode(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString('base64url');
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text).toString('base64url');
}
