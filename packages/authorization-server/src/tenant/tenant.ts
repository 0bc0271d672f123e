import { parseURL } from '@koa-oauth/service';
import type { Api, Application, TenantDocument, User } from './schema.ts';

export type { Api, Application, Organization, TenantDocument, User } from './schema.ts';

/** Triggers whose Actions run here. */
export const TRIGGERS = ['post-login', 'credentials-exchange'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/** An Action file with its secrets. */
export interface Action {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly secrets: Readonly<Record<string, string>>;
  /** Absolute path of the tenant's folder, whose `node_modules` serve as well. */
  readonly folder?: string;
  /** Versions of the modules that the tenant file names for the Action. */
  readonly dependencies?: Readonly<Record<string, string | undefined>>;
  /** Names of secrets that the tenant has no value for. */
  readonly withoutValue?: readonly string[] | undefined;
}

/** A rule file with the `configuration` that all rules share. */
export interface Rule {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly configuration: Readonly<Record<string, string>>;
  /** Absolute path of the tenant's folder, whose `node_modules` serve as well. */
  readonly folder?: string;
  /** Names in the configuration that the tenant has no value for. */
  readonly withoutValue?: readonly string[] | undefined;
}

/** An application whose id, or secret, was made from its name. */
export interface CompletedApplication {
  readonly name: string;
  readonly client_id: string;
  /** Undefined for the file's own secret, or for none. */
  readonly client_secret?: string | undefined;
}

/** A checked tenant: every name in it refers to something. */
export interface Tenant extends TenantDocument {
  /** Path of the tenant file or folder. */
  readonly file: string;
  /** Files that it consists of, and folders in which a new file becomes a part of it. */
  readonly watched: readonly string[];
  /** Loads the tenant again. @throws InvalidTenant */
  readonly reload: () => Tenant;
  /** The Actions of the post-login trigger, in their order. */
  readonly postLogin: readonly Action[];
  /** The Actions of the credentials-exchange trigger, in their order. */
  readonly credentialsExchange: readonly Action[];
  /** The enabled rules, in their order; they run before the post-login Actions. */
  readonly loginRules: readonly Rule[];
  /** Applications that an export has without id or secret. */
  readonly completed: readonly CompletedApplication[];
  /** Settings that this server ignores, one text for each section. */
  readonly ignored: readonly string[];
  /** Places where a value is missing, and what becomes of it. */
  readonly notices: readonly string[];
}

export function findApplication(tenant: Tenant, clientId: unknown): Application | undefined {
  return tenant.clients.find((application) => application.client_id === clientId);
}

export function findApi(tenant: Tenant, identifier: unknown): Api | undefined {
  return tenant.resourceServers.find((api) => api.identifier === identifier);
}

/** Checks whether the tokens of an API are opaque: only introspection shows what is in them. */
export function isOpaque({ token_dialect }: Api): boolean {
  return token_dialect.startsWith('opaque');
}

export function scopesOf(api: Api | undefined): string[] {
  return api?.scopes.map(({ value }) => value) ?? [];
}

/** Returns the scopes that an application can get: those of OpenID Connect and of one API. */
export function requestableScopes({ grant_types }: Application, api: Api | undefined): string[] {
  const offline = grant_types.includes('refresh_token') && (api?.allow_offline_access ?? true);
  return [...OIDC_SCOPES, ...scopesOf(api)].filter(
    (scope) => scope !== 'offline_access' || offline,
  );
}

/** Returns the user's permissions for one API, over all roles, in the order of the API's scopes. */
export function permissionsOf(tenant: Tenant, user: User, api: Api): string[] {
  const permissions = new Set(
    tenant.roles
      .filter((role) => user.roles.includes(role.name))
      .flatMap((role) => role.permissions)
      .filter((permission) => permission.resource_server_identifier === api.identifier)
      .map((permission) => permission.permission_name),
  );
  return scopesOf(api).filter((scope) => permissions.has(scope));
}

/** Returns the scopes of one API that this user may get: all, or with RBAC the permitted ones. */
export function allowedScopes(tenant: Tenant, user: User, api: Api): string[] {
  return api.enforce_policies ? permissionsOf(tenant, user, api) : scopesOf(api);
}

/** Algorithms of Auth0 that an RSA key serves (RFC 7518 §3.3, §3.5). */
export const RSA_ALGORITHMS = ['RS256', 'PS256', 'RS512'] as const;
export type RsaAlgorithm = (typeof RSA_ALGORITHMS)[number];

type Signature = { alg: RsaAlgorithm } | { alg: 'HS256'; key: Buffer };

/** A shorter secret could be guessed from a token (RFC 7518 §3.2). */
const MIN_SECRET_BYTES = 32;

/** Returns how an API's access tokens are signed; undefined when that is not available here. */
export function accessTokenSignature({ signing_alg: alg, signing_secret: secret }: Api) {
  return signatureBy(alg, secret);
}

/** Returns how an application's ID tokens are signed; undefined when that is not available here. */
export function idTokenSignature({ jwt_configuration, client_secret }: Application) {
  const { alg, secret_encoded: isEncoded } = jwt_configuration ?? {};
  return signatureBy(alg ?? 'RS256', isEncoded ? undefined : client_secret);
}

function signatureBy(alg: string, secret = ''): Signature | undefined {
  const found = RSA_ALGORITHMS.find((one) => one === alg);
  if (found !== undefined) return { alg: found };
  const key = Buffer.from(secret);
  return alg === 'HS256' && key.length >= MIN_SECRET_BYTES ? { alg, key } : undefined;
}

/** Scopes of OpenID Connect Core §5.4 and §11 that this server knows. */
export const OIDC_SCOPES = ['openid', 'profile', 'email', 'offline_access'];

const API_URN = 'urn:api:';

/** Returns the resource of an API: its identifier, as a URN if it is no absolute URI (RFC 8707 §2). */
export function resourceOf(identifier: string): string {
  const usable = parseURL(identifier) && !identifier.includes('#');
  return usable ? identifier : API_URN + encodeURIComponent(identifier);
}

/** Returns the API behind a resource, if the tenant has it. */
export function apiOf(tenant: Tenant, resource: unknown): Api | undefined {
  return typeof resource === 'string' ? findApi(tenant, nameOf(resource)) : undefined;
}

export function nameOf(resource: string): string {
  if (!resource.startsWith(API_URN)) return resource;
  try {
    return decodeURIComponent(resource.slice(API_URN.length));
  } catch {
    // No result of `resourceOf`, which encodes.
    return resource;
  }
}
