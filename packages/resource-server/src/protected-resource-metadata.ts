import type { Middleware } from 'koa';

/** Where the document lies (RFC 9728 §3.1), for a resource identifier without a path. */
export const PROTECTED_RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

export interface ProtectedResource {
  /** This API's identifier. */
  resource: string;
  /** The issuers whose tokens it takes. */
  authorizationServers: readonly string[];
  scopesSupported?: readonly string[];
  resourceName?: string;
}

/** Answers with this API's metadata (RFC 9728 §2, §3.2), so that a client can learn whose tokens to bring. */
export function protectedResourceMetadata({
  resource,
  authorizationServers,
  scopesSupported,
  resourceName,
}: ProtectedResource): Middleware {
  const document = JSON.stringify({
    resource,
    authorization_servers: authorizationServers,
    scopes_supported: scopesSupported,
    bearer_methods_supported: ['header'],
    resource_name: resourceName,
  });
  return async function protectedResourceMetadata(ctx) {
    ctx.type = 'application/json';
    ctx.set('Cache-Control', 'public, max-age=3600');
    ctx.body = document;
  };
}
