import type { Context, Middleware, Next } from 'koa';
import { METADATA_PATHS, ROUTES } from '../endpoints.ts';
import { isWebOrigin } from '../tenant/applications.ts';
import type { Tenant } from '../tenant/tenant.ts';

/** Endpoints that web applications call. */
export const CROSS_ORIGIN_PATHS: readonly string[] = [
  ROUTES.token,
  ROUTES.revocation,
  ROUTES.pushed_authorization_request,
  ROUTES.userinfo,
  ROUTES.jwks,
  ...METADATA_PATHS,
];

const EXPOSED = ['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];

/**
 * Lets a web application read the refusals that come before the engine, such as a rate limit: from
 * the web origins of the tenant's applications (Fetch, "CORS protocol"). Which application asks is
 * not known by then. What the engine answers has its own headers.
 */
export function allowOriginOfRefusals(tenant: Tenant): Middleware {
  return async function allowOriginOfRefusals(ctx: Context, next: Next) {
    await next();
    if ('oidc' in ctx && ctx.oidc !== undefined) return;
    const origin = ctx.get('origin');
    if (origin === '' || ctx.status < 400) return;
    ctx.vary('Origin');
    if (!tenant.clients.some((application) => isWebOrigin(application, origin))) return;
    ctx.set({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': EXPOSED.join(', '),
    });
  };
}
