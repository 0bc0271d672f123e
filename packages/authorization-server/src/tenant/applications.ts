import type { AdapterPayload, ClientAuthMethod, ResponseType } from 'oidc-provider';
import { publicKeyOf } from './client-keys.ts';
import type { Application, Credential } from './schema.ts';

/** A loopback address that leaves the port open (RFC 8252 §7.3). */
const PORTLESS_LOOPBACK = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?:\/|$)/;

/** Returns an application of the tenant as client metadata (OpenID Connect Dynamic Registration §2). */
export function toClientMetadata(application: Application): AdapterPayload {
  const responseTypes: ResponseType[] = application.grant_types.includes('authorization_code')
    ? ['code']
    : [];
  const [logoutUrl] = application.oidc_logout?.backchannel_logout_urls ?? [];
  const keys = credentialsOf(application).map(({ credential }) => publicKeyOf(credential));
  return {
    client_id: application.client_id,
    client_name: application.name,
    ...(application.client_secret && { client_secret: application.client_secret }),
    // The engine compares the port of a loopback callback for web applications only, and knows
    // schemes of their own for native ones only.
    application_type: hasNativeAddresses(application) ? 'native' : 'web',
    redirect_uris: application.callbacks,
    post_logout_redirect_uris: application.allowed_logout_urls,
    ...(logoutUrl && {
      backchannel_logout_uri: logoutUrl,
      backchannel_logout_session_required: true,
    }),
    response_types: responseTypes,
    grant_types: application.grant_types,
    token_endpoint_auth_method: authenticationMethod(application),
    ...(keys.length > 0 && { jwks: { keys } }),
  };
}

/** Returns how the application authenticates: as it says, else by its keys, else by its secret. */
export function authenticationMethod(application: Application): ClientAuthMethod {
  const preset = credentialsOf(application).length > 0 ? 'private_key_jwt' : 'client_secret_post';
  return application.token_endpoint_auth_method ?? preset;
}

/** Checks whether pages of this origin may call the endpoints, and get answers in a frame. */
export function isWebOrigin({ web_origins }: Application, origin: string): boolean {
  // A page without an origin of its own calls itself "null", as does an entry with a scheme of its own.
  return origin !== 'null' && web_origins.some((entry) => new URL(entry).origin === origin);
}

/** Checks whether an app opens an address, and not a browser: `com.example.app://callback`. */
export function isOwnScheme(url: string): boolean {
  return !/^https?:$/.test(new URL(url).protocol);
}

/** Checks whether the engine must judge the application's addresses as those of a native one. */
export function hasNativeAddresses(application: Application): boolean {
  const { callbacks, allowed_logout_urls: logouts } = application;
  const hasVariablePort =
    callbacks.length > 0 && callbacks.every((callback) => PORTLESS_LOOPBACK.test(callback));
  return hasVariablePort || [...callbacks, ...logouts].some(isOwnScheme);
}

/** Returns the application's keys with their paths in the tenant file. */
export function credentialsOf({
  client_authentication_methods: methods,
  jwks,
}: Application): { at: PropertyKey[]; credential: Credential }[] {
  const credentials = methods?.private_key_jwt?.credentials ?? [];
  return [
    ...credentials.map((credential, index) => ({
      at: ['client_authentication_methods', 'private_key_jwt', 'credentials', index],
      credential,
    })),
    ...(jwks?.keys ?? []).map((jwk, index) => ({
      at: ['jwks', 'keys', index],
      credential: { jwk },
    })),
  ];
}
