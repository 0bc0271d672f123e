import { hash, randomUUID } from 'node:crypto';
import { jwkThumbprint } from '../public-jwk.ts';
import { signJws } from '../signed-jwt.ts';
import type { TestKey } from './test-key.ts';

/** Options of `createProof`. */
export interface ProofOptions {
  /** Key that the token is bound to. */
  readonly key: TestKey;
  /** Method of the request. */
  readonly method: string;
  /** Public address of the request. */
  readonly url: string;
  /** Access token that is sent with the proof. */
  readonly token: string;
  /** Nonce that the API gave. Default: none */
  readonly nonce?: string | undefined;
  /** Seconds since the epoch. Default: now */
  readonly now?: number | undefined;
}

/**
 * Makes a DPoP proof that an API accepts once (RFC 9449 §4.2).
 *
 * @param claims changes of the claims; undefined removes one
 * @param header changes of the header
 * @param signer key that signs, if it is not the one in the header
 * @example
 * const key = createTestKey({ alg: 'ES256' });
 * const token = issuer.token({ sub: 'alice', aud: audience, cnf: { jkt: thumbprintOf(key) } });
 * const dpop = createProof({ key, method: 'GET', url, token });
 * const answer = await fetch(url, { headers: { authorization: `DPoP ${token}`, dpop } });
 */
export function createProof(
  { key, method, url, token, nonce, now = Date.now() / 1000 }: ProofOptions,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  signer: TestKey = key,
): string {
  return signJws(
    { typ: 'dpop+jwt', alg: key.alg, jwk: key.publicKey.export({ format: 'jwk' }), ...header },
    {
      jti: randomUUID(),
      htm: method,
      htu: url,
      iat: Math.floor(now),
      ath: hash('sha256', token, 'base64url'),
      nonce,
      ...claims,
    },
    signer,
  );
}

/**
 * Returns the thumbprint of a key (RFC 7638), for the claim `cnf` of a token that is bound to it.
 *
 * @example
 * const token = issuer.token({ sub: 'alice', aud: audience, cnf: { jkt: thumbprintOf(key) } });
 */
export function thumbprintOf({ publicKey }: Pick<TestKey, 'publicKey'>): string {
  return jwkThumbprint(publicKey.export({ format: 'jwk' }));
}
