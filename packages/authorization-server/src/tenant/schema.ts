import { parseURL } from '@koa-oauth/service';
import { z } from 'zod';
import { hasPlaceholder, placeholderFault } from './allowed-urls.ts';
import { connectionSchema, text } from './connection-schema.ts';
import { passwordFault, passwordHashFault } from './password.ts';
import { emailAddress } from './profile-claims.ts';

/*
 * A tenant: what the Auth0 deploy tool exports, plus `users`. Settings that are not here are ignored, and
 * named at the start. Values that are not served stay, and are refused at use.
 */

const judgedText = (faultOf: (value: string) => string | undefined) =>
  text.check(({ value, issues }) => {
    const message = faultOf(value);
    if (message !== undefined) issues.push({ code: 'custom', message, input: value });
  });
const seconds = z.int().positive('give a number of seconds above 0');

const hours = z
  .number('give a number of hours')
  .positive('give a number of hours above 0')
  .max(8760, 'give at most 8760 (one year)');
const minutes = z
  .int('give a number of minutes')
  .positive('give a number of minutes above 0')
  .max(525_600, 'give at most 525600 (one year)');

/** Schemes that a browser runs or shows by itself. */
const FORBIDDEN_SCHEMES = ['javascript:', 'vbscript:', 'data:', 'blob:', 'file:', 'about:'];

/** An absolute URL, which can have a hash: single-page applications name their pages by it. */
const logoutUrl = z
  .string()
  .refine(
    (value) => !FORBIDDEN_SCHEMES.includes(parseURL(value)?.protocol ?? ''),
    'give a URL of an application: https, http, or a scheme of its own',
  )
  .refine(
    (value) => parseURL(value) !== undefined,
    'give an absolute URL, for example http://localhost:3000',
  )
  .check(({ value, issues }) => {
    const message = placeholderFault(value);
    if (message !== undefined) issues.push({ code: 'custom', message, input: value });
  });

/** An absolute URL without a fragment (RFC 6749 §3.1.2). */
const redirectUrl = logoutUrl.refine(
  (value) => !value.includes('#'),
  'leave out the fragment (RFC 6749 §3.1.2)',
);

/** An address of the application's server (OpenID Connect Back-Channel Logout 1.0 §2.2). */
const receiverUrl = redirectUrl
  .refine(
    (value) => /^https?:$/.test(parseURL(value)?.protocol ?? 'https:'),
    'give an http or https URL',
  )
  .refine(
    (value) => !parseURL(value)?.username && !parseURL(value)?.password,
    'leave out user and password',
  )
  .refine((value) => !hasPlaceholder(value), 'give the host of the application, without *');

/** A public key of a client, in PEM or as a JWK. */
const credentialSchema = z.looseObject({
  id: text.optional(),
  name: text.optional(),
  credential_type: text.optional(),
  pem: text.optional(),
  jwk: z.record(z.string(), z.unknown()).optional(),
  alg: text.optional(),
  kid: text.optional(),
});

const refreshTokenSchema = z
  .looseObject({
    rotation_type: z.enum(['rotating', 'non-rotating']).default('non-rotating'),
    expiration_type: z.enum(['expiring', 'non-expiring']).default('expiring'),
    token_lifetime: seconds.max(31_557_600, 'give at most 31557600 (one year)').default(2_592_000),
    /** Default: no limit. */
    idle_token_lifetime: seconds.optional(),
    infinite_token_lifetime: z.boolean().default(false),
    infinite_idle_token_lifetime: z.boolean().default(false),
    leeway: z.int().min(0, 'give a number of seconds, 0 for none').default(0),
    /** Other APIs that a refresh can name in `audience`. */
    policies: z
      .array(z.looseObject({ audience: text, scope: z.array(text).default([]) }))
      .nullish(),
  })
  .refine(
    (settings) =>
      settings.expiration_type !== 'expiring' ||
      settings.infinite_token_lifetime ||
      settings.infinite_idle_token_lifetime ||
      (settings.idle_token_lifetime ?? 0) < settings.token_lifetime,
    { path: ['idle_token_lifetime'], message: 'give less than token_lifetime' },
  );

