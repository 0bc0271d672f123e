import type { Context, Middleware, Next } from 'koa';
import { endpointOf, ROUTES } from '../endpoints.ts';
import { isWebOrigin } from '../tenant/applications.ts';
import type { Tenant } from '../tenant/tenant.ts';

const ENDPOINTS: readonly string[] = [
  ROUTES.token,
  ROUTES.revocation,
  ROUTES.pushed_authorization_request,
  ROUTES.userinfo,
  ROUTES.jwks,
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

const EXPOSED = ['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];

/**
 * Lets a web application read the refusals that come before the engine, such as a rate limit: from
 * the web origins of the tenant's applications (Fetch, "CORS protocol"). Which application asks is
 * not known by then. What the engine answers has its own headers.
 */
export function allowOriginOfRefusals(tenant: Tenant): Middleware {
  return async function originOfRefusalsAllowed(ctx: Context, next: Next) {
    await next();
    if ('oidc' in ctx && ctx.oidc !== undefined) return;
    const origin = ctx.get('origin');
    if (origin === '' || ctx.status < 400 || !ENDPOINTS.includes(endpointOf(ctx) ?? '')) return;
    ctx.vary('Origin');
    if (!tenant.clients.some((application) => isWebOrigin(application, origin))) return;
    ctx.set({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': EXPOSED.join(', '),
    });
  };
}
