import { constants, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';

/** The algorithms that a test issuer can sign with: all that a strict verifier accepts. */
export const TEST_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const;

/** An algorithm (RFC 7518 §3.1, RFC 8037, RFC 9864) that a test key can sign with. */
export type TestAlgorithm = (typeof TEST_ALGORITHMS)[number];

/** One key pair of a test issuer, with its name and algorithm in the key set. */
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
 * Makes a key pair for an algorithm, RSA with 2048 bits.
 *
 * @param alg default RS256
 * @param kid default a random one
 */
export function createTestKey({
  kid = randomUUID(),
  alg = 'RS256',
}: {
  kid?: string;
  alg?: TestAlgorithm;
} = {}): TestKey {
  const namedCurve = CURVES[alg];
  const pair = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : alg.startsWith('Ed')
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return Object.freeze({ kid, alg, ...pair });
}

/** The public half as a JWK (RFC 7517 §4), as a key set shows it. */
export function publicJwk({ kid, alg, publicKey }: TestKey): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

/** Signer of tokens: an algorithm and a private key, whether or not they belong together. */
export interface Signer {
  readonly alg: TestAlgorithm;
  readonly privateKey: KeyObject;
}

/**
 * Joins a header and a payload, of whatever form, and signs them (RFC 7515 §7.1). Text and bytes
 * are taken as they are, anything else as JSON. What the header says of `alg` changes nothing.
 */
export function signJws(header: unknown, payload: unknown, signer: Signer): string {
  return signInput(`${encode(header)}.${encode(payload)}`, signer);
}

/** Signs the first two parts of a token, however they are spelled. */
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

export function encode(value: unknown): string {
  const bytes = Buffer.isBuffer(value) || typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(bytes as string).toString('base64url');
}
