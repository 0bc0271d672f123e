import { pathOf } from '@koa-oauth/service';
import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { mayCall } from './tenant/applications.ts';
import type { Tenant } from './tenant/tenant.ts';

export const ROUTES = {
  authorization: '/authorize',
  token: '/oauth/token',
  userinfo: '/userinfo',
  revocation: '/oauth/revoke',
  introspection: '/oauth/introspect',
  pushed_authorization_request: '/oauth/par',
  device_authorization: '/oauth/device/code',
  code_verification: '/activate',
  jwks: '/.well-known/jwks.json',
  end_session: '/oidc/logout',
} as const;

/** Paths of the metadata (OpenID Connect Discovery §4, RFC 8414 §3). */
export const METADATA_PATHS: readonly string[] = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

/** Endpoints that web applications may call from a page. */
export const CROSS_ORIGIN_PATHS: readonly string[] = [
  ROUTES.token,
  ROUTES.revocation,
  ROUTES.pushed_authorization_request,
  ROUTES.device_authorization,
  ROUTES.userinfo,
  ROUTES.jwks,
  ...METADATA_PATHS,
];

const EXPOSED = ['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];

/** Returns the path as the engine's router compares it: in lower case, without a slash at its end. */
export function endpointOf(ctx: Pick<Context, 'path'>): string | undefined {
  const path = pathOf(ctx);
  return path === '/' ? path : path?.toLowerCase().replace(/\/+$/, '');
}

/** Returns the engine's part of a context; undefined outside of its own routes. */
export function oidcOf(ctx: object): KoaContextWithOIDC['oidc'] | undefined {
  return (ctx as Partial<KoaContextWithOIDC>).oidc;
}

/** Returns the code or refresh token that the tokens of a request come from. */
export function sourceOf(ctx: object) {
  const { AuthorizationCode, DeviceCode, RefreshToken } = oidcOf(ctx)?.entities ?? {};
  return AuthorizationCode ?? DeviceCode ?? RefreshToken;
}

/** Runs a middleware for requests to these endpoints only. */
export function at(endpoints: readonly string[], middleware: Middleware): Middleware {
  return function at(ctx: Context, next: Next) {
    return endpoints.includes(endpointOf(ctx) ?? '') ? middleware(ctx, next) : next();
  };
}

/**
 * Replaces the origin of each request by the issuer's: published addresses must not follow its headers.
 * The host that was sent is in `ctx.state.sentHost`.
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
 * Lets pages of the tenant's web origins read errors from before the engine, which sets its own headers
 * (Fetch, "CORS protocol"). The application is not known by then.
 */
export function allowOriginOfRefusals(tenant: Tenant): Middleware {
  return async function allowOriginOfRefusals(ctx: Context, next: Next) {
    await next();
    if (oidcOf(ctx) !== undefined) return;
    const origin = ctx.get('origin');
    if (origin === '' || ctx.status < 400) return;
    ctx.vary('Origin');
    if (!tenant.clients.some((application) => mayCall(tenant, application, origin))) return;
    ctx.set({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': EXPOSED.join(', '),
    });
  };
}
