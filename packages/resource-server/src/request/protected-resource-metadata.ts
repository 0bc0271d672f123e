import type { Issuer } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';

/** Path of the document for a resource identifier without a path (RFC 9728 §3.1). */
export const PROTECTED_RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

/** Metadata of an API (RFC 9728 §2). */
export interface ProtectedResource {
  /** This API's identifier. */
  resource: string;
  /**
   * The issuers whose tokens it accepts: identifiers as the issuers themselves spell them, or what
   * `createIssuer` made, which knows how they do.
   */
  authorizationServers: readonly (string | Issuer)[];
  scopesSupported?: readonly string[] | undefined;
  resourceName?: string | undefined;
}

/** Answers with this API's metadata (RFC 9728 §2, §3.2), so that a client learns whose tokens to send. */
export function protectedResourceMetadata({
  resource,
  authorizationServers,
  scopesSupported,
  resourceName,
}: ProtectedResource): Middleware {
  return async function protectedResourceMetadata(ctx) {
    const servers = await Promise.all(authorizationServers.map(identifierOf));
    const sure = servers.every((server) => server.sure);
    ctx.type = 'application/json';
    ctx.set('Cache-Control', sure ? 'public, max-age=3600' : 'no-store');
    ctx.body = JSON.stringify({
      resource,
      authorization_servers: servers.map(({ identifier }) => identifier),
      scopes_supported: scopesSupported,
      bearer_methods_supported: ['header'],
      resource_name: resourceName,
    });
  };
}

// While the issuer is down, the configured identifier is used; its slash at the end may be wrong.
async function identifierOf(
  server: string | Issuer,
): Promise<{ readonly identifier: string; readonly sure: boolean }> {
  if (typeof server === 'string') return { identifier: server, sure: true };
  return server.metadata().then(
    ({ issuer }) => ({ identifier: issuer, sure: true }),
    () => ({ identifier: server.issuerBaseURL, sure: false }),
  );
}