const applicationSchema = z.looseObject({
  name: text,
  /** An export has neither id nor secret: `completeApplication` makes them. */
  client_id: text.default(''),
  client_secret: text.optional(),
  app_type: text.default('regular_web'),
  /** The API that an application of the type `resource_server` is. */
  resource_server_identifier: text.optional(),
  is_first_party: z.boolean().default(true),
  callbacks: z.array(redirectUrl).default([]),
  allowed_logout_urls: z.array(logoutUrl).default([]),
  web_origins: z.array(redirectUrl).default([]),
  allowed_origins: z.array(redirectUrl).default([]),
  grant_types: z.array(text).default(['authorization_code', 'implicit', 'refresh_token']),
  token_endpoint_auth_method: text.nullish(),
  client_authentication_methods: z
    .looseObject({
      private_key_jwt: z.looseObject({ credentials: z.array(credentialSchema) }).optional(),
    })
    .nullish(),
  jwks: z.looseObject({ keys: z.array(z.record(z.string(), z.unknown())) }).optional(),
  /** Receivers of logout tokens, such as the application and its API. Auth0 accepts one URL. */
  oidc_logout: z
    .looseObject({ backchannel_logout_urls: z.array(receiverUrl).default([]) })
    .nullish(),
  skip_non_verifiable_callback_uri_confirmation_prompt: z.boolean().nullish(),
  /** True: each token must be bound to a key (RFC 9449). */
  require_proof_of_possession: z.boolean().nullish(),
  /** True: its authorization requests must be pushed (RFC 9126). */
  require_pushed_authorization_requests: z.boolean().nullish(),
  organization_usage: z.enum(['deny', 'allow', 'require']).default('allow'),
  /** How ID tokens are signed, and how long they are valid. */
  jwt_configuration: z
    .looseObject({
      alg: text.nullish(),
      lifetime_in_seconds: seconds.max(2_592_000, 'give at most 2592000 (30 days)').nullish(),
      secret_encoded: z.boolean().nullish(),
    })
    .nullish(),
  client_metadata: z.record(z.string(), z.unknown()).default({}),
  refresh_token: refreshTokenSchema.prefault({}),
});

const apiSchema = z.looseObject({
  name: text,
  identifier: text,
  scopes: z.array(z.looseObject({ value: text, description: z.string().optional() })).default([]),
  signing_alg: text.default('RS256'),
  /** Key of HS256. */
  signing_secret: z.string().optional(),
  token_dialect: z
    .enum([
      'access_token',
      'access_token_authz',
      'rfc9068_profile',
      'rfc9068_profile_authz',
      // Not Auth0's.
      'opaque',
      'opaque_authz',
    ])
    .default('access_token'),
  enforce_policies: z.boolean().default(false),
  allow_offline_access: z.boolean().default(false),
  skip_consent_for_verifiable_first_party_clients: z.boolean().default(false),
  /** Binding of its tokens to a key of the client; absent: none. */
  proof_of_possession: z
    .looseObject({
      mechanism: z.enum(['dpop', 'mtls']),
      required: z.boolean(),
      required_for: z.enum(['all_clients', 'public_clients']).default('all_clients'),
    })
    .nullish(),
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
  /** Empty in the export of an Action without code. */
  code: z.string(),
  /** Modules in `node_modules` of the tenant's folder. */
  dependencies: z.array(z.looseObject({ name: text, version: z.string().optional() })).default([]),
  secrets: z.array(z.looseObject({ name: text, value: z.string().optional() })).default([]),
  // `triggers` says which Actions run.
  supported_triggers: z.unknown().optional(),
  deployed: z.unknown().optional(),
  status: z.unknown().optional(),
});

const dictionary = z.record(z.string(), z.unknown());

