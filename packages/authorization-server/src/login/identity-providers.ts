import {
  AuthorizationResponseError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
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
import { type FederatedProfile, isSubject, readProfile } from '../tenant/profile-claims.ts';
import { type Connection, oidcOptionsSchema } from '../tenant/schema.ts';
import { ProviderDenial, ProviderFailure } from './provider-failure.ts';
import { providerFetch } from './provider-fetch.ts';

/** What of the application's authorization request the identity provider is told. */
export interface SignInWishes {
  readonly loginHint?: string | undefined;
  /** The user is to sign in there again, signed in or not. */
  readonly again: boolean;
  /** Seconds. */
  readonly maxAge?: number | undefined;
}

/** What is remembered between sending a user away and the user's return. */
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

/** The tenant's OpenID providers, whose relying party this server is. */
export interface IdentityProviders {
  /** Where to send the user. @throws ProviderFailure */
  begin(
    connection: Connection,
    wishes: SignInWishes,
  ): Promise<{ url: URL; pending: PendingSignIn }>;
  /**
   * Judges the answer in the order state, `iss`, error, code; then redeems the code and verifies the ID
   * token (OpenID Connect Core §3.1.3.7), its signature too.
   *
   * @param response the query of the callback.
   * @throws ProviderDenial, ProviderFailure
   */
  finish(connection: Connection, response: string, pending: PendingSignIn): Promise<Identity>;
}

interface ProvidersOptions {
  /** Of this server, ending in a slash. */
  readonly issuer: string;
  readonly fetch?: typeof fetch;
  /** Seconds for each request to a provider; default 5. */
  readonly timeLimit?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

const METADATA_LIFE = 60 * 60 * 1000;
const WELL_KNOWN = '/.well-known/openid-configuration';

/** Its path below the issuer is Auth0's. */
export const CALLBACK_PATH = 'login/callback';

export function createIdentityProviders({
  issuer,
  fetch: send = fetch,
  timeLimit = 5,
  now = Date.now,
}: ProvidersOptions): IdentityProviders {
  const redirectUri = `${issuer}${CALLBACK_PATH}`;
  const known = new Map<string, { readonly at: number; readonly found: Promise<Configuration> }>();

  /** Asked at the first sign-in, then again after an hour; a failure is not kept. */
  const configurationOf = (connection: Connection): Promise<Configuration> => {
    const kept = known.get(connection.name);
    if (kept !== undefined && now() - kept.at < METADATA_LIFE) return kept.found;
    const found = discover(connection);
    known.set(connection.name, { at: now(), found });
    found.catch(() => {
      if (known.get(connection.name)?.found === found) known.delete(connection.name);
    });
    return found;
  };

  const discover = async (connection: Connection): Promise<Configuration> => {
    const options = oidcOptionsSchema.parse(connection.options);
    const expected = options.issuer ?? options.discovery_url?.replace(WELL_KNOWN, '/') ?? '';
    const server = new URL(options.discovery_url ?? expected);
    const configuration = await discovery(
      server,
      options.client_id,
      options.client_secret,
      undefined,
      {
        [customFetch]: providerFetch(send),
        timeout: timeLimit,
        execute: [
          // Without it the library trusts an ID token that came over TLS.
          enableNonRepudiationChecks,
          // The schema lets http be on a loopback address only, and so does the fetch.
          ...(server.protocol === 'http:' ? [allowInsecureRequests] : []),
        ],
      },
    );
    const said = configuration.serverMetadata().issuer;
    if (withoutSlash(said) !== withoutSlash(expected)) {
      throw new ProviderFailure(502, "its metadata is another issuer's");
    }
    return configuration;
  };

  return {
    begin: (connection, { loginHint, again, maxAge }) =>
      judged(async () => {
        const configuration = await configurationOf(connection);
        const { scope, scopes } = oidcOptionsSchema.parse(connection.options);
        const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
        const url = buildAuthorizationUrl(configuration, {
          redirect_uri: redirectUri,
          scope: scope ?? scopes ?? 'openid profile email',
          state,
          nonce,
          code_challenge: await calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          ...(loginHint && { login_hint: loginHint }),
          ...(again && { prompt: 'login' }),
          ...(maxAge !== undefined && { max_age: String(maxAge) }),
        });
        return { url, pending: { state, nonce, verifier, maxAge } };
      }),

    finish: (connection, response, { state, nonce, verifier, maxAge }) =>
      judged(async () => {
        const configuration = await configurationOf(connection);
        const tokens = await authorizationCodeGrant(
          configuration,
          new URL(`${redirectUri}?${response}`),
          {
            expectedState: state,
            expectedNonce: nonce,
            pkceCodeVerifier: verifier,
            idTokenExpected: true,
            ...(maxAge !== undefined && { maxAge }),
          },
        );
        const claims: Record<string, unknown> = tokens.claims() ?? {};
        if (!isSubject(claims.sub)) {
          throw new ProviderFailure(
            502,
            'the subject of its ID token is not 1 to 255 ASCII letters',
          );
        }
        const told = {
          ...(await userinfoOf(configuration, tokens.access_token, claims)),
          ...claims,
        };
        return { subject: claims.sub, profile: readProfile(told) };
      }),
  };
}

/** A provider may leave the profile out of its ID token; where it did, its userinfo is asked. */
async function userinfoOf(
  configuration: Configuration,
  accessToken: string,
  claims: Record<string, unknown>,
): Promise<object> {
  const complete = claims.email !== undefined && claims.name !== undefined;
  const { userinfo_endpoint: endpoint } = configuration.serverMetadata();
  if (complete || endpoint === undefined) return {};
  // The subject is compared: an answer about somebody else is refused (OpenID Connect Core §5.3.2).
  return fetchUserInfo(configuration, accessToken, String(claims.sub));
}

async function judged<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFailure(error);
  }
}

/** The library's own texts are fixed; those of the provider, which may be anything, are left out. */
function toFailure(error: unknown): Error {
  if (error instanceof ProviderFailure) return error;
  if (error instanceof AuthorizationResponseError) {
    if (error.error === 'access_denied') return new ProviderDenial(plain(error.error_description));
    const passing = ['server_error', 'temporarily_unavailable'].includes(error.error);
    return new ProviderFailure(passing ? 503 : 502, `it answered ${codeOf(error.error)}`);
  }
  if (error instanceof ResponseBodyError) {
    return new ProviderFailure(502, `it refused the code: ${codeOf(error.error)}`);
  }
  const { cause, code, message } = error as Error & { code?: unknown };
  if (cause instanceof ProviderFailure) return cause;
  if (code === 'OAUTH_TIMEOUT') return new ProviderFailure(503, 'it did not answer in time');
  // Without a code it is some other error, whose text may repeat what was sent.
  const detail = cause instanceof Error && typeof code === 'string' ? `: ${cause.message}` : '';
  return new ProviderFailure(502, `its answer is wrong: ${message}${detail}`, { cause: error });
}

/** RFC 6749 §4.1.2.1 says which characters an `error` and an `error_description` may have. */
function codeOf(error: string): string {
  return /^[\w.-]{1,60}$/.test(error) ? error : 'an error without a readable code';
}

function plain(description: string | undefined): string {
  const readable = (description ?? '').replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, ' ').trim();
  return readable.slice(0, 200) || 'the identity provider refused the sign-in';
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '');
}
