import type { Context } from 'koa';
import type { KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import { endpointOf, ROUTES } from '../endpoints.ts';

/** The refresh token that this request has revoked, of which the engine has no event. */
export function revokedToken(ctx: Context): RefreshToken | undefined {
  if (endpointOf(ctx) !== ROUTES.revocation || ctx.status !== 200) return undefined;
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const token = oidc?.entities.RefreshToken;
  // The answer is the same for a token of another client, which stays (RFC 7009 §2.2).
  return token?.clientId === oidc?.client?.clientId ? token : undefined;
}
