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

/** Headers and form parameters that authenticate the client. */
export interface ClientAuthentication {
  readonly headers: Readonly<Record<string, string>>;
  readonly form: Readonly<Record<string, string>>;
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const ASSERTION_LIFETIME_SECONDS = 60;

/**
 * Authenticates one request: `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1),
 * `private_key_jwt` (RFC 7523 §2.2, OpenID Connect Core §9), or the `client_id` alone.
 *
 * @param issuer the authorization server's issuer identifier
 * @param now seconds since 1970
 */
export async function authenticateClient(
  client: ClientCredentials,
  { issuer, now }: { issuer: string; now: number },
): Promise<ClientAuthentication> {
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
      const assertion = await signAssertion(clientID, client.signingKey, { issuer, now });
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
 * Signs an assertion for one request: its `jti` is good once. The audience is the issuer identifier
 * alone, at every endpoint (draft-ietf-oauth-rfc7523bis; RFC 9126 §2 advises the same):
 * under a token endpoint's name, another server's metadata could have the assertion made for it.
 */
function signAssertion(
  clientID: string,
  { key, alg, kid }: ClientSigningKey,
  { issuer, now }: { issuer: string; now: number },
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
 * @throws TypeError with one sentence that contains no part of the key
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
