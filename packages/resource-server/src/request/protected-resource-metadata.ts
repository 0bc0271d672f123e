import type { Issuer } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';
import type { DpopOptions } from '../dpop/dpop-options.ts';
import type { TokenProfile } from '../token/jwt-access-token.ts';
import { algorithmsOf } from '../token/signature.ts';

/**
 * Path of the metadata of a resource whose identifier has no path (RFC 9728 §3.1).
 * `protectedResourceMetadataURL` returns the address for any identifier.
 *
 * @example
 * router.get(PROTECTED_RESOURCE_METADATA_PATH, protectedResourceMetadata(resource));
 */
export const PROTECTED_RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

/**
 * Returns the address at which clients look for the metadata of a resource: the well-known path is
 * between the host and the path of its identifier (RFC 9728 §3.1).
 *
 * @example
 * const resource = 'https://api.example.com/contacts';
 * const resourceMetadata = protectedResourceMetadataURL(resource);
 * // https://api.example.com/.well-known/oauth-protected-resource/contacts
 * app.use(auth({ issuer, audience: resource, resourceMetadata }));
 * router.get(new URL(resourceMetadata).pathname, protectedResourceMetadata(metadata));
 *
 * @throws TypeError when the identifier is not an `https` or `http` URL, as `api://default` of Okta is not
 */
export function protectedResourceMetadataURL(resource: string): string {
  const { protocol, origin, pathname, search } = new URL(resource);
  if (!/^https?:$/.test(protocol)) throw new TypeError('resource must be an https URL');
  // A slash directly after the host is left out.
  const path = pathname === '/' ? '' : pathname;
  return `${origin}${PROTECTED_RESOURCE_METADATA_PATH}${path}${search}`;
}

/** Metadata of an API (RFC 9728 §2). */
export interface ProtectedResource {
  /** This API's identifier. */
  resource: string;
  /** Issuers whose tokens it accepts: exact identifiers, or results of `createIssuer`. */
  authorizationServers: readonly (string | Issuer)[];
  scopesSupported?: readonly string[] | undefined;
  resourceName?: string | undefined;
  /** Address of a page for developers. */
  resourceDocumentation?: string | undefined;
  /** The option `dpop` of `auth`: whether tokens must be bound to a key, and algorithms of proofs. */
  dpop?: Pick<DpopOptions, 'algorithms' | 'required'> | undefined;
  /** The option `profile` of `auth`, which has defaults for `dpop`. */
  profile?: TokenProfile | undefined;
}

/**
 * Answers with this API's metadata (RFC 9728 §2, §3.2). A client reads there which issuer to ask for a
 * token. Pages of any origin can read it. A browser asks first (`OPTIONS`) if the page sends a header of its
 * own, as clients of the Model Context Protocol do.
 *
 * @example
 * const metadata = protectedResourceMetadata({ resource, authorizationServers: [issuer] });
 * router.get(PROTECTED_RESOURCE_METADATA_PATH, metadata);
 * router.options(PROTECTED_RESOURCE_METADATA_PATH, metadata);
 */
export function protectedResourceMetadata({
  resource,
  authorizationServers,
  scopesSupported,
  resourceName,
  resourceDocumentation,
  dpop,
  profile = 'any',
}: ProtectedResource): Middleware {
  return async function protectedResourceMetadata(ctx) {
    ctx.set('Access-Control-Allow-Origin', '*');
    if (ctx.method === 'OPTIONS') {
      ctx.set({ 'Access-Control-Allow-Headers': '*', 'Access-Control-Max-Age': '86400' });
      ctx.status = 204;
      return;
    }
    const servers = await Promise.all(authorizationServers.map(identifierOf));
    const isExact = servers.every((server) => server.isExact);
    ctx.type = 'application/json';
    ctx.set('Cache-Control', isExact ? 'public, max-age=3600' : 'no-store');
    ctx.body = JSON.stringify({
      resource,
      authorization_servers: servers.map(({ identifier }) => identifier),
      scopes_supported: scopesSupported,
      bearer_methods_supported: ['header'],
      resource_name: resourceName,
      resource_documentation: resourceDocumentation,
      dpop_signing_alg_values_supported: dpop && (dpop.algorithms ?? algorithmsOf(profile)),
      dpop_bound_access_tokens_required: dpop && (dpop.required ?? profile === 'fapi2'),
    });
  };
}

// While the issuer is down, the configured identifier is used. Its slash at the end can be wrong.
async function identifierOf(server: string | Issuer) {
  if (typeof server === 'string') return { identifier: server, isExact: true };
  return server.metadata().then(
    ({ issuer }) => ({ identifier: issuer, isExact: true }),
    () => ({ identifier: server.issuerBaseURL, isExact: false }),
  );
}
