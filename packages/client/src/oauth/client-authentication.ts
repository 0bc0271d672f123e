import { createPrivateKey, type JsonWebKey, KeyObject } from 'node:crypto';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '@koa-oauth/issuer';
import { SignJWT } from 'jose';
import { randomToken } from './authorization-endpoint.ts';

/** Credentials for one client authentication method (RFC 6749 §2.3). */
export type ClientCredentials = { readonly clientID: string } & (
  | {
      readonly clientAuthMethod: 'client_secret_basic' | 'client_secret_post';
      readonly clientSecret: string;
    }
  | { readonly clientAuthMethod: 'private_key_jwt'; readonly signingKey: ClientSigningKey }
  | { readonly clientAuthMethod: 'none' }
);

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const ASSERTION_LIFETIME_SECONDS = 60;

/**
 * Returns what authenticates one request: `client_secret_basic` and `client_secret_post`
 * (RFC 6749 §2.3.1), `private_key_jwt` (RFC 7523 §2.2), or the `client_id` alone.
 *
 * @param now seconds since 1970
 */
export async function authenticateClient(
  client: ClientCredentials,
  issuer: string,
  now: number,
): Promise<{ headers: Record<string, string>; form: Record<string, string> }> {
  const { clientID } = client;
  switch (client.clientAuthMethod) {
    case 'client_secret_basic': {
      // §2.3.1: both are form-encoded before they are joined, so a ":" in either stays unambiguous.
      const credentials = `${formEncode(clientID)}:${formEncode(client.clientSecret)}`;
      const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
      return { headers: { authorization }, form: {} };
    }
    case 'client_secret_post':
      return { headers: {}, form: { client_id: clientID, client_secret: client.clientSecret } };
    case 'private_key_jwt': {
      const assertion = await signAssertion(clientID, client.signingKey, issuer, now);
      const form = {
        client_id: clientID,
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: assertion,
      };
      return { headers: {}, form };
    }
    case 'none':
      return { headers: {}, form: { client_id: clientID } };
  }
}

/**
 * Signs an assertion for one request. The audience is the issuer alone (draft-ietf-oauth-rfc7523bis,
 * RFC 9126 §2): for an endpoint, another server's metadata could have the assertion made for it.
 */
function signAssertion(
  clientID: string,
  { key, alg, kid }: ClientSigningKey,
  issuer: string,
  now: number,
): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .setIssuer(clientID)
    .setSubject(clientID)
    .setAudience(issuer)
    .setJti(randomToken())
    .setIssuedAt(now)
    .setExpirationTime(now + ASSERTION_LIFETIME_SECONDS)
    .sign(key);
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1);
}

/** Private key of a client: PEM, JWK (RFC 7517) or Node's `KeyObject`. */
export type ClientSigningKeyInput =
  | string
  | Buffer
  | KeyObject
  | (JsonWebKey & { readonly kid?: string; readonly alg?: string });

/** The key that a client signs its assertions with. */
export interface ClientSigningKey {
  readonly key: KeyObject;
  readonly alg: SigningAlgorithm;
  /** From a JWK that has one: the authorization server's name for the key. */
  readonly kid: string | undefined;
}

const RSA_ALGS = SIGNING_ALGORITHMS.filter((alg) => /^[RP]S/.test(alg));
const EC_ALGS: Readonly<Record<string, SigningAlgorithm>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
const MIN_RSA_BITS = 2048;

/**
 * Reads a client's private key.
 *
 * @param wanted algorithm; when undefined, the JWK's own `alg`, else the first that fits the key
 * @param allowed algorithms of which it must be one
 * @throws TypeError with one sentence that contains no part of the key
 */
export function readClientSigningKey(
  input: unknown,
  wanted?: unknown,
  allowed: readonly SigningAlgorithm[] = SIGNING_ALGORITHMS,
): ClientSigningKey {
  const key = privateKey(input);
  const { kid, alg: ownAlg } = input as { kid?: unknown; alg?: unknown };
  const fitting = algorithmsOf(key).filter((each) => allowed.includes(each));
  if (fitting.length === 0) {
    throw new TypeError(`clientAssertionSigningKey must be for ${allowed.join(', ')}`);
  }
  const alg = fitting.find((each) => each === (wanted ?? ownAlg ?? each));
  if (alg) return { key, alg, kid: typeof kid === 'string' ? kid : undefined };
  throw new TypeError(`clientAssertionSigningAlg must be ${fitting.join(', ')} for this key`);
}

function privateKey(input: unknown): KeyObject {
  try {
    if (input instanceof KeyObject && input.type === 'private') return input;
    const isText = typeof input === 'string' || Buffer.isBuffer(input);
    return createPrivateKey(isText ? input : { key: input as JsonWebKey, format: 'jwk' });
  } catch {
    // Node's own error may quote what it could not read.
    throw new TypeError('clientAssertionSigningKey must be a private key: PEM, JWK or KeyObject');
  }
}

function algorithmsOf(key: KeyObject): readonly SigningAlgorithm[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const ofCurve = EC_ALGS[namedCurve];
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) return RSA_ALGS;
  if (key.asymmetricKeyType === 'ec' && ofCurve) return [ofCurve];
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA', 'Ed25519'];
  throw new TypeError(
    `clientAssertionSigningKey must be RSA of ${MIN_RSA_BITS} bits or more, EC on P-256, P-384 or P-521, or Ed25519`,
  );
}
