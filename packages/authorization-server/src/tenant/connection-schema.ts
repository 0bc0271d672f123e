import { z } from 'zod';
import { isConfidentialUrl } from '../http/loopback.ts';

const text = z.string().min(1, 'give a text that is not empty');

const providerUrl = z
  .string()
  .refine(
    (value) => URL.canParse(value) && isConfidentialUrl(new URL(value)),
    'give an https URL, or http on a loopback address',
  );

const scopes = z
  .string()
  .refine((value) => value.split(' ').includes('openid'), 'openid must be one of the scopes');

/** `options` of a connection with the strategy `oidc`; the names are those of Auth0's Management API. */
export const oidcOptionsSchema = z
  .looseObject({
    issuer: providerUrl.optional(),
    discovery_url: providerUrl
      .refine(
        (value) => value.endsWith('/.well-known/openid-configuration'),
        'give a URL that ends in /.well-known/openid-configuration',
      )
      .optional(),
    client_id: text,
    client_secret: text,
    /** The other one, `front_channel`, has the ID token pass through the browser. */
    type: z.literal('back_channel', 'only back_channel is supported').default('back_channel'),
    scope: scopes.optional(),
    /** What other tools for Auth0 call `scope`. */
    scopes: scopes.optional(),
  })
  .refine(({ issuer, discovery_url }) => issuer ?? discovery_url, {
    path: ['issuer'],
    message: 'give an issuer or a discovery_url',
  });

/** One way to sign in: an identity provider, or the database that the tenant's users are in. */
export const connectionSchema = z
  .looseObject({
    name: z
      .string()
      .max(128, 'give at most 128 characters')
      .regex(/^[a-zA-Z0-9](?:-?[a-zA-Z0-9])*$/, 'give letters and digits, with single - between'),
    strategy: text,
    display_name: text.optional(),
    /** Names or ids of clients; none, as at Auth0, when left out. */
    enabled_clients: z.array(text).default([]),
    options: z.record(z.string(), z.unknown()).default({}),
  })
  .check((ctx) => {
    if (ctx.value.strategy !== 'oidc') return;
    const { options } = ctx.value;
    for (const { path, message } of oidcOptionsSchema.safeParse(options).error?.issues ?? []) {
      ctx.issues.push({
        code: 'custom',
        path: ['options', ...path],
        message,
        input: options,
      });
    }
  });

export type Connection = z.infer<typeof connectionSchema>;
export type OidcOptions = z.infer<typeof oidcOptionsSchema>;
