import { z } from 'zod';
import { applicationSchema, logoutUrl, seconds } from './application-schema.ts';
import { connectionSchema, text } from './connection-schema.ts';
import { organizationSchema, userSchema } from './user-schema.ts';

export type { Application } from './application-schema.ts';
export type { Organization, User } from './user-schema.ts';

/*
 * A tenant: what the Auth0 deploy tool exports, plus `users`. Settings that are not here are ignored, and
 * named at the start. Values that are not served stay, and are refused at use.
 */

const hours = z
  .number('give a number of hours')
  .positive('give a number of hours above 0')
  .max(8760, 'give at most 8760 (one year)');
const minutes = z
  .int('give a number of minutes')
  .positive('give a number of minutes above 0')
  .max(525_600, 'give at most 525600 (one year)');

/** RFC 6749 §3.3, `scope-token`. */
const scope = text.regex(
  /^[\x21\x23-\x5b\x5d-\x7e]*$/,
  'give a text without spaces, quotes and letters beyond ASCII',
);

const apiSchema = z.looseObject({
  name: text,
  identifier: text,
  scopes: z.array(z.looseObject({ value: scope, description: z.string().optional() })).default([]),
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
/** An API of the tenant: an entry of `resourceServers`, with its defaults. */
export type Api = z.infer<typeof apiSchema>;
