import type { Issuer } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';

/**
 * Path of the metadata of a resource whose identifier has no path (RFC 9728 §3.1).
 *
 * @example
 * const resourceMetadata = new URL(PROTECTED_RESOURCE_METADATA_PATH, resource).href;
 */
export const PROTECTED_RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

/** Metadata of an API (RFC 9728 §2). */
export interface ProtectedResource {
  /** This API's identifier. */
  resource: string;
  /** Issuers whose tokens it accepts: exact identifiers, or results of `createIssuer`. */
  authorizationServers: readonly (string | Issuer)[];
  scopesSupported?: readonly string[] | undefined;
  resourceName?: string | undefined;
}

/**
 * Answers with this API's metadata (RFC 9728 §2, §3.2). A client reads there which issuer to ask for a
 * token.
 *
 * @example
 * const metadata = protectedResourceMetadata({ resource, authorizationServers: [issuer] });
 * router.get(PROTECTED_RESOURCE_METADATA_PATH, metadata);
 */
export function protectedResourceMetadata({
  resource,
  authorizationServers,
  scopesSupported,
  resourceName,
}: ProtectedResource): Middleware {
  return async function protectedResourceMetadata(ctx) {
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
