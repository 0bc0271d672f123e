import type { KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import type { PostLoginEvent } from './login-event.ts';

/** What an Action is told of the sign-in; its `id` is the `sid` of the ID token. */
export function sessionFacts(ctx: KoaContextWithOIDC): PostLoginEvent['session'] {
  const { session, client } = ctx.oidc;
  const id = client && session?.sidFor(client.clientId);
  const authenticatedAt = session?.authTime();
  if (session === undefined || id === undefined || authenticatedAt === undefined) return undefined;
  return {
    id,
    // A session that was not stored yet has none.
    created_at: isoTime(session.iat ?? authenticatedAt),
    authenticated_at: isoTime(authenticatedAt),
  };
}

/** What an Action is told of a refresh token: all but the token. */
export function refreshTokenFacts(
  tenant: Tenant,
  token: RefreshToken | undefined,
): PostLoginEvent['refresh_token'] {
  if (token?.grantId === undefined) return undefined;
  const clientId = token.clientId ?? '';
  const settings = findApplication(tenant, clientId)?.refresh_token;
  return {
    id: token.grantId,
    client_id: clientId,
    ...(token.sid && { session_id: token.sid }),
    created_at: isoTime(token.iiat ?? token.iat),
    ...(token.exp && { expires_at: isoTime(token.exp) }),
    rotating: settings?.rotation_type === 'rotating',
  };
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
