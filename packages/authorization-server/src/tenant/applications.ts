import { hash } from 'node:crypto';
import type { AdapterPayload, ClientAuthMethod, ResponseType } from 'oidc-provider';
import { matchesOrigin, matchesPlaceholder } from './allowed-urls.ts';
import type { Application, Credential } from './application-schema.ts';
import { publicKeyOf } from './client-keys.ts';
import { idTokenSignature, type Tenant } from './tenant.ts';

/** A loopback address that leaves the port open (RFC 8252 §7.3). */
const PORTLESS_LOOPBACK = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?:\/|$)/;

/** Returns an application of the tenant as client metadata (OpenID Connect Dynamic Registration §2). */
export function toClientMetadata(application: Application): AdapterPayload {
  const { grant_types: grantTypes, callbacks } = application;
  const responseTypes: ResponseType[] = [];
  // An export has applications without a callback, with which the engine allows no response type.
  if (callbacks.length > 0) {
    if (grantTypes.includes('authorization_code')) responseTypes.push('code');
    if (grantTypes.includes('implicit')) responseTypes.push('id_token');
  }
  const [logoutUrl] = application.oidc_logout?.backchannel_logout_urls ?? [];
  const method = authenticationMethod(application);
  const credentials = unservedMethod(application) ? [] : credentialsOf(application);
  const keys = credentials.map(({ credential }) => publicKeyOf(credential));
  return {
    client_id: application.client_id,
    client_name: application.name,
    ...(application.client_secret && { client_secret: application.client_secret }),
    // The engine compares the port of a loopback callback for web applications only, and knows
    // schemes of their own for native ones only.
    application_type: hasNativeAddresses(application) ? 'native' : 'web',
    redirect_uris: callbacks,
    // The engine accepts no hash here; `allowedLogoutTarget` compares those that have one.
    post_logout_redirect_uris: application.allowed_logout_urls.filter((url) => !url.includes('#')),
    ...(logoutUrl && {
      backchannel_logout_uri: logoutUrl,
      backchannel_logout_session_required: true,
    }),
    response_types: responseTypes,
    // The engine derives `implicit` from the response types. Named here, it forbids http on loopback.
    grant_types: grantTypes.filter(
      (type) => type !== 'implicit' && isServedGrantType(application, type),
    ),
    token_endpoint_auth_method: method,
    // Without a supported algorithm, `checkIdTokenAlgorithm` refuses sign-ins.
    id_token_signed_response_alg: idTokenSignature(application)?.alg ?? 'RS256',
    dpop_bound_access_tokens: application.require_proof_of_possession === true,
    require_pushed_authorization_requests:
      application.require_pushed_authorization_requests === true,
    ...(method === 'private_key_jwt' && { jwks: { keys } }),
  };
}

const GRANT_TYPES = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'implicit',
  'urn:ietf:params:oauth:grant-type:device_code',
];

/** Checks for a grant type that an application can use. It can have others, which are refused at use. */
export function isServedGrantType(application: Application, type: string): boolean {
  // Client credentials are for applications that prove who they are (RFC 6749 §4.4).
  const isPublic = authenticationMethod(application) === 'none';
  return GRANT_TYPES.includes(type) && !(isPublic && type === 'client_credentials');
}

const SERVED_METHODS = ['none', 'client_secret_post', 'client_secret_basic', 'private_key_jwt'];

/** Returns how the application authenticates; for an unsupported method, `private_key_jwt` without a key. */
export function authenticationMethod(application: Application): ClientAuthMethod {
  const method = registeredMethod(application);
  return SERVED_METHODS.includes(method) ? (method as ClientAuthMethod) : 'private_key_jwt';
}

/** Returns the registered method, if this server does not have it. */
export function unservedMethod(application: Application): string | undefined {
  const method = registeredMethod(application);
  return SERVED_METHODS.includes(method) ? undefined : method;
}

/** Application types of clients that cannot keep a secret. */
const PUBLIC_TYPES = ['native', 'spa'];

/** Returns how the application authenticates: as it says, else by its keys, else by its secret. */
function registeredMethod(application: Application): string {
  const { app_type, client_secret, client_authentication_methods: methods, jwks } = application;
  const [keyMethod] = Object.keys(methods ?? {});
  const isPublic = PUBLIC_TYPES.includes(app_type) && client_secret === undefined;
  const preset = jwks ? 'private_key_jwt' : isPublic ? 'none' : 'client_secret_post';
  return application.token_endpoint_auth_method ?? keyMethod ?? preset;
}

/** Checks whether an application is the API of this identifier, and proves who it is (RFC 7662 §2.1). */
export function isIntrospector(application: Application | undefined, identifier: unknown): boolean {
  if (application?.app_type !== 'resource_server') return false;
  if (authenticationMethod(application) === 'none') return false;
  return application.resource_server_identifier === identifier && identifier !== undefined;
}

/** Adds the id and the secret that an export leaves out. */
export function completeApplication(application: Application): Application {
  const { name, client_id, client_secret } = application;
  const needsSecret = registeredMethod(application).startsWith('client_secret');
  const secret = client_secret ?? (needsSecret ? deriveFrom('client_secret', name) : undefined);
  return {
    ...application,
    client_id: client_id || deriveFrom('client_id', name).slice(0, 32),
    ...(secret !== undefined && { client_secret: secret }),
  };
}

/** Derives a value that looks like Auth0's, and is the same at each start and on each machine. */
function deriveFrom(...parts: string[]): string {
  return hash('sha384', parts.join(), 'base64').replace(/[+/]/g, 'x');
}

/** Checks whether pages of this origin get answers in a frame. */
export function isWebOrigin({ web_origins }: Application, origin: string): boolean {
  return matchesOrigin(web_origins, origin);
}

/** Checks whether pages of this origin may call the endpoints. */
export function mayCall(tenant: Tenant, application: Application, origin: string): boolean {
  const { allowed_origins } = application;
  const organizations = tenant.organizations.map(({ name }) => name);
  return isWebOrigin(application, origin) || matchesOrigin(allowed_origins, origin, organizations);
}

/**
 * Checks a redirect URI against the application's callbacks with a placeholder; the engine compares the
 * others. Auth0 has no wildcards for third-party applications.
 */
export function matchesCallback(
  tenant: Tenant,
  { callbacks, is_first_party, organization_usage }: Application,
  url: string,
  organization: unknown,
): boolean {
  const named = tenant.organizations.find(
    (one) => one.id === organization || one.name === organization,
  );
  const name = organization_usage === 'deny' ? undefined : named?.name;
  return is_first_party && matchesPlaceholder(callbacks, url, name);
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
    ...credentials.flatMap((credential, index) => {
      const at = ['client_authentication_methods', 'private_key_jwt', 'credentials', index];
      return isReference(credential) ? [] : [{ at, credential }];
    }),
    ...(jwks?.keys ?? []).map((jwk, index) => ({
      at: ['jwks', 'keys', index],
      credential: { jwk },
    })),
  ];
}

/** Checks for a credential as an export has it: the id of a key that stays at Auth0. */
function isReference({ id, pem, jwk }: Credential): boolean {
  return id !== undefined && pem === undefined && jwk === undefined;
}
