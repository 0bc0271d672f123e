import type { RouterMiddleware } from '@koa/router';
import { type Auth, grantedScopes } from '@koa-oauth/resource-server';
import type { ContactsClaims } from '../claims.ts';

/** `GET /me`: what the API made of the access token, and never the token itself. */
export const me: RouterMiddleware<{ auth: Auth<ContactsClaims> }> = async (ctx) => {
  const { payload, claims } = ctx.state.auth;
  ctx.body = {
    subject: payload.sub,
    client_id: payload.client_id ?? payload.azp,
    scopes: grantedScopes(payload),
    claims,
    expires_at: new Date(payload.exp * 1000).toISOString(),
  };
};
