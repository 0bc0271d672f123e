import { createPrivateKey, type JsonWebKey, KeyObject } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '@koa-oauth/issuer';

/** A private key as an app has it: PEM, JWK (RFC 7517) or one of Node's. */
export type ClientSigningKeyInput =
  | string
  | Buffer
  | KeyObject
  | (JsonWebKey & { readonly kid?: string; readonly alg?: string });

/** The key that a client signs its assertions with. */
export interface ClientSigningKey {
  readonly key: KeyObject;
  readonly alg: ClientSigningAlg;
  /** From a JWK that has one: the authorization server's name for the key. */
  readonly kid: string | undefined;
}

/** An algorithm for client assertions. */
export type ClientSigningAlg = SigningAlgorithm;

export const CLIENT_SIGNING_ALGS = SIGNING_ALGORITHMS;

const RSA_ALGS = CLIENT_SIGNING_ALGS.filter((alg) => /^[RP]S/.test(alg));
const EC_ALGS: Readonly<Record<string, ClientSigningAlg>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
const MIN_RSA_BITS = 2048;

/**
 * Reads a client's private key.
 *
 * @param alg when undefined, the JWK's own `alg`, else RS256, EdDSA or what belongs to the curve
 * @throws TypeError with one sentence, which holds nothing of the key
 */
export function readClientSigningKey(
  input: unknown,
  alg: unknown = (input as { alg?: unknown } | undefined)?.alg,
): ClientSigningKey {
  const key = privateKey(input);
  const [usual, ...others] = algorithmsOf(key);
  const fitting = [usual, ...others];
  if (alg !== undefined && !fitting.includes(alg as ClientSigningAlg)) {
    throw new TypeError(`clientAssertionSigningAlg must be ${fitting.join(', ')} for this key`);
  }
  const { kid } = input as { kid?: unknown };
  return {
    key,
    alg: (alg as ClientSigningAlg | undefined) ?? usual,
    kid: typeof kid === 'string' ? kid : undefined,
  };
}

function privateKey(input: unknown): KeyObject {
  if (input instanceof KeyObject) {
    if (input.type === 'private') return input;
    throw unusable();
  }
  try {
    const isText = typeof input === 'string' || Buffer.isBuffer(input);
    return isText
      ? createPrivateKey(input)
      : createPrivateKey({ key: input as JsonWebKey, format: 'jwk' });
  } catch {
    // Node's own error may quote what it could not read.
    throw unusable();
  }
}

function algorithmsOf({
  asymmetricKeyType,
  asymmetricKeyDetails = {},
}: KeyObject): [ClientSigningAlg, ...ClientSigningAlg[]] {
  const { modulusLength = 0, namedCurve = '' } = asymmetricKeyDetails;
  const ofCurve = EC_ALGS[namedCurve];
  if (asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) {
    return RSA_ALGS as [ClientSigningAlg, ...ClientSigningAlg[]];
  }
  if (asymmetricKeyType === 'ec' && ofCurve) return [ofCurve];
  if (asymmetricKeyType === 'ed25519') return ['EdDSA', 'Ed25519'];
  throw new TypeError(
    `clientAssertionSigningKey must be RSA of ${MIN_RSA_BITS} bits or more, EC on P-256, P-384 or P-521, or Ed25519`,
  );
}

function unusable(): TypeError {
  return new TypeError('clientAssertionSigningKey must be a private key: PEM, JWK or KeyObject');
}