/** Members of the `event` of Actions, and of the `context` of rules, that only Auth0 can know. */
const eventSchema = z.strictObject({
  authentication: z.strictObject({ riskAssessment: dictionary.optional() }).prefault({}),
  custom_domain: dictionary.optional(),
  request: z
    .strictObject({
      asn: text.optional(),
      geoip: z
        .strictObject({
          cityName: text.optional(),
          continentCode: text.optional(),
          countryCode: text.optional(),
          countryCode3: text.optional(),
          countryName: text.optional(),
          latitude: z.number().optional(),
          longitude: z.number().optional(),
          subdivisionCode: text.optional(),
          subdivisionName: text.optional(),
          timeZone: text.optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  security_context: dictionary.optional(),
});

const bindings = z
  .array(z.looseObject({ action_name: text, display_name: z.string().optional() }))
  .default([]);

const ruleSchema = z.looseObject({
  name: text,
  script: text,
  /** The only stage that the deploy tool knows. */
  stage: z.string().optional(),
  order: z.number('give a number').default(0),
  enabled: z.boolean().default(true),
});

const organizationSchema = z
  .looseObject({
    name: z
      .string()
      .regex(/^(?!org_)[a-z0-9][a-z0-9_-]{0,49}$/, 'give lower-case letters, digits, - and _'),
    /** An export of the deploy tool has no id. */
    id: z
      .string()
      .regex(/^org_[\w-]+$/, 'give an id that begins with org_')
      .optional(),
    display_name: text.optional(),
    metadata: z.record(z.string(), z.unknown()).default({}),
    members: z
      .array(
        z.union([text, z.looseObject({ user: text }).transform(({ user }) => user)], {
          error: 'give a user_id or an e-mail address',
        }),
      )
      .default([]),
  })
  .transform((organization) => ({
    ...organization,
    id: organization.id ?? `org_${organization.name}`,
  }));

const userSchema = z.looseObject({
  user_id: text,
  email: emailAddress('give an e-mail address'),
  email_verified: z.boolean().default(false),
  password: judgedText(passwordFault).optional(),
  password_hash: judgedText(passwordHashFault).optional(),
  name: text,
  given_name: z.string().optional(),
  family_name: z.string().optional(),
  nickname: z.string().optional(),
  picture: z.string().optional(),
  roles: z.array(text).default([]),
  /** Second factors that the user has set up. */
  enrolledFactors: z.array(z.looseObject({ type: text })).optional(),
  app_metadata: z.record(z.string(), z.unknown()).default({}),
  user_metadata: z.record(z.string(), z.unknown()).default({}),
  blocked: z.boolean().default(false),
});

const bruteForceProtection = z
  .looseObject({
    enabled: z.boolean().default(true),
    max_attempts: z.int().min(1, 'give a number from 1 on').default(10),
  })
  .prefault({});

/** The sections of a tenant, which have the deploy tool's names. */
export const tenantSchema = z.looseObject({
  tenant: z
    .looseObject({
      friendly_name: z
        .string()
        .default('')
        .transform((name) => name || 'Dev tenant'),
      allowed_logout_urls: z.array(logoutUrl).default([]),
      /** API of requests without an audience; empty: none, as in an export. */
      default_audience: z.string().nullish(),
      /** Database connection that checks passwords; default: the first. */
      default_directory: z.string().nullish(),
      session_lifetime: hours.nullish(),
      session_lifetime_in_minutes: minutes.nullish(),
      idle_session_lifetime: hours.nullish(),
      idle_session_lifetime_in_minutes: minutes.nullish(),
      /** For sessions whose cookie is `non-persistent`. */
      ephemeral_session_lifetime: hours.nullish(),
      ephemeral_session_lifetime_in_minutes: minutes.nullish(),
      idle_ephemeral_session_lifetime: hours.nullish(),
      idle_ephemeral_session_lifetime_in_minutes: minutes.nullish(),
      session_cookie: z
        .looseObject({ mode: z.enum(['persistent', 'non-persistent']).nullish() })
        .nullish(),
      /** True: callbacks on loopback and with a scheme of their own need no consent for themselves. */
      skip_non_verifiable_callback_uri_confirmation_prompt: z.boolean().nullish(),
      /** False: the metadata does not name `/oidc/logout`. */
      oidc_logout: z
        .looseObject({ rp_logout_end_session_endpoint_discovery: z.boolean().optional() })
        .nullish(),
      /** False: `/oidc/logout` never asks the user. */
      sessions: z.looseObject({ oidc_logout_prompt_enabled: z.boolean().optional() }).nullish(),
      flags: z
        .looseObject({ authorization_response_iss_parameter_supported: z.boolean().optional() })
        .default({}),
      /** Format of user codes (RFC 8628 §6.1). */
      device_flow: z
        .looseObject({
          charset: z.enum(['base20', 'digits']).default('base20'),
          mask: z
            .string()
            .regex(
              /^(?=.*\*)[* -]{1,20}$/,
              'give at most 20 of * - and space, for example ****-****',
            )
            .default('****-****'),
        })
        .prefault({}),
      /** Adds `org_name` to `org_id` in the tokens. */
      allow_organization_name_in_authentication_api: z.boolean().default(false),
    })
    .prefault({}),
  clients: z.array(applicationSchema),
  resourceServers: z.array(apiSchema).default([]),
  clientGrants: z
    .array(
      z.looseObject({
        /** Id or name of a client; absent for a default of many clients. */
        client_id: text.optional(),
        audience: text,
        scope: z.array(text).default([]),
        allow_all_scopes: z.boolean().default(false),
        /** A grant of the type `user` is not for client credentials. */
        subject_type: z.string().default('client'),
      }),
    )
    .default([]),
  connections: z.array(connectionSchema).default([]),
  databases: z.array(connectionSchema).default([]),
  roles: z.array(roleSchema).default([]),
  organizations: z.array(organizationSchema).default([]),
  actions: z.array(actionSchema).default([]),
  triggers: z
    .looseObject({ 'post-login': bindings, 'credentials-exchange': bindings })
    .default({ 'post-login': [], 'credentials-exchange': [] }),
  event: eventSchema.prefault({}),
  rules: z.array(ruleSchema).default([]),
  rulesConfigs: z.array(z.looseObject({ key: text, value: z.string().optional() })).default([]),
  attackProtection: z.looseObject({ bruteForceProtection }).optional(),
  /** The same with Auth0's other spelling. */
  attack_protection: z.looseObject({ brute_force_protection: bruteForceProtection }).prefault({}),
  rate_limits: z
    .looseObject({
      token: z
        .looseObject({
          limit: z.int().min(1, 'give a number from 1 on'),
          window: seconds.max(2_147_483, 'give at most 2147483 (24 days)').default(60),
        })
        .optional(),
    })
    .default({}),
  /** No export has them. */
  users: z.array(userSchema).default([]),
});

export type TenantDocument = z.infer<typeof tenantSchema>;
/** An application of the tenant: an entry of `clients`, with its defaults. */
export type Application = z.infer<typeof applicationSchema>;
/** An API of the tenant: an entry of `resourceServers`, with its defaults. */
export type Api = z.infer<typeof apiSchema>;
export type Credential = z.infer<typeof credentialSchema>;
export type Organization = z.infer<typeof organizationSchema>;
/** A user of the tenant: an entry of `users`, with its defaults. */
export type User = z.infer<typeof userSchema>;
