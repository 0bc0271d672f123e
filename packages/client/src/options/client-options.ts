import {
  CLIENT_SIGNING_ALGS,
  type ClientCredentials,
  type ClientSigningAlg,
  type ClientSigningKey,
  type ClientSigningKeyInput,
  readClientSigningKey,
} from '../oauth/client-authentication.ts';
import { textFaults } from './option-faults.ts';

/** Options for client authentication. */
export interface ClientOptions {
  clientID: string;
  /** For `client_secret_basic` and `client_secret_post`. */
  clientSecret?: string;
  /**
   * Default: `private_key_jwt` with a `clientAssertionSigningKey`, else `client_secret_basic`. With
   * `none` the client is not authenticated: for one that cannot keep a secret.
   */
  clientAuthMethod?: (typeof METHODS)[number];
  /** The private key for `private_key_jwt`: PEM, JWK or KeyObject. A JWK's `kid` is sent along. */
  clientAssertionSigningKey?: ClientSigningKeyInput;
  /** Default: the JWK's `alg`, else RS256, EdDSA, or what belongs to the key's curve */
  clientAssertionSigningAlg?: ClientSigningAlg;
}

const METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const;

/** Returns the credentials, which are valid only if there are no faults. */
export function checkClient(options: ClientOptions): {
  credentials: ClientCredentials;
  faults: string[];
} {
  const { clientID, clientSecret, clientAssertionSigningKey, clientAssertionSigningAlg } = options;
  const hasKey = clientAssertionSigningKey !== undefined;
  const method = options.clientAuthMethod ?? (hasKey ? 'private_key_jwt' : 'client_secret_basic');
  const faults = textFaults({ clientID });
  const isSecret = method === 'client_secret_basic' || method === 'client_secret_post';
  if (!METHODS.includes(method)) faults.push(`clientAuthMethod must be ${METHODS.join(', ')}`);
  else if (isSecret) faults.push(...textFaults({ clientSecret }));
  else if (clientSecret !== undefined) faults.push(`clientSecret has no use with ${method}`);
  if (method !== 'private_key_jwt') {
    if (hasKey) faults.push(`clientAssertionSigningKey has no use with ${method}`);
    if (clientAssertionSigningAlg !== undefined) {
      faults.push(`clientAssertionSigningAlg has no use with ${method}`);
    }
    const credentials = { clientID, clientSecret, clientAuthMethod: method } as ClientCredentials;
    return { credentials: Object.freeze(credentials), faults };
  }
  const isAlg =
    clientAssertionSigningAlg === undefined ||
    CLIENT_SIGNING_ALGS.includes(clientAssertionSigningAlg);
  if (!isAlg) {
    faults.push(`clientAssertionSigningAlg must be one of ${CLIENT_SIGNING_ALGS.join(', ')}`);
  }
  let signingKey: ClientSigningKey | undefined;
  try {
    const alg = isAlg ? clientAssertionSigningAlg : undefined;
    signingKey = readClientSigningKey(clientAssertionSigningKey, alg);
  } catch (error) {
    faults.push((error as Error).message);
  }
  const credentials = { clientID, clientAuthMethod: method, signingKey } as ClientCredentials;
  return { credentials: Object.freeze(credentials), faults };
}
