import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';
import type { Credential } from './application-schema.ts';

type PublicJwk = JsonWebKeyInput['key'] & { readonly alg?: string; readonly kid?: string };

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 16_384;
/** Maximum that keeps the verification of an assertion fast. */
const MAX_RSA_EXPONENT = 2n ** 64n;

/** The private members of a JWK (RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * Returns the public key of a client that signs its assertions (RFC 7523 §2.2).
 *
 * @throws Error saying what to give instead of a private, shared, weak or unfit key.
 */
export function publicKeyOf(credential: Credential): PublicJwk {
  const { pem, jwk, alg: givenAlg, kid: givenKid } = credential;
  if ((pem === undefined) === (jwk === undefined)) throw new Error('give either a pem or a jwk');
  // `createPublicKey` would accept a private key too.
  if (pem?.includes('PRIVATE KEY') || PRIVATE.some((member) => jwk?.[member] !== undefined)) {
    throw new Error('give the public key: the private one stays with the application');
  }
  const key = readKey(credential);
  checkUse(jwk ?? {});
  const algorithms = algorithmsOf(key);
  const alg = oneOf('alg', givenAlg, jwk?.alg);
  if (alg !== undefined && !algorithms.includes(alg)) {
    throw new Error(`"alg" is ${alg}: for this key give ${algorithms.join(' or ')}`);
  }
  const kid = oneOf('kid', givenKid, jwk?.kid);
  return { ...key.export({ format: 'jwk' }), use: 'sig', ...(alg && { alg }), ...(kid && { kid }) };
}

function readKey({ pem = '', jwk }: Credential): KeyObject {
  try {
    return createPublicKey(jwk ? ({ key: jwk, format: 'jwk' } as JsonWebKeyInput) : pem);
  } catch {
    if (jwk) throw new Error('the jwk is no public key (RFC 7517)');
    throw new Error('the pem is no public key and no certificate');
  }
}

/** Checks the use and operations of a JWK (RFC 7517 §4.2, §4.3). */
function checkUse({ use, key_ops: operations }: Readonly<Record<string, unknown>>): void {
  const verifies = Array.isArray(operations) ? operations.includes('verify') : true;
  if ((use !== undefined && use !== 'sig') || !verifies) {
    throw new Error('the jwk is not for signatures: give one with "use": "sig", or without a use');
  }
}

function algorithmsOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject) {
  if (type === 'rsa') {
    const { modulusLength: bits = 0, publicExponent: exponent = 0n } = details ?? {};
    if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
      throw new Error(
        `the RSA key has ${bits} bits: give one of ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`,
      );
    }
    if (exponent < 3n || exponent % 2n === 0n || exponent > MAX_RSA_EXPONENT) {
      throw new Error('the exponent of the RSA key makes it unsafe: give one with 65537');
    }
    return ['RS256', 'PS256'];
  }
  // OpenSSL's name for P-256.
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return ['ES256'];
  if (type === 'ed25519') return ['EdDSA', 'Ed25519'];
  throw new Error('give an RSA key, an EC key on the curve P-256, or an Ed25519 key');
}

/** Returns the given value, or the one in the key. @throws Error when they differ. */
function oneOf(name: string, given: string | undefined, within: unknown): string | undefined {
  if (within !== undefined && (typeof within !== 'string' || within === '')) {
    throw new Error(`"${name}" of the jwk must be a text`);
  }
  if (given !== undefined && within !== undefined && given !== within) {
    throw new Error(`"${name}" is ${given} here and ${within} in the jwk: give it once`);
  }
  return given ?? within;
}
