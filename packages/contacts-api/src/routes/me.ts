import { grantedScopes } from '@koa-oauth/resource-server';
import { z } from 'zod';
import { ContactsClaims } from '../claims.ts';
import { type Operation, operation } from '../operation.ts';

const Me = z.object({
  subject: z.string(),
  client_id: z.string().optional(),
  scopes: z.array(z.string()),
  claims: ContactsClaims,
  expires_at: z.iso.datetime(),
});

/** `GET /me`: what the API made of the access token, and never the token itself. */
export const me: Operation = operation({
  id: 'getMe',
  method: 'get',
  path: '/me',
  summary: 'What the API made of your access token',
  needs: {},
  answers: { 200: { description: 'subject, client, scopes, custom claims, expiry', schema: Me } },
  handle(ctx) {
    const { payload, claims } = ctx.state.auth;
    ctx.body = {
      subject: payload.sub,
      client_id: payload.client_id ?? payload.azp,
      scopes: grantedScopes(payload),
      claims,
      expires_at: new Date(payload.exp * 1000).toISOString(),
    };
  },
});
