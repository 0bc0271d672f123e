import { FAPI_ALGORITHMS, SIGNING_ALGORITHMS, type SigningAlgorithm } from '@koa-oauth/issuer';
import {
  type ClientCredentials,
  type ClientSigningKey,
  type ClientSigningKeyInput,
  readClientSigningKey,
} from '../oauth/client-authentication.ts';

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
 * Returns the credentials, which are valid only if there are no faults.
 *
 * @param isFapi true: the method is `private_key_jwt`, with an algorithm of the FAPI 2.0 Security Profile
 */
export function checkClient(
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
    .filter(([, value]) => typeof value !== 'string' || value === '')
    .map(([name]) => `${name} must be as the authorization server registered it`);
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
