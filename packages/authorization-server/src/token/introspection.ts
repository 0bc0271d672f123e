import { hash } from 'node:crypto';
import type {
  AccessToken,
  Client,
  ClientCredentials,
  Configuration,
  KoaContextWithOIDC,
  RefreshToken,
} from 'oidc-provider';
import { credentialsExchange } from '../actions/credentials-exchange.ts';
import type { AppContext } from '../context.ts';
import { isIntrospector } from '../tenant/applications.ts';
import { findApi, findApplication, isOpaque, type Tenant } from '../tenant/tenant.ts';
import { byClock, claimsBeyondEngine } from './token-claims.ts';

/*
 * Auth0 has no introspection (RFC 7662), and no opaque tokens for an API. Here `token_dialect` can be
 * `opaque` or `opaque_authz`, and Auth0's application of the type `resource_server` may ask.
 */

type Token = AccessToken | ClientCredentials | RefreshToken;

/** Checks whether the engine must ask `extraTokenClaims`. */
export function storesClaims({ credentialsExchange, resourceServers }: Tenant): boolean {
  return credentialsExchange.length > 0 || resourceServers.some(isOpaque);
}

/** Stores with an opaque token the claims that a JWT would have: the answer adds them. */
export function extraTokenClaims(context: AppContext): Configuration['extraTokenClaims'] {
  const { tenant } = context;
  const exchange = tenant.credentialsExchange.length > 0 ? credentialsExchange(context) : undefined;
  return async function extraTokenClaims(ctx, token) {
    const exchanged = await exchange?.(ctx, token);
    const api = findApi(tenant, token.aud);
    if (api === undefined || !isOpaque(api)) return exchanged;
    const { custom, own } = claimsBeyondEngine(context, ctx, token, api);
    return { ...custom, ...exchanged, ...own };
  };
}

/**
 * Decides whether a client may see a token: only the API that the token is for may. The answer has the times
 * of the server's clock.
 */
export function maySeeToken({ tenant, users, clock, log }: AppContext) {
  return function maySeeToken(_ctx: KoaContextWithOIDC, client: Client, token: Token): boolean {
    const application = findApplication(tenant, client.clientId);
    if (token.kind === 'RefreshToken' || !isIntrospector(application, token.aud)) {
      log.info({ client: client.clientId }, 'introspection: the token is not for this client');
      return false;
    }
    // A changed tenant can lack the token's client or user.
    if (findApplication(tenant, token.clientId) === undefined) return false;
    if (token.kind === 'AccessToken') {
      const user = users.find(token.accountId);
      if (user === undefined || user.blocked) return false;
    }
    // The engine has compared them with the real clock, and copies them now.
    const { iat, exp, extra, jti } = token;
    Object.assign(token, byClock({ iat, exp }, clock), {
      extra: extra && byClock(extra, clock),
      // The engine has no name for the token except the token itself.
      jti: hash('sha256', jti, 'base64url'),
    });
    return true;
  };
}
