import { createPrivateKey, type JsonWebKeyInput, KeyObject, randomBytes } from 'node:crypto';
import { FAPI_ALGORITHMS, SIGNING_ALGORITHMS, type SigningAlgorithm } from './public-jwk.ts';
import { signJws } from './signed-jwt.ts';

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
 * Authenticates a client in one request: by `client_secret_basic` or `client_secret_post`
 * (RFC 6749 §2.3.1), `private_key_jwt` (RFC 7523 §2.2), or the `client_id` alone. An assertion can be
 * used once.
 *
 * @param issuer the metadata's `issuer`
 * @param now seconds since 1970
 * @returns headers and form fields to send
 * @example
 * const { headers, form } = authenticateClient(credentials, metadata.issuer, Date.now() / 1000);
 */
export function authenticateClient(
  client: ClientCredentials,
  issuer: string,
  now: number,
): { headers: Record<string, string>; form: Record<string, string> } {
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
      const assertion = signAssertion(clientID, client.signingKey, issuer, now);
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
 * RFC 9126 §2). With the address of an endpoint, another server that names it in its metadata could get an
 * assertion for it.
 */
function signAssertion(
  clientID: string,
  { key, alg, kid }: ClientSigningKey,
  issuer: string,
  now: number,
): string {
  const iat = Math.floor(now);
  const claims = {
    iss: clientID,
    sub: clientID,
    aud: issuer,
    jti: randomBytes(32).toString('base64url'),
    iat,
    exp: iat + ASSERTION_LIFETIME_SECONDS,
  };
  const header = { alg, ...(kid !== undefined && { kid }) };
  return signJws(header, claims, { alg, privateKey: key });
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1);
}

/** Private key of a client: PEM, JWK (RFC 7517) or Node's `KeyObject`. */
export type ClientSigningKeyInput =
  | string
  | Buffer
  | KeyObject
  | (JsonWebKeyInput['key'] & { readonly kid?: string; readonly alg?: string });

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
 * @param allowed accepted algorithms
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
    return createPrivateKey(isText ? input : ({ key: input, format: 'jwk' } as JsonWebKeyInput));
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

/** Options for client authentication. */
export interface ClientOptions {
  clientID: string;
  /** For `client_secret_basic` and `client_secret_post`. */
  clientSecret?: string | undefined;
  /**
   * Default: `private_key_jwt` with a `clientAssertionSigningKey`, else `client_secret_basic`. With
   * `none` the client is not authenticated: for one that cannot keep a secret.
   */
  clientAuthMethod?: (typeof METHODS)[number] | undefined;
  /** The private key for `private_key_jwt`: PEM, JWK or KeyObject. A JWK's `kid` is sent along. */
  clientAssertionSigningKey?: ClientSigningKeyInput | undefined;
  /** Default: the JWK's `alg`, else RS256 (PS256 for FAPI), EdDSA, or what belongs to the key's curve */
  clientAssertionSigningAlg?: SigningAlgorithm | undefined;
}

const METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const;

/**
 * Checks options for client authentication, and returns the credentials, which are valid only if there are
 * no faults. A fault names the option, and contains no part of a secret or key.
 *
 * @param isFapi true: the method is `private_key_jwt`, with an algorithm of the FAPI 2.0 Security Profile
 * @example
 * const { credentials, faults } = checkClientOptions({ clientID: 'web', clientSecret });
 * if (faults.length > 0) throw new InvalidOptions(faults.join('; '));
 */
export function checkClientOptions(
  options: ClientOptions,
  isFapi = false,
): {
  credentials: ClientCredentials;
  faults: string[];
} {
  const { clientID, clientSecret, clientAssertionSigningKey, clientAssertionSigningAlg } = options;
  const usual = clientAssertionSigningKey === undefined ? 'client_secret_basic' : 'private_key_jwt';
  const method = isFapi ? 'private_key_jwt' : (options.clientAuthMethod ?? usual);
  const usesKey = method === 'private_key_jwt';
  const usesSecret = !usesKey && method !== 'none';
  const faults = Object.entries({ clientID, ...(usesSecret && { clientSecret }) })
    // RFC 6749 appendix A.1, A.2. A secret that was read from a file can have its line break.
    .filter(([, value]) => typeof value !== 'string' || value === '' || /\p{Cc}/u.test(value))
    .map(
      ([name]) => `${name} must be as the authorization server registered it, without a line break`,
    );
  if (isFapi && method !== (options.clientAuthMethod ?? method)) {
    faults.push('clientAuthMethod must be private_key_jwt with the profile fapi2');
  }
  if (!METHODS.includes(method)) faults.push(`clientAuthMethod must be ${METHODS.join(', ')}`);
  const useless = {
    ...(!usesSecret && { clientSecret }),
    ...(!usesKey && { clientAssertionSigningKey, clientAssertionSigningAlg }),
  };
  for (const [name, value] of Object.entries(useless)) {
    if (value !== undefined) faults.push(`${name} has no use with ${method}`);
  }
  let signingKey: ClientSigningKey | undefined;
  try {
    if (usesKey) {
      signingKey = readClientSigningKey(
        clientAssertionSigningKey,
        clientAssertionSigningAlg,
        isFapi ? FAPI_ALGORITHMS : SIGNING_ALGORITHMS,
      );
    }
  } catch (error) {
    faults.push((error as Error).message);
  }
  const secretOrKey = usesKey ? { signingKey } : { clientSecret };
  const credentials = { clientID, clientAuthMethod: method, ...secretOrKey } as ClientCredentials;
  return { credentials: Object.freeze(credentials), faults };
}
