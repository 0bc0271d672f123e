import { pathOf } from '@koa-oauth/service';
import type { Context, Middleware, Next } from 'koa';

/** Auth0's paths of the endpoints. */
export const ROUTES = {
  authorization: '/authorize',
  token: '/oauth/token',
  userinfo: '/userinfo',
  revocation: '/oauth/revoke',
  pushed_authorization_request: '/oauth/par',
  jwks: '/.well-known/jwks.json',
  end_session: '/oidc/logout',
} as const;

/** Paths of the metadata (OpenID Connect Discovery §4, RFC 8414 §3). */
export const METADATA_PATHS: readonly string[] = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

/** Returns the path as the engine's router compares it: in lower case, without a slash at its end. */
export function endpointOf(ctx: Pick<Context, 'path'>): string | undefined {
  const path = pathOf(ctx);
  return path === '/' ? path : path?.toLowerCase().replace(/\/+$/, '');
}

/** Runs a middleware for requests to these endpoints only. */
export function at(endpoints: readonly string[], middleware: Middleware): Middleware {
  return function at(ctx: Context, next: Next) {
    return endpoints.includes(endpointOf(ctx) ?? '') ? middleware(ctx, next) : next();
  };
}
