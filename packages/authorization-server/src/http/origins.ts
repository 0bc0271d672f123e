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
 * Replaces the origin of each request by the issuer's. The endpoints must not follow the request's
 * Host or X-Forwarded-* header: a server reached as 127.0.0.1 would otherwise publish addresses that
 * differ from its issuer's. The host that was sent is in `ctx.state.sentHost`.
 */
export function issuerOrigin(issuer: string): Middleware {
  const { host, protocol } = new URL(issuer);
  return function issuerOrigin(ctx: Context, next: Next) {
    const { headers } = ctx.req;
    delete headers['x-forwarded-host'];
    delete headers['x-forwarded-for'];
    ctx.state.sentHost = headers.host;
    headers.host = host;
    headers['x-forwarded-proto'] = protocol.slice(0, -1);
    return next();
  };
}

/**
 * Allows web applications to read the refusals that come before the engine, such as a rate limit, from
 * the web origins of the tenant's applications (Fetch, "CORS protocol"). The application that asks is
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
