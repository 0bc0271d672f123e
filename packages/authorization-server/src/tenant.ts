import { z } from 'zod';

/**
 * The tenant: applications, APIs, roles, actions and users, in the shape of the Auth0 deploy tool's
 * `tenant.yaml`, plus `users`. Fields that this server has no use for are let through.
 */

const text = z.string().min(1, 'give a text that is not empty');
const seconds = z.int().positive('give a number of seconds above 0');

/** An absolute URL without a fragment (RFC 6749 §3.1.2). */
const redirectUrl = z
  .string()
  .refine((value) => URL.canParse(value), 'give an absolute URL, for example http://localhost:3000')
  .refine((value) => !value.includes('#'), 'leave out the fragment (RFC 6749 §3.1.2)');

const applicationSchema = z.looseObject({
  name: text,
  client_id: text,
  client_secret: text.optional(),
  app_type: z.enum(['regular_web', 'spa', 'native', 'non_interactive']).default('regular_web'),
  is_first_party: z.boolean().default(true),
  callbacks: z.array(redirectUrl).default([]),
  allowed_logout_urls: z.array(redirectUrl).default([]),
  web_origins: z.array(redirectUrl).default([]),
  grant_types: z
    .array(z.enum(['authorization_code', 'refresh_token', 'client_credentials']))
    .default(['authorization_code', 'refresh_token']),
  token_endpoint_auth_method: z
    .enum(['none', 'client_secret_post', 'client_secret_basic'])
    .optional(),
  client_metadata: z.record(z.string(), z.unknown()).default({}),
  refresh_token: z
    .looseObject({
      rotation_type: z.enum(['rotating', 'non-rotating']).default('non-rotating'),
      token_lifetime: seconds.default(2_592_000),
    })
    .default({ rotation_type: 'non-rotating', token_lifetime: 2_592_000 }),
});

const apiSchema = z.looseObject({
  name: text,
  identifier: text,
  scopes: z.array(z.looseObject({ value: text, description: z.string().optional() })).default([]),
  signing_alg: z.literal('RS256', 'only RS256 is supported').default('RS256'),
  token_dialect: z
    .enum(['access_token', 'access_token_authz', 'rfc9068_profile', 'rfc9068_profile_authz'])
    .default('access_token'),
  enforce_policies: z.boolean().default(false),
  allow_offline_access: z.boolean().default(false),
  skip_consent_for_verifiable_first_party_clients: z.boolean().default(false),
  token_lifetime: seconds.max(2_592_000, 'give at most 2592000 (30 days)').default(86_400),
});

const roleSchema = z.looseObject({
  name: text,
  description: z.string().optional(),
  permissions: z
    .array(z.looseObject({ permission_name: text, resource_server_identifier: text }))
    .default([]),
});

const actionSchema = z.looseObject({
  name: text,
  code: text,
  secrets: z.array(z.looseObject({ name: text, value: z.string() })).default([]),
});

const userSchema = z.looseObject({
  user_id: text,
  email: z.email('give an e-mail address'),
  email_verified: z.boolean().default(false),
  password: text,
  name: text,
  given_name: z.string().optional(),
  family_name: z.string().optional(),
  nickname: z.string().optional(),
  picture: z.string().optional(),
  roles: z.array(text).default([]),
  app_metadata: z.record(z.string(), z.unknown()).default({}),
  user_metadata: z.record(z.string(), z.unknown()).default({}),
  blocked: z.boolean().default(false),
});

/** Of what a tenant file is made; the section names are the deploy tool's. */
export const tenantSchema = z.looseObject({
  tenant: z
    .looseObject({
      friendly_name: text.default('Dev tenant'),
      allowed_logout_urls: z.array(redirectUrl).default([]),
      flags: z.record(z.string(), z.boolean()).default({}),
    })
    .default({ friendly_name: 'Dev tenant', allowed_logout_urls: [], flags: {} }),
  clients: z.array(applicationSchema),
  resourceServers: z.array(apiSchema).default([]),
  clientGrants: z
    .array(z.looseObject({ client_id: text, audience: text, scope: z.array(text).default([]) }))
    .default([]),
  roles: z.array(roleSchema).default([]),
  actions: z.array(actionSchema).default([]),
  triggers: z
    .looseObject({ 'post-login': z.array(z.looseObject({ action_name: text })).default([]) })
    .default({ 'post-login': [] }),
  users: z.array(userSchema).min(1, 'give at least one user'),
});

export type TenantDocument = z.infer<typeof tenantSchema>;
export type Application = z.infer<typeof applicationSchema>;
export type Api = z.infer<typeof apiSchema>;
export type User = z.infer<typeof userSchema>;

/** One Action file with its secrets. */
export interface Action {
  readonly name: string;
  /** Absolute path, for error messages and `require`. */
  readonly file: string;
  readonly code: string;
  readonly secrets: Readonly<Record<string, string>>;
}

/** A tenant that has been checked: every name in it refers to something. */
export interface Tenant extends TenantDocument {
  /** The file it came from. */
  readonly file: string;
  /** The Actions of the post-login trigger, in their order. */
  readonly postLogin: readonly Action[];
  /** Sections of the file that this server does not know. */
  readonly ignoredSections: readonly string[];
}

export function findApplication(tenant: Tenant, clientId: string): Application | undefined {
  return tenant.clients.find((application) => application.client_id === clientId);
}

export function findApi(tenant: Tenant, identifier: string): Api | undefined {
  return tenant.resourceServers.find((api) => api.identifier === identifier);
}

export function findUser(tenant: Tenant, userId: string): User | undefined {
  return tenant.users.find((user) => user.user_id === userId);
}

/** The user's permissions for one API, over all roles, in the order the API lists its scopes. */
export function permissionsOf(tenant: Tenant, user: User, api: Api): string[] {
  const permissions = new Set(
    tenant.roles
      .filter((role) => user.roles.includes(role.name))
      .flatMap((role) => role.permissions)
      .filter((permission) => permission.resource_server_identifier === api.identifier)
      .map((permission) => permission.permission_name),
  );
  return api.scopes.map((scope) => scope.value).filter((scope) => permissions.has(scope));
}

/** The scopes of one API that this user may be given: all, or, with RBAC on, the permitted. */
export function allowedScopes(tenant: Tenant, user: User, api: Api): string[] {
  return api.enforce_policies
    ? permissionsOf(tenant, user, api)
    : api.scopes.map((scope) => scope.value);
}
