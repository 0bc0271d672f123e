import { isSecureURL, parseURL } from '@koa-oauth/service';
import { z } from 'zod';
import { keywordIn } from './keywords.ts';

export const text = z.string().min(1, 'give a text that is not empty');

const providerUrl = z.string().refine((value) => {
  const url = parseURL(value);
  return url !== undefined && isSecureURL(url);
}, 'give an https URL, or http on a loopback address');

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
    type: z.literal('back_channel').default('back_channel'),
    scope: scopes.optional(),
    /** Name of `scope` in other tools for Auth0. */
    scopes: scopes.optional(),
  })
  .refine(({ issuer, discovery_url }) => issuer ?? discovery_url, {
    path: ['issuer'],
    message: 'give an issuer or a discovery_url',
  });

/**
 * Checks whether users can sign in at an identity provider. They cannot with the other type,
 * `front_channel`, which sends the ID token through the browser, or if a keyword has no value.
 */
export function isServedProvider(
  strategy: string,
  { type = 'back_channel', ...options }: Readonly<Record<string, unknown>>,
): boolean {
  const values = Object.values(options);
  return (
    strategy === 'oidc' &&
    type === 'back_channel' &&
    values.every((value) => keywordIn(value) === undefined)
  );
}

/** One way to sign in: an identity provider, or the database that the tenant's users are in. */
export const connectionSchema = z
  .looseObject({
    id: z.string().optional(),
    name: z
      .string()
      .max(128, 'give at most 128 characters')
      .regex(/^[a-zA-Z0-9](?:-?[a-zA-Z0-9])*$/, 'give letters and digits, with single - between'),
    strategy: text,
    display_name: text.optional(),
    /** Names or ids of clients; default: none, as at Auth0. */
    enabled_clients: z.array(text).default([]),
    options: z.record(z.string(), z.unknown()).default({}),
    /** `event.connection.metadata` of Actions. */
    metadata: z.unknown().optional(),
  })
  .check(({ value: { strategy, options }, issues }) => {
    if (!isServedProvider(strategy, options)) return;
    for (const { path, message } of oidcOptionsSchema.safeParse(options).error?.issues ?? []) {
      issues.push({ code: 'custom', path: ['options', ...path], message, input: options });
    }
  });

export type Connection = z.infer<typeof connectionSchema>;
