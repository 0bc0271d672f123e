import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';

/** The algorithms that a test issuer can sign with: all that a strict verifier accepts. */
export const TEST_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const;

/** An algorithm (RFC 7518 §3.1, RFC 8037, RFC 9864) that a test key can sign with. */
export type TestAlgorithm = (typeof TEST_ALGORITHMS)[number];

/** One key pair of a test issuer, with the name and the algorithm it bears in the key set. */
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
