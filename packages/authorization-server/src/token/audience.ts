import { decodeJwt } from 'jose';
import type { Client, KoaContextWithOIDC, ResourceServer } from 'oidc-provider';
import { isClaimScope, restoreClaimScopes } from '../claims/custom-claims.ts';
import { splitScope } from '../claims/scope-changes.ts';
import { sourceOf } from '../endpoints.ts';
import { unavailableAlgorithm } from '../keys/signing-algorithms.ts';
import { errors } from '../oidc-provider.ts';
import {
  type Api,
  accessTokenSignature,
  apiOf,
  isOpaque,
  nameOf,
  OIDC_SCOPES,
  resourceOf,
  scopesOf,
  type Tenant,
} from '../tenant/tenant.ts';

/**
 * Returns the resource that `audience` names, else that of the tenant's default audience.
 *
 * @throws AccessDenied when a machine names none.
 */
export function requestedResource(tenant: Tenant, ctx: KoaContextWithOIDC): string | undefined {
  const machine = ctx.oidc.params?.grant_type === 'client_credentials';
  // The token endpoint strips parameters that the engine does not know; the body still has them.
  const asked = ctx.oidc.params?.audience ?? ctx.oidc.body?.audience;
  // At Auth0 this audience means no API: only `/userinfo` accepts the token.
  if (!machine && asked === `${ctx.oidc.issuer}userinfo`) return undefined;
  const audience = asked || tenant.tenant.default_audience;
  if (typeof audience === 'string' && audience !== '') return resourceOf(audience);
  if (machine) {
    throw new errors.AccessDenied('Non-global clients are not allowed access to APIv1');
  }
  return undefined;
}

/** Describes an API. @throws AccessDenied when there is none, or, with client credentials, no grant for it. */
export function describeResource(
  tenant: Tenant,
  ctx: KoaContextWithOIDC,
  resource: string,
  client: Client,
): ResourceServer {
  const api = apiOf(tenant, resource);
  const machine = ctx.oidc.params?.grant_type === 'client_credentials';
  if (api === undefined) {
    const fault = machine ? 'Service not enabled within domain' : 'Service not found';
    throw new errors.AccessDenied(`${fault}: ${nameOf(resource)}`);
  }
  const signature = accessTokenSignature(api);
  if (signature === undefined) throw unavailableAlgorithm(api.signing_alg, api.identifier);
  if (ctx.oidc.route === 'token') requireBinding(ctx, api, client);
  const scopes = machine
    ? grantedToClient(tenant, ctx, api, client)
    : // Tokens of Auth0 have the OpenID Connect scopes too.
      [...OIDC_SCOPES, ...scopesOf(api), ...askedClaims(ctx, api)];
  return {
    scope: scopes.join(' '),
    audience: api.identifier,
    accessTokenTTL: api.token_lifetime,
    accessTokenFormat: isOpaque(api) ? 'opaque' : 'jwt',
    jwt: { sign: signature },
  };
}

/** Checks whether tokens of an API, or those without one, get bound to the key of a proof (RFC 9449 §5). */
export function bindsTokens(api: Pick<Api, 'proof_of_possession'> | undefined): boolean {
  return api === undefined || api.proof_of_possession?.mechanism === 'dpop';
}

/** @throws InvalidDpopProof where Auth0 issues no token that is not bound to a key */
function requireBinding(ctx: KoaContextWithOIDC, api: Api, client: Client): void {
  const { mechanism, required, required_for } = api.proof_of_possession ?? {};
  const isPublic = client.clientAuthMethod === 'none';
  const isRequired = required === true && (isPublic || required_for === 'all_clients');
  const isRequiredByClient = client.dpopBoundAccessTokens === true;
  if (!isRequired && !isRequiredByClient) return;
  if (mechanism !== 'dpop') {
    const reason = mechanism ? 'requires mTLS, which is not available here' : 'has none';
    throw new errors.InvalidDpopProof(
      `Tokens must be bound by DPoP, and the API ${reason}: ${api.identifier}`,
    );
  }
  if (ctx.get('DPoP') === '') {
    throw new errors.InvalidDpopProof(`A DPoP proof is required for tokens of ${api.identifier}`);
  }
}

/** Returns the custom claims requested by scope, now or at the sign-in that these tokens come from. */
function askedClaims(ctx: KoaContextWithOIDC, api: Api): string[] {
  const scopes = [...ctx.oidc.requestParamScopes, ...(sourceOf(ctx)?.scopes ?? [])];
  return scopes.filter((scope) => isClaimScope(scope, api));
}

function grantedToClient(
  tenant: Tenant,
  ctx: KoaContextWithOIDC,
  api: Api,
  client: Client,
): string[] {
  const grant = tenant.clientGrants.find(
    (entry) => entry.client_id === client.clientId && entry.audience === api.identifier,
  );
  if (grant === undefined) {
    throw new errors.AccessDenied(
      `Client is not authorized to access "${api.identifier}". You need to create a "client-grant" ` +
        'associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants',
    );
  }
  const params = ctx.oidc.params;
  if (params !== undefined) {
    const asked = typeof params.scope === 'string' ? params.scope.split(' ') : grant.scope;
    const missing = asked.filter((scope) => !grant.scope.includes(scope));
    if (missing.length > 0) {
      throw new errors.AccessDenied(`Client has not been granted scopes: ${missing.join(', ')}`);
    }
    // Without a scope Auth0 grants all; the engine would grant none.
    params.scope = asked.join(' ') || undefined;
  }
  return grant.scope;
}

/** Decides on `offline_access` as Auth0 does. The engine needs `prompt=consent` (OpenID Connect Core §11). */
export function settleOfflineAccess(tenant: Tenant, ctx: KoaContextWithOIDC, client: Client): void {
  const { params } = ctx.oidc;
  if (params === undefined) return;
  const api = apiOf(tenant, params.resource);
  const allowed =
    params.response_type !== 'id_token' &&
    client.grantTypeAllowed('refresh_token') &&
    (api === undefined || api.allow_offline_access);
  const scopes = new Set(ctx.oidc.requestParamScopes);
  if (allowed && sentScope(ctx).includes('offline_access')) scopes.add('offline_access');
  else scopes.delete('offline_access');
  params.scope = [...scopes].join(' ') || undefined;
  restoreClaimScopes(ctx, sentScope(ctx), api);
}

/** Returns the scope as the client sent it: in the query, the body, or a pushed request (RFC 9126). */
export function sentScope(ctx: KoaContextWithOIDC): string[] {
  const pushed = ctx.oidc.entities.PushedAuthorizationRequest?.request;
  const sent = pushed ? decodeJwt(pushed).scope : (ctx.oidc.body?.scope ?? ctx.query.scope);
  return splitScope(sent);
}
