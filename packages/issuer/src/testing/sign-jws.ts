import { constants, type KeyObject, sign } from 'node:crypto';
import type { TestAlgorithm } from './test-key.ts';

/** What signs: an algorithm and a private key, whether or not they belong together. */
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
