/**
 * The algorithms that an issuer's keys are read for (RFC 7518 §3.1, RFC 8037, RFC 9864): asymmetric
 * ones only (RFC 8725 §3.1), so that no public key can ever pass for a secret.
 */
export const SIGNING_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** One of them. */
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];
