import { createPublicKey, type JsonWebKey } from 'node:crypto';

/** What a tenant file has for one key of a client: its PEM, or its JWK. */
interface Credential {
  readonly pem?: string | undefined;
  readonly jwk?: Readonly<Record<string, unknown>> | undefined;
  readonly alg?: string | undefined;
  readonly kid?: string | undefined;
}

export type PublicJwk = JsonWebKey & { readonly alg?: string; readonly kid?: string };

/**
 * The public key of a client that signs its assertions (RFC 7523 §2.2).
 *
 * @throws Error saying what to give instead.
 */
export function publicKeyOf({ pem, jwk, alg, kid }: Credential): PublicJwk {
  if ((pem === undefined) === (jwk === undefined)) throw new Error('give either a pem or a jwk');
  // A private key would be read all the same: it has no business in this file.
  if (pem?.includes('PRIVATE KEY') || jwk?.d !== undefined || jwk?.k !== undefined) {
    throw new Error('give the public key: the private one stays with the application');
  }
  const key = jwk === undefined ? fromPem(pem ?? '') : fromJwk(jwk);
  return { ...key, use: 'sig', ...(alg && { alg }), ...(kid && { kid }) };
}

function fromPem(pem: string): PublicJwk {
  try {
    return createPublicKey(pem).export({ format: 'jwk' }) as PublicJwk;
  } catch {
    throw new Error('the pem is no public key and no certificate');
  }
}

function fromJwk(jwk: Readonly<Record<string, unknown>>): PublicJwk {
  try {
    createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    return { ...jwk } as PublicJwk;
  } catch {
    throw new Error('the jwk is no public key (RFC 7517)');
  }
}
