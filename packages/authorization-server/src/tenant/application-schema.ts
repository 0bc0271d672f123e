import { parseURL } from '@koa-oauth/service';
import { z } from 'zod';
import { hasPlaceholder, placeholderFault } from './allowed-urls.ts';
import { text } from './connection-schema.ts';

export const seconds = z.int().positive('give a number of seconds above 0');

/** Schemes that a browser runs or shows by itself. */
const FORBIDDEN_SCHEMES = ['javascript:', 'vbscript:', 'data:', 'blob:', 'file:', 'about:'];

/** An absolute URL, which can have a hash: single-page applications name their pages by it. */
export const logoutUrl = z
  .string()
  // A list in one text, as the dashboard of Auth0 has it, would be one address that no request has.
  .refine((value) => !/\s|,https?:/i.test(value), 'give one URL, without spaces')
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

export const applicationSchema = z.looseObject({
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

/** An application of the tenant: an entry of `clients`, with its defaults. */
export type Application = z.infer<typeof applicationSchema>;
export type Credential = z.infer<typeof credentialSchema>;
