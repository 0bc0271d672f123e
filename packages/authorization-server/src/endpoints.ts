import { pathOf } from '@koa-oauth/service';
import type { Context } from 'koa';

/** Where Auth0 has its endpoints. */
export const ROUTES = {
  authorization: '/authorize',
  token: '/oauth/token',
  userinfo: '/userinfo',
  revocation: '/oauth/revoke',
  pushed_authorization_request: '/oauth/par',
  jwks: '/.well-known/jwks.json',
  end_session: '/oidc/logout',
} as const;

/** Returns the path as the engine's router compares it: in lower case, without a slash at its end. */
export function endpointOf(ctx: Pick<Context, 'path'>): string | undefined {
  const path = pathOf(ctx);
  return path === '/' ? path : path?.toLowerCase().replace(/\/+$/, '');
}
