import { isSecureURL } from '@koa-oauth/service';
import {
  AuthorizationResponseError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  type CustomFetch,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  ResponseBodyError,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import { type Connection, oidcOptionsSchema } from '../tenant/connection-schema.ts';
import { type FederatedProfile, isSubject, readProfile } from '../tenant/user-schema.ts';

/** The part of the application's authorization request that goes to the identity provider. */
interface SignInHints {
  readonly loginHint?: string | undefined;
  /** Requires a new sign-in, even within a session. */
  readonly reauthenticate: boolean;
  /** Seconds. */
  readonly maxAge?: number | undefined;
}

/** State of a sign-in while the user is away; stored until the user returns. */
export interface PendingSignIn {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly maxAge?: number | undefined;
}

export interface Identity {
  readonly subject: string;
  readonly profile: FederatedProfile;
}

interface IdentityProvidersOptions {
  /** This server's, ending in a slash. */
  readonly issuer: string;
  readonly fetch?: typeof fetch;
  /** Seconds for each request to a provider; default 5. */
  readonly timeLimit?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

const METADATA_LIFETIME_MS = 60 * 60 * 1000;
const MAX_BODY_BYTES = 1_000_000;
const WELL_KNOWN = '/.well-known/openid-configuration';

/** Path below the issuer, as at Auth0. */
export const CALLBACK_PATH = 'login/callback';

/** Failure of a provider: 503 when it can't be reached, 502 when its answer is wrong. For the log only. */
export class ProviderFailure extends Error {
  override readonly name = 'ProviderFailure';
  readonly status: 502 | 503;

  constructor(status: 502 | 503, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** A refusal by the identity provider, or by the user there; the message may go to the application. */
export class ProviderDenial extends Error {
  override readonly name = 'ProviderDenial';
}

/** Signs users in at the tenant's OpenID providers; this server is their relying party. */
export class IdentityProviders {
  readonly #redirectUri: string;
  readonly #fetch: CustomFetch;
  readonly #options: IdentityProvidersOptions;
  readonly #configurations = new Map<
    string,
    { readonly discoveredAt: number; readonly configuration: Promise<Configuration> }
  >();

  constructor(options: IdentityProvidersOptions) {
    this.#redirectUri = `${options.issuer}${CALLBACK_PATH}`;
    this.#fetch = providerFetch(options.fetch ?? fetch);
    this.#options = options;
  }

  /** Returns the URL to send the user to. @throws ProviderFailure */
  begin(
    connection: Connection,
    { loginHint, reauthenticate, maxAge }: SignInHints,
  ): Promise<{ url: URL; pending: PendingSignIn }> {
    return withProviderErrors(async () => {
      const configuration = await this.#configurationOf(connection);
      const { scope, scopes } = oidcOptionsSchema.parse(connection.options);
      const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
      const url = buildAuthorizationUrl(configuration, {
        redirect_uri: this.#redirectUri,
        scope: scope ?? scopes ?? 'openid profile email',
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...(loginHint && { login_hint: loginHint }),
        ...(reauthenticate && { prompt: 'login' }),
        ...(maxAge !== undefined && { max_age: String(maxAge) }),
      });
      return { url, pending: { state, nonce, verifier, maxAge } };
    });
  }

  /**
   * Checks state, `iss`, error and code in this order, redeems the code, and verifies the ID token with its
   * signature (OpenID Connect Core §3.1.3.7). @throws ProviderDenial, ProviderFailure
   */
  finish(
    connection: Connection,
    response: string,
    { state, nonce, verifier, maxAge }: PendingSignIn,
  ): Promise<Identity> {
    return withProviderErrors(async () => {
      const configuration = await this.#configurationOf(connection);
      const url = new URL(`${this.#redirectUri}?${response}`);
      const tokens = await authorizationCodeGrant(configuration, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
        ...(maxAge !== undefined && { maxAge }),
      });
      const claims: Record<string, unknown> = tokens.claims() ?? {};
      if (!isSubject(claims.sub)) {
        throw new ProviderFailure(502, 'the subject of its ID token is not 1 to 255 ASCII letters');
      }
      const userinfo = await userinfoOf(configuration, tokens.access_token, claims);
      return { subject: claims.sub, profile: readProfile({ ...userinfo, ...claims }) };
    });
  }

  /** Discovers a provider at its first sign-in and again after an hour; a failure is not cached. */
  #configurationOf(connection: Connection): Promise<Configuration> {
    const { name } = connection;
    const { now = Date.now } = this.#options;
    const known = this.#configurations.get(name);
    if (known !== undefined && now() - known.discoveredAt < METADATA_LIFETIME_MS) {
      return known.configuration;
    }
    const discovered = { discoveredAt: now(), configuration: this.#discover(connection) };
    this.#configurations.set(name, discovered);
    discovered.configuration.catch(() => {
      if (this.#configurations.get(name) === discovered) this.#configurations.delete(name);
    });
    return discovered.configuration;
  }

  async #discover(connection: Connection): Promise<Configuration> {
    const options = oidcOptionsSchema.parse(connection.options);
    const expected = options.issuer ?? options.discovery_url?.replace(WELL_KNOWN, '/') ?? '';
    const server = new URL(options.discovery_url ?? expected);
    const execute = [
      // By default the library trusts an ID token that came over TLS.
      enableNonRepudiationChecks,
      // The schema and `providerFetch` allow http on a loopback address only.
      ...(server.protocol === 'http:' ? [allowInsecureRequests] : []),
    ];
    const { client_id, client_secret } = options;
    const configuration = await discovery(server, client_id, client_secret, undefined, {
      [customFetch]: this.#fetch,
      timeout: this.#options.timeLimit ?? 5,
      execute,
    });
    const { issuer } = configuration.serverMetadata();
    if (withoutSlash(issuer) !== withoutSlash(expected)) {
      throw new ProviderFailure(502, "its metadata is another issuer's");
    }
    return configuration;
  }
}

/** Bounds each request to a provider, whose metadata can name any URL. @throws ProviderFailure */
function providerFetch(send: typeof fetch): CustomFetch {
  return async function providerFetch(url, options) {
    const { origin } = new URL(url);
    if (!isSecureURL(new URL(url))) {
      throw new ProviderFailure(502, `its metadata names ${origin}, which is http on the network`);
    }
    let response: Response;
    let body: Buffer<ArrayBuffer>;
    try {
      response = await send(url, { ...options, redirect: 'manual' } as RequestInit);
      body = await readBody(response);
    } catch (cause) {
      if (cause instanceof ProviderFailure) throw cause;
      throw new ProviderFailure(503, `${origin} can't be reached`, { cause });
    }
    const { status, headers } = response;
    if (status >= 500) throw new ProviderFailure(503, `${origin} answered ${status}`);
    return new Response(body.length === 0 ? null : body, { status, headers });
  };
}

async function readBody(response: Response): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new ProviderFailure(502, `its answer has more than ${MAX_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Asks the userinfo endpoint of a provider that leaves the profile out of its ID token. */
async function userinfoOf(
  configuration: Configuration,
  accessToken: string,
  claims: Record<string, unknown>,
): Promise<object> {
  const complete = claims.email !== undefined && claims.name !== undefined;
  const { userinfo_endpoint: endpoint } = configuration.serverMetadata();
  if (complete || endpoint === undefined) return {};
  // The subject is compared: an answer about another user is refused (OpenID Connect Core §5.3.2).
  return fetchUserInfo(configuration, accessToken, String(claims.sub));
}

async function withProviderErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFailure(error);
  }
}

/** Maps an error of the library. Its own texts are fixed; texts of the provider are not repeated. */
function toFailure(error: unknown): Error {
  if (error instanceof ProviderFailure) return error;
  if (error instanceof AuthorizationResponseError) {
    if (error.error === 'access_denied')
      return new ProviderDenial(readableDescription(error.error_description));
    const passing = ['server_error', 'temporarily_unavailable'].includes(error.error);
    return new ProviderFailure(passing ? 503 : 502, `it answered ${readableCode(error.error)}`);
  }
  if (error instanceof ResponseBodyError) {
    return new ProviderFailure(502, `it refused the code: ${readableCode(error.error)}`);
  }
  const { cause, code, message } = error as Error & { code?: unknown };
  if (cause instanceof ProviderFailure) return cause;
  if (code === 'OAUTH_TIMEOUT') return new ProviderFailure(503, 'it did not answer in time');
  // The text of an error without a code may repeat what was sent.
  const detail = cause instanceof Error && typeof code === 'string' ? `: ${cause.message}` : '';
  return new ProviderFailure(502, `its answer is wrong: ${message}${detail}`, { cause: error });
}

function readableCode(error: string): string {
  return /^[\w.-]{1,60}$/.test(error) ? error : 'an error without a readable code';
}

/** Returns the characters that RFC 6749 §4.1.2.1 allows. */
function readableDescription(description = ''): string {
  const readable = description.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, ' ').trim();
  return readable.slice(0, 200) || 'the identity provider refused the sign-in';
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '');
}
