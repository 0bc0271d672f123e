import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { InvalidOptions, unknownOptions } from '../errors.ts';
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
  ...unknown
}: {
  kid?: string | undefined;
  alg?: TestAlgorithm | undefined;
} = {}): TestKey {
  rejectUnknown(unknown);
  if (!TEST_ALGORITHMS.includes(alg)) {
    throw new InvalidOptions(`alg must be one of ${TEST_ALGORITHMS.join(', ')}`);
  }
  const namedCurve = CURVES[alg];
  const pair = namedCurve
    ? generateKeyPairSync('ec', { namedCurve })
    : alg.startsWith('Ed')
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return Object.freeze({ kid, alg, ...pair });
}

/** @throws InvalidOptions naming the options of this object, which a function does not have */
export function rejectUnknown(options: object): void {
  const [fault] = unknownOptions(options);
  if (fault !== undefined) throw new InvalidOptions(fault);
}

/** Returns the public key as a JWK (RFC 7517 §4) for a key set. */
export function publicJwk({ kid, alg, publicKey }: TestKey): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}
